"""Errors of Google's APIs (google.rpc.Status) in the words of the Responses API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from sluicegate.model import ApiError
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
from sluicegate.wires.gemini_content.said import UNREADABLE, Failure
from sluicegate.wires.waiting import duration, retry_after

# 401 and 403 speak of the deployment's credential and 3xx of its address: the gateway's fault.
_STATUS: Mapping[int, int] = MappingProxyType({408: 504, 424: 502, 499: 502})
_CODES: Mapping[int, str] = MappingProxyType(
    {404: "model_not_found", 413: "request_too_large", 429: RATE_LIMIT, 503: "server_overloaded"}
)
# google.rpc.Code, by name: the HTTP status it goes with.
_BY_NAME: Mapping[str, int] = MappingProxyType(
    {
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "OUT_OF_RANGE": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "RESOURCE_EXHAUSTED": 429,
        "CANCELLED": 499,
        "INTERNAL": 500,
        "UNAVAILABLE": 503,
        "DEADLINE_EXCEEDED": 504,
    }
)
_BAD_KEY = frozenset(
    {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED"}
)
_TOO_LARGE = re.compile(r"payload size exceeds", re.IGNORECASE)
# Violations name a field of the request, in either case.
_PARAMS: tuple[tuple[str, str], ...] = (
    ("max_output_tokens", "max_output_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("logprobs", "top_logprobs"),
    ("thinking", "reasoning.effort"),
    ("response_json_schema", "text.format"),
    ("response_schema", "text.format"),
    ("response_mime_type", "text.format"),
    ("system_instruction", "instructions"),
    ("function_calling_config", "tool_choice"),
    ("tools", "tools"),
    ("contents", "input"),
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class _Violation(Struct):
    field: str = ""


class _Detail(Struct, rename="camel"):
    """Those of google.rpc.ErrorInfo, RetryInfo and BadRequest that matter here."""

    reason: str | None = None
    retry_delay: str | None = None
    field_violations: list[_Violation] | None = None


class _Envelope(Struct):
    error: Failure | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_envelopes = msgspec.json.Decoder(list[_Envelope])
_details = msgspec.json.Decoder(list[_Detail])


def http_error(
    label: str, status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]
) -> ApiError:
    """The client's error for an answer that is not 2xx.

    `label` names the deployment. Text of the upstream that repeats one of `secrets` is not shown.
    """
    said = _decode(body)
    details = _details_of(said)
    if status in {401, 403} or any(detail.reason in _BAD_KEY for detail in details):
        return credential_error(label, f"HTTP {status}")
    if is_nowhere(status, said.message):
        return nowhere_error(label, status)
    error = _api_error(label, status, said, details, secrets)
    if error.retry_after is None:
        error.retry_after = retry_after(headers)
    return error


def stream_error(label: str, said: Failure, secrets: tuple[str, ...]) -> ApiError:
    """The error of an answer that failed after it had begun."""
    status = _BY_NAME.get(said.status) or said.code or 500
    if not 400 <= status < 600:
        status = 500
    details = _details_of(said)
    if status in {401, 403} or any(detail.reason in _BAD_KEY for detail in details):
        return credential_error(label, f"HTTP {status}")
    error = _api_error(label, status, said, details, secrets)
    if error.status in {429, 503}:
        # The closed set of Response.error has no other word for overload.
        return ApiError(
            error.status,
            error.error.message,
            type=error.error.type,
            code=RATE_LIMIT,
            retry_after=error.retry_after,
        )
    return error


def is_status(body: bytes) -> bool:
    """Whether a body is an error in this form: others that Vertex AI serves have their own."""
    return bool(_decode(body).status)


def _api_error(
    label: str, status: int, said: Failure, details: list[_Detail], secrets: tuple[str, ...]
) -> ApiError:
    client_status = _STATUS.get(status, status if status >= 400 else BAD_GATEWAY)
    code, param = _code(status, said.message, details)
    return ApiError(
        client_status,
        shown(said.message, secrets) or f"Deployment {label} answered HTTP {status}.",
        type=error_type(client_status),
        code=code or ("server_error" if client_status >= 500 else None),
        param=param,
        retry_after=next(
            (delay for detail in details if (delay := duration(detail.retry_delay)) is not None),
            None,
        ),
    )


def _code(status: int, message: str, details: list[_Detail]) -> tuple[str | None, str | None]:
    """Code and param, which are read from status, text and violations."""
    why = cause(status, message)
    if why is not None:
        return why, "input"
    if status in {400, 413} and _TOO_LARGE.search(message):
        return "request_too_large", "input"
    param = "model" if status == 404 else None
    if status == 400:
        fields = [v.field for detail in details for v in detail.field_violations or ()]
        param = _param(fields[0] if fields else message[:200])
    return _CODES.get(status), param


def _param(field: str) -> str | None:
    name = _CAMEL.sub("_", field).lower()
    return next((param for part, param in _PARAMS if part in name), None)


def _decode(body: bytes) -> Failure:
    """The error, which a stream without events wraps in a list."""
    try:
        if body.lstrip()[:1] == b"[":
            return next((each.error for each in _envelopes.decode(body) if each.error), Failure())
        return _envelope.decode(body).error or Failure()
    except UNREADABLE:
        return Failure()


def _details_of(said: Failure) -> list[_Detail]:
    try:
        return _details.decode(said.details) if bytes(said.details) else []
    except UNREADABLE:
        return []
