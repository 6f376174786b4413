"""AWS credentials for calls that are signed: static keys, the ambient chain, assumed roles.

What has to be looked up (files, metadata services, STS) is botocore's to find, in a thread. It is
imported on first use only: a gateway without AWS does not pay its memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, cast

from sluicegate.auth.upstream.failure import CredentialFailed
from sluicegate.auth.upstream.renewed import Found, Renewed
from sluicegate.auth.upstream.sigv4 import Keys, Signer
from sluicegate.config import AmbientCredential, AwsCredential
from sluicegate.providers.contract import AwsSigning, UpstreamCall

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

_NONE = "no AWS credentials"
_MOST_IDENTITIES = 1024  # credentials come from the configuration; replaced ones fall out here
_SESSION_NAME = "sluicegate"
_STS_SECONDS = (5, 10)  # to connect, to answer
_LONGEST_CODE = 64  # characters; of a service's word for an error
_LONGEST_LIFE = 7 * 86400  # seconds; of credentials that say when they end


class _Given(TypedDict):
    """What STS gives (its API reference, "Credentials")."""

    AccessKeyId: str
    SecretAccessKey: str
    SessionToken: str
    Expiration: datetime


class _Sts(Protocol):
    """The one call of botocore's STS client; its methods are made at run time."""

    def assume_role(self, **asked: str) -> dict[Literal["Credentials"], _Given]: ...


class _Identity:
    """One credential in one region: where its keys come from, and the signer of those in use."""

    __slots__ = ("renewed", "signer")

    def __init__(self, renewed: Renewed[Keys] | None, signer: Signer | None) -> None:
        self.renewed = renewed
        self.signer = signer


class AwsAuthorizer:
    """Signs calls; one per gateway process. `clock` gives Unix seconds."""

    __slots__ = ("_clock", "_identities", "_roles")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._roles = _Roles()
        self._identities: dict[AwsSigning, _Identity] = {}

    @property
    def held(self) -> int:
        """How many credentials are held."""
        return len(self._identities)

    async def headers(
        self, call: UpstreamCall, signing: AwsSigning
    ) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that authorise `call`. Raises CredentialFailed."""
        identity = self._identities.get(signing) or self._identify(signing)
        signer = identity.signer
        if identity.renewed is not None:
            keys = await identity.renewed.get()
            if signer is None or signer.keys is not keys:
                signer = identity.signer = Signer(keys, signing.region, signing.service)
        if signer is None:
            raise CredentialFailed("it has neither keys nor a role")
        return signer.headers(call, self._clock())

    def _identify(self, signing: AwsSigning) -> _Identity:
        if len(self._identities) >= _MOST_IDENTITIES:
            del self._identities[next(iter(self._identities))]
        credential = signing.credential
        if isinstance(credential, AwsCredential) and credential.role_arn is not None:
            look_up = partial(self._roles.assume, credential, signing.region)
            identity = _Identity(Renewed(look_up, self._clock), None)
        elif isinstance(credential, AmbientCredential):
            identity = _Identity(Renewed(_Chain(self._clock), self._clock), None)
        else:
            keys = _static(credential)
            signer = Signer(keys, signing.region, signing.service) if keys is not None else None
            identity = _Identity(None, signer)
        self._identities[signing] = identity
        return identity


def _static(credential: AwsCredential) -> Keys | None:
    if credential.access_key_id is None or credential.secret_access_key is None:
        return None
    return Keys(
        credential.access_key_id, credential.secret_access_key, credential.session_token or None
    )


class _Chain:
    """The ambient chain of the AWS SDKs.

    Environment, profile (with SSO, processes and roles), web identity (IRSA), container (ECS, EKS
    Pod Identity), instance metadata.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._credentials = None

    def __call__(self) -> Found[Keys]:
        """Blocks. Raises CredentialFailed."""
        try:
            return self._find()
        except CredentialFailed:
            raise
        except Exception as error:  # files, processes, HTTP: any of them may fail in its own way
            raise CredentialFailed(_told("the AWS credential chain", error)) from error

    def _find(self) -> Found[Keys]:
        credentials = self._credentials
        if credentials is None:
            credentials = _session().get_credentials()
        if credentials is None:
            raise CredentialFailed(
                f"{_NONE}: set spec.credentials, or give the gateway an identity "
                "(AWS_ACCESS_KEY_ID, a profile, IRSA, Pod Identity, an instance role)",
                missing=_NONE,
            )
        frozen = credentials.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise CredentialFailed(
                "the AWS credential chain found an access key without its secret"
            )
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token or None)
        refresh_needed = getattr(credentials, "refresh_needed", None)
        if refresh_needed is None:
            return Found(keys, None)  # static: found anew each time, since a file may be replaced
        self._credentials = credentials  # renews itself, and remembers how
        return Found(keys, self._clock() + _seconds_left(refresh_needed))


def _seconds_left(refresh_needed: Callable[[int], bool]) -> float:
    """How long credentials still hold, of which only this can be asked."""
    least, most = 0, _LONGEST_LIFE
    while least < most:
        middle = (least + most + 1) // 2
        if refresh_needed(middle):
            most = middle - 1
        else:
            least = middle
    return float(least)


class _Roles:
    """Assumes roles. All share one session, since each would hold its own copy of the STS model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a session's clients are made one at a time
        self._session: Session | None = None

    def assume(self, credential: AwsCredential, region: str) -> Found[Keys]:
        """The keys of an assumed role. Blocks. Raises CredentialFailed."""
        asked = {"RoleArn": credential.role_arn or "", "RoleSessionName": _session_name(credential)}
        if credential.external_id is not None:
            asked["ExternalId"] = credential.external_id
        try:
            client = self._client(_static(credential), region)
            try:
                given = cast("_Sts", client).assume_role(**asked)["Credentials"]
            finally:
                client.close()
        except CredentialFailed:
            raise
        except Exception as error:  # as in the chain
            self._session = None  # the ambient identity may have changed: it is looked up anew
            raise CredentialFailed(_told("assuming its role", error)) from error
        keys = Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Found(keys, given["Expiration"].timestamp())

    def _client(self, source: Keys | None, region: str) -> BaseClient:
        connect, read = _STS_SECONDS
        with self._lock:
            session = self._session = self._session or _session()
            from botocore.config import Config  # noqa: PLC0415 - see the module: on first use

            return session.create_client(
                "sts",
                region_name=region,
                aws_access_key_id=source.access_key if source is not None else None,
                aws_secret_access_key=source.secret_key if source is not None else None,
                aws_session_token=source.token if source is not None else None,
                config=Config(
                    connect_timeout=connect, read_timeout=read, retries={"total_max_attempts": 2}
                ),
            )


def _session_name(credential: AwsCredential) -> str:
    return credential.session_name or _SESSION_NAME


def _session() -> Session:
    """A fresh botocore session. Raises CredentialFailed where botocore is not installed."""
    try:
        from botocore.session import Session  # noqa: PLC0415 - see the module: loaded on first use
    except ImportError as error:
        raise CredentialFailed(
            "botocore is not installed: pip install 'sluicegate[aws]'"
        ) from error
    return Session()


def _service_code(error: Exception) -> str | None:
    """The code of a botocore ClientError, whose class must not be imported for this alone."""
    response = getattr(error, "response", None)
    try:
        return str(cast("dict[str, dict[str, object]]", response)["Error"]["Code"])[:_LONGEST_CODE]
    except (KeyError, TypeError):
        return None


def profile_region() -> str | None:
    """The region that the AWS configuration gives the chosen profile, if any. Blocks.

    Raises CredentialFailed.
    """
    try:
        session = _session()
    except CredentialFailed:  # without the AWS libraries there is no such file
        return None
    try:
        return cast("str | None", session.get_config_variable("region"))
    except Exception as error:  # a profile that is not there, a file that can't be read
        raise CredentialFailed(_told("the AWS profile", error)) from error


def _told(what: str, error: Exception) -> str:
    """The kind of failure. Messages of botocore may quote what it was given, so they stay here."""
    return f"{what} failed: {_service_code(error) or type(error).__name__}"
