"""The status of both kinds, which the operator writes. Described here for their schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sluicegate.resources.fields import Format


def _marked(**keywords: object) -> Format:
    """Keywords of a schema; nobody judges the value here."""
    return Format(lambda _: None, keywords)


Text: TypeAlias = Annotated[str, Field(max_length=1024)]
Time: TypeAlias = Annotated[str, _marked(format="date-time")]
PENDING = {
    "type": "Ready",
    "status": "Unknown",
    "reason": "Pending",
    "message": "Waiting for the operator.",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
}


class _Status(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel)


class Condition(_Status):
    """One aspect of the object's state (metav1.Condition)."""

    type: str = Field(
        description="Accepted, ResolvedRefs, Programmed, Ready; and while they are true "
        "Reconciling, Stalled, PoolConflict, PriceUnknown, ExpiringSoon.",
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether the condition holds: True, False or Unknown."
    )
    observed_generation: int | None = Field(
        None, ge=0, description="metadata.generation of the spec that was judged."
    )
    last_transition_time: Time = Field(description="When `status` last changed.")
    reason: str = Field(
        description="One word for programs to read, as in SecretNotFound.",
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    )
    message: str = Field(
        max_length=32_768, description="A sentence for people: what is wrong and what to write."
    )


Conditions: TypeAlias = Annotated[
    list[Condition],
    _marked(**{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]


class Gateways(_Status):
    """How many gateways serve the object as it is now."""

    desired: int | None = Field(None, ge=0, description="Gateways that should serve it.")
    updated: int | None = Field(None, ge=0, description="Gateways that said that they do.")
    summary: Text | None = Field(None, description='Both in one word, as in "2/3".')


Notes: TypeAlias = Annotated[
    dict[str, Any], _marked(**{"x-kubernetes-preserve-unknown-fields": True})
]


class CommonStatus(_Status):
    """What both kinds say."""

    observed_generation: int | None = Field(
        None, ge=0, description="metadata.generation of the spec that this status is about."
    )
    conditions: Conditions | None = Field(
        None,
        max_length=16,
        description="What holds and what does not, by `type`. `kubectl wait --for=condition=Ready` "
        "returns once every gateway serves the object.",
    )
    revision: Text | None = Field(
        None,
        description="First 12 hex digits of the hash of this object's compiled entry: it changes "
        "when what the gateways serve changes.",
    )
    gateways: Gateways | None = Field(
        None, description="How many gateways serve the object as it is now."
    )
    controller: Text | None = Field(
        None, description="The operator that handles the object, as namespace/name of its config."
    )
    operator: Notes | None = Field(
        None, description="The operator's own notes; nothing to rely on."
    )


class ModelDeploymentStatus(CommonStatus):
    """What became of the deployment; the operator writes it."""

    model: Text | None = Field(
        None, description="The public name that clients send: spec.model, or else metadata.name."
    )
    provider: Text | None = Field(
        None, description="The member of spec.provider that is set, as in bedrock."
    )


class KeyVersion(_Status):
    """One of the keys that are valid at the moment."""

    id: str = Field(
        max_length=64, description="The public part of a minted key: sk-sg-<id>-…; safe to log."
    )
    created_at: Time | None = Field(None, description="When the key was minted.")
    not_after: Time | None = Field(
        None, description="When the key ends, for one that a rotation replaced."
    )


KeyVersions: TypeAlias = Annotated[
    list[KeyVersion],
    _marked(**{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]}),
]


class Spend(_Status):
    """What the key has spent in the current period of its budget."""

    amount_usd: Text | None = Field(
        None, alias="amountUSD", description='US dollars, a decimal string as in "12.34".'
    )
    period_start: Time | None = Field(None, description="When the period began.")
    observed_at: Time | None = Field(None, description="When the amount was read.")


class ApiKeyStatus(CommonStatus):
    """What became of the key; the operator writes it. It never holds a key."""

    type: Text | None = Field(None, description="Upstream or Client.")
    secret_name: Text | None = Field(
        None, description="Name of the Secret that holds the key, in the namespace of this object."
    )
    keys: KeyVersions | None = Field(
        None,
        max_length=16,
        description="The minted keys that are valid at the moment, without the keys themselves.",
    )
    spend: Spend | None = Field(
        None,
        description="What was spent in the current period; only where the gateways share a store.",
    )
