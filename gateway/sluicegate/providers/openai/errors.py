"""Upstream errors that are already in the OpenAI envelope.

Code, param, type and retry-after survive.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sluicegate.model import ApiError

_MAX_MESSAGE = 2000
_BAD_GATEWAY = 502


class _Error(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Envelope(msgspec.Struct):
    error: _Error | str | None = None
    detail: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Envelope)

# The upstream's own status where it tells the client something true about the client's request or
# about waiting; 401/403 speak of the deployment's credential, and 3xx of its address: both are the
# gateway's fault, so 502.
_STATUS = {401: _BAD_GATEWAY, 403: _BAD_GATEWAY, 407: _BAD_GATEWAY, 408: 504, 424: 502, 529: 503}


def upstream_error(label: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The client's error for an upstream answer that is not 2xx.

    `label` names the deployment. `body` is shown in parts, so it must not hold a credential.
    """
    retry_after = _seconds(headers)
    if status in (401, 403):
        return ApiError(
            _BAD_GATEWAY,
            f"The upstream refused the credential of deployment {label} (HTTP {status}).",
            type="server_error",
            code="upstream_credential",
            should_retry=False,
        )
    error = _decode(body)
    message = error.message[:_MAX_MESSAGE] or f"Deployment {label} answered HTTP {status}."
    client_status = _STATUS.get(status, status if status >= 400 else _BAD_GATEWAY)
    return ApiError(
        client_status,
        message,
        type=error.type or ("invalid_request_error" if client_status < 500 else "server_error"),
        param=error.param,
        code=str(error.code) if error.code is not None else None,
        retry_after=retry_after,
    )


def _decode(body: bytes) -> _Error:
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Error()
    if isinstance(envelope.error, str):
        return _Error(message=envelope.error)
    return envelope.error or _Error()


def _seconds(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, else `retry-after` in seconds.

    An HTTP date is left to the client's own back-off.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            value = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 <= value < float("inf"):
            return value
    return None
