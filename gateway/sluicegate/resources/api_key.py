"""ApiKey: what a deployment presents to a provider, or what a caller presents to the gateway."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sluicegate.resources.fields import (
    Fields,
    Format,
    ObjectName,
    Timestamp,
    duration,
    matches,
)
from sluicegate.resources.manifest import Manifest
from sluicegate.resources.policy import Budget, Limits, SecretEntryRef, SecretRef
from sluicegate.resources.rules import (
    VALIDATIONS,
    Keywords,
    missing_or_many,
    one_of,
    quoted,
    rule,
    validation,
)
from sluicegate.resources.yaml_documents import FieldPath

KeyHash: TypeAlias = Annotated[
    str,
    matches(
        r"sha256:[0-9a-f]{64}",
        'must be "sha256:" and the 64 lower-case hex digits of the whole key\'s SHA-256 '
        "(`sluicegate key hash` prints it); a key itself never belongs here",
        71,
    ),
]
ModelPattern: TypeAlias = Annotated[
    str,
    matches(
        r"[A-Za-z0-9._:/@*-]+",
        "must be public model names, in which '*' stands for any run of characters",
        200,
    ),
]
RoleARN: TypeAlias = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+",
        "must be the ARN of an IAM role, as in arn:aws:iam::123456789012:role/name",
        2048,
    ),
]
SessionName: TypeAlias = Annotated[
    str,
    matches(r"[A-Za-z0-9+=,.@_-]{2,64}", "must be 2 to 64 letters, digits and '+=,.@_-'", 64),
]
Overlap: TypeAlias = Annotated[str, duration("0s", "2160h")]

_MAX_TAGS = 32
_MAX_TAG_VALUE = 256
_TAG_NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
_TAG_VALUE_PATTERN = r"[^\x00-\x1f\x7f,]*"
_TAG_NAME = re.compile(_TAG_NAME_PATTERN, re.ASCII)
_TAG_VALUE = re.compile(_TAG_VALUE_PATTERN)
_TAG_NAMES_SAY = "must have names of up to 63 letters, digits and '._/-'"
_TAG_VALUES_SAY = (
    f"must have a value of up to {_MAX_TAG_VALUE} characters, without ',' and line breaks"
)
_TAG_KEYWORDS: Keywords = {
    "maxProperties": _MAX_TAGS,
    "additionalProperties": {
        "type": "string",
        "maxLength": _MAX_TAG_VALUE,
        "pattern": f"^{_TAG_VALUE_PATTERN}$",
        VALIDATIONS: [
            validation(f"self.matches({quoted(f'^{_TAG_VALUE_PATTERN}$')})", _TAG_VALUES_SAY)
        ],
    },
    VALIDATIONS: [
        validation(
            f"self.all(name, name.matches({quoted(f'^{_TAG_NAME_PATTERN}$')}))", _TAG_NAMES_SAY
        )
    ],
}


def _tags_problem(tags: dict[str, str]) -> str | None:
    if len(tags) > _MAX_TAGS:
        return f"must have at most {_MAX_TAGS} entries"
    for name, text in tags.items():
        if _TAG_NAME.fullmatch(name) is None:
            return _TAG_NAMES_SAY
        if len(text) > _MAX_TAG_VALUE or _TAG_VALUE.fullmatch(text) is None:
            return f"{_TAG_VALUES_SAY}, for {name!r}"
    return None


Tags: TypeAlias = Annotated[dict[str, str], Format(_tags_problem, _TAG_KEYWORDS)]


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

    @rule("has(self.secretRef) || has(self.roleARN)", "must have secretRef, roleARN, or both")
    def _usable(self) -> FieldPath | None:
        return () if self.secret_ref is None and self.role_arn is None else None

    @rule(
        "!has(self.sessionName) || has(self.roleARN)",
        "sessionName goes with roleARN",
        ".sessionName",
    )
    def _session_of_a_role(self) -> FieldPath | None:
        wrong = self.session_name is not None and self.role_arn is None
        return ("sessionName",) if wrong else None


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

    @rule(
        one_of("secretRef", "aws", "google"), "must have exactly one of secretRef, aws and google"
    )
    def _exactly_one(self) -> FieldPath | None:
        return missing_or_many(self.secret_ref, self.aws, self.google)


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
    overlap: Overlap = Field(
        "24h", description="How long the old key stays valid: a duration such as 24h."
    )


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
        description="Public names of the models that it may call, as in [claude-*, gpt-4.1]; `*` "
        "stands for any run of characters.",
    )
    expires_at: Timestamp | None = Field(
        None,
        description='When the key ends, in RFC 3339 as in "2027-06-30T00:00:00Z"; never if left '
        "out.",
    )
    revoked: bool = Field(default=False, description="Refuses the key at once.")
    limits: Limits | None = Field(None, description="Limits of this key.")
    budget: Budget | None = Field(None, description="Budget of this key.")
    end_users: EndUsers | None = Field(None, description="What each end user of this key may use.")
    tags: Tags = Field(
        default_factory=dict,
        description="Written into the ledger with each request of this key, as in team: search.",
    )
    rotation: Rotation | None = Field(
        None, description="Asks for a new key in place of the generated one."
    )

    @rule(
        one_of("secretRef", "generate", "keyHash"),
        "must have exactly one of secretRef, generate and keyHash",
    )
    def _exactly_one(self) -> FieldPath | None:
        return missing_or_many(self.secret_ref, self.generate, self.key_hash)

    @rule("!has(self.rotation) || has(self.generate)", "rotation goes with generate", ".rotation")
    def _rotation_of_a_minted_key(self) -> FieldPath | None:
        wrong = self.rotation is not None and self.generate is None
        return ("rotation",) if wrong else None


class ApiKeySpec(Fields):
    """Exactly one of the members."""

    upstream: UpstreamKey | None = Field(
        None, description="What a deployment presents to a provider."
    )
    client: ClientKey | None = Field(None, description="What a caller presents to the gateway.")

    @rule(one_of("upstream", "client"), "must have exactly one of upstream and client")
    def _exactly_one(self) -> FieldPath | None:
        return missing_or_many(self.upstream, self.client)


class ApiKey(Manifest):
    """A key: what a deployment presents to a provider, or what a caller presents to the gateway."""

    kind: Literal["ApiKey"] = Field(description="ApiKey.")
    spec: ApiKeySpec = Field(description="What the key is; exactly one of upstream and client.")
