"""ApiKey: what a deployment presents to a provider, or what a caller presents to the gateway."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from sluicegate.resources.fields import (
    Duration,
    Fields,
    Matches,
    ObjectName,
    Timestamp,
    exactly_one,
    refusal,
)
from sluicegate.resources.manifest import Manifest
from sluicegate.resources.policy import Budget, Limits, SecretEntryRef, SecretRef

KeyHash: TypeAlias = Annotated[
    str,
    Matches(
        r"sha256:[0-9a-f]{64}",
        'must be "sha256:" and the 64 lower-case hex digits of the whole key\'s SHA-256 '
        "(`sluicegate key hash` prints it); a key itself never belongs here",
        71,
    ),
]
ModelPattern: TypeAlias = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9._:/@*-]+",
        "must be public model names, in which '*' stands for any run of characters",
        200,
    ),
]
RoleARN: TypeAlias = Annotated[
    str,
    Matches(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+",
        "must be the ARN of an IAM role, as in arn:aws:iam::123456789012:role/name",
        2048,
    ),
]
SessionName: TypeAlias = Annotated[
    str,
    Matches(r"[A-Za-z0-9+=,.@_-]{2,64}", "must be 2 to 64 letters, digits and '+=,.@_-'", 64),
]
Overlap: TypeAlias = Annotated[str, Duration(0, 90 * 86_400)]

_TAG_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?", re.ASCII)
_TAG_VALUE = re.compile(r"[^\x00-\x1f\x7f,]{0,256}")
_MAX_TAGS = 32


class AwsCredentials(Fields):
    """AWS credentials for Bedrock: static keys, a role, or both."""

    secret_ref: SecretRef | None = Field(
        None,
        description="A Secret with the entries aws_access_key_id, aws_secret_access_key and "
        "perhaps aws_session_token.",
    )
    role_arn: RoleARN | None = Field(
        None,
        alias="roleARN",
        description="A role to assume, with the keys of the Secret or else with the gateway's "
        "own identity; "
        "the external id is namespace/name of this object.",
    )
    session_name: SessionName | None = Field(
        None, description="Name of the role's session, seen in CloudTrail."
    )

    @model_validator(mode="after")
    def _usable(self) -> AwsCredentials:
        if self.secret_ref is None and self.role_arn is None:
            raise refusal("must have secretRef, roleARN, or both")
        if self.session_name is not None and self.role_arn is None:
            raise refusal("sessionName goes with roleARN", ("sessionName",))
        return self


class GoogleCredentials(Fields):
    """A Google credential for Vertex AI."""

    secret_ref: SecretEntryRef = Field(
        description="An entry of a Secret that holds a credential's JSON file."
    )


class UpstreamKey(Fields):
    """What a deployment presents to a provider: exactly one of the members."""

    secret_ref: SecretEntryRef | None = Field(
        None, description="An entry of a Secret in this namespace that holds a single key."
    )
    aws: AwsCredentials | None = Field(None, description="AWS credentials for Bedrock.")
    google: GoogleCredentials | None = Field(None, description="A Google credential for Vertex AI.")

    @model_validator(mode="after")
    def _exactly_one(self) -> UpstreamKey:
        exactly_one(self, "must have exactly one of secretRef, aws and google")
        return self


class GeneratedKey(Fields):
    """A key that the operator (or the gateway, from a folder) mints once."""

    secret_name: ObjectName = Field(
        description="Name of the new Secret that gets the key, entry `key`; an existing one is "
        "never adopted."
    )


class EndUsers(Fields):
    """What each end user of this key may use."""

    limits: Limits | None = Field(None, description="Limits of each end user.")
    budget: Budget | None = Field(None, description="Budget of each end user.")
    required: bool = Field(
        default=False, description="Refuses a request that does not name its end user."
    )


class Rotation(Fields):
    """A new key in place of a minted one, with a time in which both are valid."""

    requested_at: Timestamp = Field(
        description="When the rotation was asked for; a later time asks for another one."
    )
    overlap: Overlap = Field("24h", description="How long the old key stays valid.")


class ClientKey(Fields):
    """What a caller presents to the gateway.

    Exactly one of secretRef, generate and keyHash, and what it may do.
    """

    secret_ref: SecretEntryRef | None = Field(
        None, description="An entry of a Secret in this namespace that holds the key."
    )
    generate: GeneratedKey | None = Field(None, description="Has the key minted into a new Secret.")
    key_hash: KeyHash | None = Field(
        None,
        description="SHA-256 of the whole key, as sha256:<64 hex digits>; safe to keep in Git.",
    )
    models: tuple[ModelPattern, ...] = Field(
        ("*",),
        min_length=1,
        max_length=256,
        description="Public names of the models that it may call; `*` stands for any run of "
        "characters.",
    )
    expires_at: Timestamp | None = Field(
        None, description="When the key ends (RFC 3339); never if left out."
    )
    revoked: bool = Field(default=False, description="Refuses the key at once.")
    limits: Limits | None = Field(None, description="Limits of this key.")
    budget: Budget | None = Field(None, description="Budget of this key.")
    end_users: EndUsers | None = Field(None, description="What each end user of this key may use.")
    tags: dict[str, str] = Field(
        default_factory=dict, description="Written into the ledger with each request of this key."
    )
    rotation: Rotation | None = Field(
        None, description="Asks for a new key in place of the generated one."
    )

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > _MAX_TAGS:
            raise refusal(f"must have at most {_MAX_TAGS} entries")
        for name, text in value.items():
            if _TAG_NAME.fullmatch(name) is None:
                raise refusal("must have names of up to 63 letters, digits and '._/-'")
            if _TAG_VALUE.fullmatch(text) is None:
                raise refusal(
                    "must have a value of up to 256 characters, without ',' and line breaks, "
                    f"for {name!r}"
                )
        return value

    @model_validator(mode="after")
    def _source(self) -> ClientKey:
        sources = (self.secret_ref, self.generate, self.key_hash)
        if sum(source is not None for source in sources) != 1:
            raise refusal("must have exactly one of secretRef, generate and keyHash")
        if self.rotation is not None and self.generate is None:
            raise refusal("rotation goes with generate", ("rotation",))
        return self


class ApiKeySpec(Fields):
    """Exactly one of the members."""

    upstream: UpstreamKey | None = Field(
        None, description="What a deployment presents to a provider."
    )
    client: ClientKey | None = Field(None, description="What a caller presents to the gateway.")

    @model_validator(mode="after")
    def _exactly_one(self) -> ApiKeySpec:
        exactly_one(self, "must have exactly one of upstream and client")
        return self


class ApiKey(Manifest):
    """A key: what a deployment presents to a provider, or what a caller presents to the gateway."""

    kind: Literal["ApiKey"] = Field(description="ApiKey.")
    spec: ApiKeySpec = Field(description="What the key is; exactly one of upstream and client.")
