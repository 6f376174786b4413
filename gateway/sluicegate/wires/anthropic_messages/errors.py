"""Errors of a Messages API in the words of the Responses API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from sluicegate.model import ApiError
from sluicegate.wires.anthropic_messages.said import UNREADABLE, Failure
from sluicegate.wires.failures import (
    BAD_GATEWAY,
    RATE_LIMIT,
    cause,
    credential_error,
    error_type,
    is_nowhere,
    nowhere_error,
    shown,
)
from sluicegate.wires.waiting import retry_after

# 401 and 403 speak of the deployment's credential and 3xx of its address, which is the gateway's
# fault; 402 of an account that is empty, as OpenAI says with 429; 529 is overload.
_STATUS: Mapping[int, int] = MappingProxyType({408: 504, 424: 502, 529: 503})
_CODES: Mapping[int, str] = MappingProxyType(
    {404: "model_not_found", 413: "request_too_large", 429: RATE_LIMIT, 529: "server_overloaded"}
)
# Of an error inside a stream: the status that it would have had.
_STREAM_STATUS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "timeout_error": 504,
        "overloaded_error": 503,
    }
)
_EMPTY_ACCOUNT = re.compile(r"credit balance is too low", re.IGNORECASE)
# Validation errors begin with the path of what they are about.
_PATH = re.compile(r"([a-z_]+)(?:[.:\[]|\b)")
_PARAMS: Mapping[str, str] = MappingProxyType(
    {
        "max_tokens": "max_output_tokens",
        "messages": "input",
        "metadata": "safety_identifier",
        "model": "model",
        "output_config": "text.format",
        "system": "instructions",
        "temperature": "temperature",
        "thinking": "reasoning",
        "tool_choice": "tool_choice",
        "tools": "tools",
        "top_p": "top_p",
    }
)


class _Envelope(msgspec.Struct):
    error: Failure | None = None


_envelope = msgspec.json.Decoder(_Envelope)


def http_error(
    label: str, status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]
) -> ApiError:
    """The client's error for an upstream answer that is not 2xx.

    `label` names the deployment. Text of the upstream that repeats one of `secrets` is not shown.
    """
    said = _decode(body)
    if status in (401, 403):
        return credential_error(label, f"HTTP {status}")
    if is_nowhere(status, said.message):
        return nowhere_error(label, status)
    if status == 402 or _EMPTY_ACCOUNT.search(said.message):
        return ApiError(
            429,
            f"The upstream account of deployment {label} has no credit left.",
            type="insufficient_quota",
            code="insufficient_quota",
            should_retry=False,
        )
    message = shown(said.message, secrets) or f"Deployment {label} answered HTTP {status}."
    client_status = _STATUS.get(status, status if status >= 400 else BAD_GATEWAY)
    code, param = _code(status, said.message)
    return ApiError(
        client_status,
        message,
        type=error_type(client_status),
        code=code,
        param=param,
        retry_after=retry_after(headers),
        should_retry=_should_retry(headers),
    )


def stream_error(label: str, failure: Failure | None, secrets: tuple[str, ...]) -> ApiError:
    """The error of an answer that failed after it had begun."""
    said = failure or Failure()
    status = _STREAM_STATUS.get(said.type, 500)
    message = shown(said.message, secrets) or f"Deployment {label} failed while it answered."
    code, param = _code(status, said.message)
    if status in (429, 503):  # the closed set of Response.error has no other word for overload
        code = RATE_LIMIT
    return ApiError(
        status,
        message,
        type=error_type(status),
        code=code or ("server_error" if status >= 500 else "invalid_prompt"),
        param=param,
    )


def _code(status: int, message: str) -> tuple[str | None, str | None]:
    """Code and param. The API has neither, so they are read from status and text."""
    why = cause(status, message)
    if why is not None:
        return why, "input"
    param = None
    if status in (400, 404):
        path = _PATH.match(message)
        param = _PARAMS.get(path[1]) if path is not None else None
    return _CODES.get(status, "server_error" if status >= 500 else None), param


def _decode(body: bytes) -> Failure:
    try:
        return _envelope.decode(body).error or Failure()
    except UNREADABLE:
        return Failure()


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
