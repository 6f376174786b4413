"""Errors of servers for chat completions in the words of the Responses API.

OpenAI's envelope is the rule. Others say `{"error": "…"}` (Ollama), `{"object": "error", "message":
…}` (older vLLM, Mistral), `{"detail": …}` (FastAPI), or give the HTTP status as the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import msgspec
from msgspec import Raw, Struct

from sluicegate.model import ApiError
from sluicegate.wires.chat_completions.said import UNREADABLE
from sluicegate.wires.failures import (
    BAD_GATEWAY,
    MODEL_NOT_FOUND,
    QUOTA,
    RATE_LIMIT,
    cause,
    credential_error,
    error_type,
    is_nowhere,
    names_no_model,
    nowhere_error,
    quota_error,
    shown,
)
from sluicegate.wires.waiting import retry_after

# 401 and 403 speak of the deployment's credential and 3xx of its address: the gateway's fault.
_STATUS: Mapping[int, int] = MappingProxyType(
    {407: BAD_GATEWAY, 408: 504, 424: 502, 498: 503, 529: 503}
)
_BY_TYPE: tuple[tuple[str, int], ...] = (
    ("rate_limit", 429),
    ("ratelimit", 429),
    ("quota", 429),
    ("overload", 503),
    ("unavailable", 503),
    ("timeout", 504),
    ("invalid_request", 400),
    ("badrequest", 400),
    ("context_length", 400),
    ("exceed_context", 400),
)
# What the parameters are called here.
_PARAMS: Mapping[str, str] = MappingProxyType(
    {
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
        "messages": "input",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
        "verbosity": "text.verbosity",
        "logprobs": "include",
    }
)
_PLAIN = frozenset(
    {
        *("model", "temperature", "top_p", "top_logprobs", "tools", "tool_choice", "user"),
        *("presence_penalty", "frequency_penalty", "parallel_tool_calls", "service_tier"),
        *("safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    }
)


class Failure(Struct):
    """What went wrong, as far as it is said."""

    message: str = ""
    type: str = ""
    param: str | None = None
    code: str | int | None = None


class _Loose(Struct):
    """The same, whatever the members are."""

    message: object = None
    type: object = None
    param: object = None
    code: object = None
    error: object = None
    detail: object = None


_any = msgspec.json.Decoder()


def http_error(
    label: str, status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]
) -> ApiError:
    """The client's error for an upstream answer that is not 2xx.

    `label` names the deployment. Text of the upstream that repeats one of `secrets` is not shown.
    """
    said = failure(body)
    if _is_credential(status, said):
        return credential_error(label, f"HTTP {status}")
    if is_nowhere(status, said.message, said.code):
        return nowhere_error(label, status)
    return _error(label, status, said, secrets, headers)


def stream_error(label: str, said: Failure, secrets: tuple[str, ...]) -> ApiError:
    """The error of an answer that failed after it had begun."""
    status = _status_of(said)
    if _is_credential(status, said):
        return credential_error(label, f"HTTP {status}")
    error = _error(label, status, said, secrets, {})
    if error.status not in {429, 503} or error.error.code == QUOTA:
        return error
    # The closed set of Response.error has no other word for overload.
    return ApiError(error.status, error.error.message, type=error.error.type, code=RATE_LIMIT)


def failure(body: bytes | Raw) -> Failure:
    """What a body or a member `error` says, in any of the forms that are known."""
    try:
        value = _any.decode(body)
    except UNREADABLE:
        return Failure()
    loose = _loose(value)
    if loose.error is not None:
        code = loose.code
        loose = _loose(loose.error)
        loose.code = code if loose.code is None else loose.code
    message = loose.message if loose.message is not None else loose.detail
    return Failure(
        _text(message),
        loose.type if isinstance(loose.type, str) else "",
        loose.param if isinstance(loose.param, str) else None,
        _code_of(loose.code),
    )


def _loose(value: object) -> _Loose:
    if isinstance(value, dict):
        return msgspec.convert(cast("dict[str, object]", value), _Loose)
    return _Loose(value if isinstance(value, str) else None)


def _text(message: object) -> str:
    if isinstance(message, str):
        return message
    return "" if message is None else msgspec.json.encode(message).decode()


def _code_of(code: object) -> str | int | None:
    return code if isinstance(code, str | int) and not isinstance(code, bool) else None


def _error(
    label: str,
    status: int,
    said: Failure,
    secrets: tuple[str, ...],
    headers: Mapping[str, str],
) -> ApiError:
    message = shown(said.message, secrets)
    if status == 402 or said.code == QUOTA:
        return quota_error(label, message)
    why = cause(status, said.message, said.code or said.type)
    if status == 403 and why is not None:
        status = 400  # nobody's credential is bad
    client_status = _STATUS.get(status, status if status >= 400 else BAD_GATEWAY)
    code, param = (why, "input") if why is not None else _code(client_status, said)
    return ApiError(
        client_status,
        message or f"Deployment {label} answered HTTP {status}.",
        type=error_type(client_status),
        code=code,
        param=param,
        retry_after=retry_after(headers),
        should_retry={"true": True, "false": False}.get(headers.get("x-should-retry", "")),
    )


def _is_credential(status: int, said: Failure) -> bool:
    if status == 403:
        return cause(status, said.message, said.code) is None
    return status == 401


def _status_of(said: Failure) -> int:
    """Of an error inside a stream: the status that it would have had."""
    try:
        number = int(said.code or 0)
    except ValueError:
        number = 0
    if 400 <= number < 600:
        return number
    kind = f"{said.type} {said.code or ''}".lower()
    return next((status for part, status in _BY_TYPE if part in kind), 500)


def _code(status: int, said: Failure) -> tuple[str | None, str | None]:
    """Code and param."""
    param = _param(said.param) if status < 500 else None
    code = said.code if isinstance(said.code, str) and not said.code.isdecimal() else None
    if code is None:
        if names_no_model(status, said.message):
            return MODEL_NOT_FOUND, "model"
        code = {413: "request_too_large", 429: RATE_LIMIT}.get(status)
    return code or ("server_error" if status >= 500 else None), param


def _param(param: str | None) -> str | None:
    if param is None:
        return None
    name = re.split(r"[.\[]", param, maxsplit=1)[0]
    return _PARAMS.get(name) or (param if name in _PLAIN else None)
