"""What goes wrong, as the exceptions of the `openai` package.

Their `request` and `response` are made here, without credentials and without what was said: an
exception ends up in logs. For the same reason none of them is chained to the transport's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import httpx2
import msgspec
import openai

from sluicegate.model import ApiError
from sluicegate.providers.contract import UpstreamCall
from sluicegate.routing.attempts import Outcome

_CLASSES: Mapping[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "x-goog-request-id")
_KEPT = ("retry-after", "retry-after-ms", "content-type")
_KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
_NO_ADDRESS = httpx2.Request("POST", "sluicegate:responses")  # nothing was to be sent
# What is said of a broken exchange. The exceptions' own texts quote bytes, which may be secret.
_REASONS: tuple[tuple[type[httpx2.RequestError], Outcome, str], ...] = (
    (httpx2.ProxyError, Outcome.CONNECT, "the proxy refused the connection"),
    (httpx2.ConnectError, Outcome.CONNECT, "cannot connect"),
    (httpx2.UnsupportedProtocol, Outcome.CONNECT, "its address is neither http nor https"),
    (httpx2.LocalProtocolError, Outcome.CLIENT_ERROR, "a header holds what HTTP does not allow"),
    (httpx2.DecodingError, Outcome.LOST, "the answer's compression is broken"),
    (httpx2.RemoteProtocolError, Outcome.LOST, "the connection ended, or what came is not HTTP"),
)


class AttemptFailed(Exception):
    """An attempt ended without anything for the caller, who gets `error` if no other succeeds.

    `retry_after` is in seconds.
    """

    def __init__(
        self, outcome: Outcome, error: openai.OpenAIError, retry_after: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.outcome = outcome
        self.error = error
        self.retry_after = retry_after


def shown_request(call: UpstreamCall | None) -> httpx2.Request:
    """The request as exceptions show it: method and address, without query, headers and body."""
    if call is None:
        return _NO_ADDRESS
    url = httpx2.URL(call.base_url).copy_with(raw_path=call.target.partition("?")[0].encode())
    return httpx2.Request(call.method, url)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's own name for the exchange."""
    return next((headers[name] for name in _REQUEST_IDS if name in headers), None)


def status_error(
    error: ApiError, status: int, request: httpx2.Request, headers: Mapping[str, str]
) -> openai.APIStatusError:
    """The exception of an answer that is not 2xx, or of a request that was refused unsent."""
    kept = {
        name: value
        for name, value in headers.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    found = request_id(headers)
    if found is not None:
        kept["x-request-id"] = found
    body: dict[str, object] = msgspec.to_builtins(error.error)
    kind = _CLASSES.get(
        status, openai.InternalServerError if status >= 500 else openai.APIStatusError
    )
    response = httpx2.Response(status, headers=kept, json={"error": body}, request=request)
    return kind(error.error.message, response=response, body=body)


def stream_failure(error: ApiError, request: httpx2.Request) -> openai.APIError:
    """The exception of a stream that fails after it has begun; its HTTP status was 200."""
    return openai.APIError(error.error.message, request, body=msgspec.to_builtins(error.error))


def exchange_failure(
    label: str, error: httpx2.RequestError, request: httpx2.Request
) -> AttemptFailed:
    """What an exchange means that did not come to its end."""
    if isinstance(error, httpx2.TimeoutException):
        return AttemptFailed(Outcome.TIMEOUT, openai.APITimeoutError(request))
    outcome, reason = next(
        ((outcome, reason) for kind, outcome, reason in _REASONS if isinstance(error, kind)),
        (Outcome.LOST, "the connection was lost"),
    )
    if outcome is Outcome.CONNECT:
        reason += _system_reason(error)
    return AttemptFailed(
        outcome, openai.APIConnectionError(message=f"{label}: {reason}.", request=request)
    )


def _system_reason(error: BaseException) -> str:
    """What the operating system or TLS said, where it said something."""
    for each in _causes(error):
        if isinstance(each, OSError) and each.strerror:
            return f" ({each.strerror})"
    return ""


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: set[int] = set()
    pending = [error]
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):  # of the addresses that were tried
            pending += cast("BaseExceptionGroup[BaseException]", each).exceptions
        pending += [found for found in (each.__cause__, each.__context__) if found is not None]
