"""Upstream errors that are already in the OpenAI envelope.

Code, param, type and retry-after survive; where there is no code of use, what decides about the
next attempt is read from status and text (wires/failures.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import msgspec

from sluicegate.model import ApiError
from sluicegate.wires.failures import (
    BAD_GATEWAY,
    MODEL_NOT_FOUND,
    QUOTA,
    cause,
    credential_error,
    is_nowhere,
    names_no_model,
    nowhere_error,
    quota_error,
)
from sluicegate.wires.waiting import retry_after

_MAX_MESSAGE = 2000
_MAX_NAME = 200
_MOST_FINDINGS = 16
# What clients of OpenAI and Azure know as the refusal of content.
_KNOWN_CAUSES = frozenset({"content_filter", "invalid_prompt"})


class _Said(NamedTuple):
    """The fields that are what they should be; the others as if they had not been said."""

    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | None = None


# The upstream's own status where it tells the client something true about the client's request or
# about waiting; 401/403 speak of the deployment's credential, and 3xx of its address: both are the
# gateway's fault, so 502.
_STATUS = {401: BAD_GATEWAY, 403: BAD_GATEWAY, 407: BAD_GATEWAY, 408: 504, 424: 502, 529: 503}


def upstream_error(label: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The client's error for an upstream answer that is not 2xx.

    `label` names the deployment. `body` is shown in parts, so it must not hold a credential.
    """
    said = _decode(body)
    why = cause(status, said.message, said.code)
    if status == 401 or (status == 403 and why is None):
        return credential_error(label, f"HTTP {status}")
    if is_nowhere(status, said.message, said.code):
        return nowhere_error(label, status)
    if status == 403:
        status = 400  # nobody's credential is bad
    if status == 402 or said.code == QUOTA:
        return quota_error(label, said.message[:_MAX_MESSAGE])
    if _no_code(said) and said.param in {None, "model"} and names_no_model(status, said.message):
        said = said._replace(code=MODEL_NOT_FOUND, param="model")
    message = said.message[:_MAX_MESSAGE] or f"Deployment {label} answered HTTP {status}."
    client_status = _STATUS.get(status, status if status >= 400 else BAD_GATEWAY)
    return ApiError(
        client_status,
        message,
        type=said.type or ("invalid_request_error" if client_status < 500 else "server_error"),
        param=said.param,
        code=said.code if said.code in _KNOWN_CAUSES else why or said.code,
        retry_after=retry_after(headers),
    )


def _no_code(said: _Said) -> bool:
    """Whether no code is said, or only the status once more (vLLM)."""
    return said.code is None or said.code.isdecimal()


def _decode(body: bytes) -> _Said:
    """What is said in OpenAI's envelope, flat (vLLM), as `detail` (FastAPI), or as bare words."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Said()
    if not isinstance(value, dict):
        return _Said()
    envelope = cast("dict[str, object]", value)
    for said in (envelope.get("error"), envelope, envelope.get("detail")):
        if isinstance(said, dict):
            found = _fields(cast("dict[str, object]", said))
        elif isinstance(said, list):
            found = _Said(_findings(cast("list[object]", said)))
        else:
            found = _Said(_text(said) or "")
        if any(found):
            return found
    return _Said()


def _fields(said: dict[str, object]) -> _Said:
    code = said.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    return _Said(
        _text(said.get("message")) or "",
        _name(said.get("type")),
        _name(said.get("param")),
        _name(code),
    )


def _findings(said: list[object]) -> str:
    """FastAPI's list of what is wrong with a request, each with its `msg`."""
    objects = [cast("dict[str, object]", one) for one in said[:_MOST_FINDINGS] if _is_object(one)]
    return "; ".join(filter(None, (_text(one.get("msg")) for one in objects)))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _name(value: object) -> str | None:
    return value[:_MAX_NAME] if isinstance(value, str) else None
