"""Errors of Bedrock, before a stream and inside one, in OpenAI's words.

Exceptions and their statuses: Bedrock Runtime API reference, "Converse", "Errors"; those of
signatures and credentials: "Common errors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from sluicegate.framing.aws_eventstream import HeaderValue
from sluicegate.model import ApiError
from sluicegate.wires.failures import (
    cause,
    credential_error,
    is_nowhere,
    nowhere_error,
    shown,
)
from sluicegate.wires.waiting import retry_after


class _Kind(NamedTuple):
    status: int
    code: str | None
    type: str


_INVALID = _Kind(400, None, "invalid_request_error")
_RATE = _Kind(429, "rate_limit_exceeded", "rate_limit_error")
_QUOTA = _Kind(429, "insufficient_quota", "rate_limit_error")
_SERVER = _Kind(500, "server_error", "server_error")
_BUSY = _Kind(503, "server_error", "server_error")
_MODEL = _Kind(502, "server_error", "server_error")
_LATE = _Kind(504, "server_error", "server_error")
_MISSING = _Kind(404, "model_not_found", "invalid_request_error")
_CREDENTIAL = _Kind(502, "upstream_credential", "server_error")

# A ValidationException as well, though the request is not what is wrong with it: of an identifier
# that no model has, and of one that only an inference profile reaches.
_NO_MODEL = re.compile(
    r"model identifier is invalid"
    r"|invocation of model id .{0,200} with on-demand throughput",
    re.IGNORECASE | re.DOTALL,
)

# By the exception's name in lower case, without `exception`.
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "validation": _INVALID,
        "throttling": _RATE,
        "toomanyrequests": _RATE,
        "modelnotready": _RATE,
        "servicequotaexceeded": _QUOTA,
        "resourcenotfound": _MISSING,
        "internalserver": _SERVER,
        "internalfailure": _SERVER,
        "serviceunavailable": _BUSY,
        "modelerror": _MODEL,
        "modelstreamerror": _MODEL,
        "modeltimeout": _LATE,
        "accessdenied": _CREDENTIAL,
        "expiredtoken": _CREDENTIAL,
        "incompletesignature": _CREDENTIAL,
        "invalidclienttokenid": _CREDENTIAL,
        "invalidsignature": _CREDENTIAL,
        "missingauthenticationtoken": _CREDENTIAL,
        "notauthorized": _CREDENTIAL,
        "optinrequired": _CREDENTIAL,
        "signaturedoesnotmatch": _CREDENTIAL,
        "unrecognizedclient": _CREDENTIAL,
    }
)
_BY_STATUS: Mapping[int, _Kind] = MappingProxyType(
    {
        401: _CREDENTIAL,
        403: _CREDENTIAL,
        404: _MISSING,
        408: _LATE,
        424: _MODEL,
        429: _RATE,
        500: _SERVER,
        503: _BUSY,
        504: _LATE,
    }
)


class _Body(msgspec.Struct):
    message: str | None = None
    Message: str | None = None  # older services
    type: str | None = msgspec.field(default=None, name="__type")


_body = msgspec.json.Decoder(_Body)


class Source(NamedTuple):
    """Who answers, and what must not be repeated of it. `secrets` hides in no repr of ours."""

    label: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Source({self.label!r})"


def answer_error(source: Source, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The client's error for an answer that is not 2xx."""
    said = _read(body)
    name = headers.get("x-amzn-errortype") or said.type or ""
    message = said.message or said.Message
    known = _kind(name)
    if known is None and is_nowhere(status, message or ""):
        return nowhere_error(source.label, status)
    kind = known or _BY_STATUS.get(status) or _other(status)
    return _error(source, kind, message, f"HTTP {status}", retry_after(headers))


def frame_error(source: Source, headers: Mapping[str, HeaderValue], payload: bytes) -> ApiError:
    """The error for a frame that is not an event: a modelled exception, or another error."""
    if headers.get(":message-type") == "exception":
        said = _read(payload)
        name, message = str(headers.get(":exception-type", "")), said.message or said.Message
    else:
        name = str(headers.get(":error-code", ""))
        message = str(headers.get(":error-message", ""))
    return _error(source, _kind(name) or _SERVER, message, name or "an error", None)


def failed_answer(source: Source, reason: str) -> ApiError:
    """The model ended without a usable answer."""
    message = f"Deployment {source.label}: the model's answer is malformed ({reason})."
    return ApiError(_MODEL.status, message, type=_MODEL.type, code=_MODEL.code)


def _error(
    source: Source, kind: _Kind, message: str | None, what: str, wait: float | None
) -> ApiError:
    if kind is _CREDENTIAL:
        return credential_error(source.label, what)
    if kind is _INVALID and _NO_MODEL.search(message or ""):
        kind = _MISSING
    text = shown(message or "", source.secrets)
    if not text.strip():
        text = f"Deployment {source.label} answered {what}."
    why = cause(kind.status, message or "") if kind is _INVALID else None
    return ApiError(
        kind.status,
        text,
        type=kind.type,
        code=why or kind.code,
        param=None if why is None else "input",
        retry_after=wait,
    )


def _kind(name: str) -> _Kind | None:
    """`ValidationException:http://…` and `com.amazon…#ValidationException` name one exception."""
    bare = name.partition(":")[0].rpartition("#")[2].lower()
    return _KINDS.get(bare.removesuffix("exception").removesuffix("error")) or _KINDS.get(
        bare.removesuffix("exception")
    )


def _other(status: int) -> _Kind:
    if 400 <= status < 500:
        return _INVALID._replace(status=status)
    return _SERVER._replace(status=status if status >= 500 else _MODEL.status)


def _read(body: bytes) -> _Body:
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Body()
