"""Access tokens of Google's OAuth 2.0: credential files, application default credentials.

How a token is had (a signed assertion, a token exchange, a metadata server) is google-auth's to
know, in a thread. It is imported on first use only: a gateway without Vertex AI does not pay its
memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, TypeAlias, cast

import msgspec

from sluicegate.auth.upstream.failure import CredentialFailed
from sluicegate.auth.upstream.google_http import Asker
from sluicegate.auth.upstream.renewed import Found, Renewed
from sluicegate.config import AmbientCredential, GoogleCredential
from sluicegate.providers.contract import GoogleToken, UpstreamCall

_NONE = "no usable Google credentials"
_MOST_IDENTITIES = 1024  # credentials come from the configuration; replaced ones fall out here
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_QUOTA = b"x-goog-user-project"
_SECONDS = 10.0  # for one answer of a token endpoint
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_ERROR_CODE = re.compile(r"[a-z_]{1,64}", re.ASCII)
_AWS_SUBJECT = "urn:ietf:params:aws:token-type:aws4_request"
# By the type of a credential file: the module of its class, and how one is made. Those that run
# programs are left out.
_MAKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "service_account": ("google.oauth2.service_account", "from_service_account_info"),
        "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
        "external_account": ("google.auth.identity_pool", "from_info"),
        "external_account of AWS": ("google.auth.aws", "from_info"),
        "impersonated_service_account": (
            "google.auth.impersonated_credentials",
            "from_impersonated_service_account_info",
        ),
    }
)

AccessHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]
_Info: TypeAlias = Mapping[str, object]
_Request: TypeAlias = Callable[..., object]


class _Credentials(Protocol):
    """What all credentials of google-auth have in common. `expiry` is in UTC, without a zone."""

    token: str | None
    expiry: datetime | None

    def refresh(self, request: _Request) -> None: ...


class GoogleAuthorizer:
    """Access tokens, one per credential; one per gateway process. `clock` gives Unix seconds."""

    __slots__ = ("_clock", "_tokens")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens: dict[GoogleCredential | AmbientCredential, Renewed[AccessHeaders]] = {}

    async def headers(self, call: UpstreamCall, wanted: GoogleToken) -> AccessHeaders:
        """The headers that authorise `call`. Raises CredentialFailed."""
        renewed = self._tokens.get(wanted.credential) or self._identify(wanted.credential)
        headers = await renewed.get()
        if len(headers) > 1 and any(name == _QUOTA for name, _ in call.headers):
            return headers[:1]  # the deployment says itself whose quota it is
        return headers

    def _identify(self, credential: GoogleCredential | AmbientCredential) -> Renewed[AccessHeaders]:
        if len(self._tokens) >= _MOST_IDENTITIES:
            del self._tokens[next(iter(self._tokens))]
        renewed = access(credential, self._clock)
        self._tokens[credential] = renewed
        return renewed


def access(
    credential: GoogleCredential | AmbientCredential, clock: Callable[[], float] = time.time
) -> Renewed[AccessHeaders]:
    """The headers of an access token, for one event loop. `clock` gives Unix seconds."""
    return Renewed(_Token(credential), clock)


class _Token:
    """Looks a token up. The credentials are kept: some remember how they were had."""

    def __init__(self, credential: GoogleCredential | AmbientCredential) -> None:
        self._credential = credential
        self._credentials: _Credentials | None = None

    def __call__(self) -> Found[AccessHeaders]:
        """Blocks. Raises CredentialFailed."""
        credentials, self._credentials = self._credentials, None
        try:
            request = _request()
            if credentials is None:
                credentials = self._load(request)
            credentials.refresh(request)
        except CredentialFailed:
            raise
        except ImportError as error:
            raise CredentialFailed(
                "google-auth is not installed: pip install 'sluicegate[google]'"
            ) from error
        except Exception as error:  # files, keys, HTTP: any of them may fail in its own way
            raise CredentialFailed(_told(error)) from error
        self._credentials = credentials
        return _found(credentials)

    def _load(self, request: _Request) -> _Credentials:
        credential = self._credential
        if isinstance(credential, AmbientCredential):
            return _default(request)
        try:
            info = msgspec.json.decode(credential.json, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise CredentialFailed("it is not the JSON of a Google credential file") from error
        return _from_file(info)


def _request() -> _Request:
    """How google-auth asks: within bounds of time, and only where it was told to ask."""
    return Asker(_SECONDS, import_module("google.auth.exceptions").TransportError)


def _default(request: _Request) -> _Credentials:
    """Application default credentials: a file, gcloud's login, the metadata server (GKE too)."""
    find = import_module("google.auth").default
    nothing_found: type[Exception] = import_module("google.auth.exceptions").DefaultCredentialsError
    try:
        return find(scopes=_SCOPES, request=request)[0]
    except nothing_found as error:
        raise CredentialFailed(
            f"{_NONE}: set spec.credentials, or give the gateway an identity "
            "(GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default login, workload "
            "identity)",
            missing=_NONE,
        ) from error


def _from_file(info: _Info) -> _Credentials:
    """What a credential file stands for. Raises CredentialFailed for a kind that is not known."""
    kind = info.get("type")
    if kind == "external_account" and info.get("subject_token_type") == _AWS_SUBJECT:
        kind = "external_account of AWS"
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    if maker is None:
        raise CredentialFailed(
            "it must be of type service_account, external_account, authorized_user or "
            "impersonated_service_account"
        )
    module, method = maker
    return getattr(import_module(module).Credentials, method)(info, scopes=_SCOPES)


def _found(credentials: _Credentials) -> Found[AccessHeaders]:
    token = credentials.token
    if token is None or _VISIBLE.fullmatch(token) is None:
        raise CredentialFailed("Google gave no token that a header can hold")
    headers = [(b"authorization", b"Bearer " + token.encode())]
    quota = getattr(credentials, "quota_project_id", None)  # whose quota a person's calls count
    if isinstance(quota, str) and _VISIBLE.fullmatch(quota):
        headers.append((_QUOTA, quota.encode()))
    expiry = credentials.expiry
    ends = None if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
    return Found(tuple(headers), ends)


def _told(error: Exception) -> str:
    """The kind of failure. Messages of google-auth quote what it was answered: they stay here."""
    kind = type(error).__name__
    said = error.args[1] if len(error.args) > 1 else None
    code = cast("dict[str, object]", said).get("error") if isinstance(said, dict) else None
    if isinstance(code, str) and _ERROR_CODE.fullmatch(code):
        kind = f"{kind}, {code}"
    return f"getting a Google access token failed: {kind}"
