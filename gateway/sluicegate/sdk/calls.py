"""`responses` and `aresponses`."""

from __future__ import annotations

import asyncio
import math
from typing import Literal, overload

import httpx2
import openai
from openai.types.responses import Response
from typing_extensions import Unpack

from sluicegate.sdk.arguments import Arguments, Input
from sluicegate.sdk.clients import DEFAULT_TIMEOUT, loop_client, shared_client
from sluicegate.sdk.exchange import Exchange, Whole
from sluicegate.sdk.exchange_async import AsyncExchange
from sluicegate.sdk.plan import WouldBlock, plan_call
from sluicegate.sdk.streams import AsyncResponseStream, ResponseStream


@overload
def responses(
    model: str,
    input: Input | None = None,
    *,
    stream: Literal[False] = False,
    http_client: httpx2.Client | None = None,
    **arguments: Unpack[Arguments],
) -> Response: ...
@overload
def responses(
    model: str,
    input: Input | None = None,
    *,
    stream: Literal[True],
    http_client: httpx2.Client | None = None,
    **arguments: Unpack[Arguments],
) -> ResponseStream: ...
@overload
def responses(
    model: str,
    input: Input | None = None,
    *,
    stream: bool,
    http_client: httpx2.Client | None = None,
    **arguments: Unpack[Arguments],
) -> Response | ResponseStream: ...
def responses(
    model: str,
    input: Input | None = None,  # noqa: A002 - the API's own name
    *,
    stream: bool = False,
    http_client: httpx2.Client | None = None,
    **arguments: Unpack[Arguments],
) -> Response | ResponseStream:
    """Ask `model`, which is `provider/model`, and wait for the answer.

    With `stream` it returns as soon as the answer's first output is there; until then another
    attempt, or a fallback, may take over. An `http_client` brings its own proxies, certificates and
    pool; headers, cookies and authentication of its own are not used.

    Raises the `openai` package's exceptions; TypeError for a keyword that is not known.
    """
    plan = plan_call(model, input, arguments, stream=stream)
    exchange = Exchange(plan, http_client or shared_client(), _timeout(arguments))
    if stream:
        return ResponseStream(exchange.stream())
    return _response(exchange.whole())


@overload
async def aresponses(
    model: str,
    input: Input | None = None,
    *,
    stream: Literal[False] = False,
    http_client: httpx2.AsyncClient | None = None,
    **arguments: Unpack[Arguments],
) -> Response: ...
@overload
async def aresponses(
    model: str,
    input: Input | None = None,
    *,
    stream: Literal[True],
    http_client: httpx2.AsyncClient | None = None,
    **arguments: Unpack[Arguments],
) -> AsyncResponseStream: ...
@overload
async def aresponses(
    model: str,
    input: Input | None = None,
    *,
    stream: bool,
    http_client: httpx2.AsyncClient | None = None,
    **arguments: Unpack[Arguments],
) -> Response | AsyncResponseStream: ...
async def aresponses(
    model: str,
    input: Input | None = None,  # noqa: A002 - the API's own name
    *,
    stream: bool = False,
    http_client: httpx2.AsyncClient | None = None,
    **arguments: Unpack[Arguments],
) -> Response | AsyncResponseStream:
    """As `responses`, on an event loop of asyncio."""
    try:
        plan = plan_call(model, input, arguments, stream=stream, may_block=False)
    except WouldBlock:
        plan = await asyncio.to_thread(plan_call, model, input, arguments, stream=stream)
    exchange = AsyncExchange(plan, http_client or await loop_client(), _timeout(arguments))
    if stream:
        return AsyncResponseStream(await exchange.stream())
    return _response(await exchange.whole())


def _timeout(arguments: Arguments) -> httpx2.Timeout:
    given = arguments.get("timeout", DEFAULT_TIMEOUT)
    if isinstance(given, int | float) and not 0 < given < math.inf:
        raise openai.OpenAIError("timeout must be a number of seconds above 0, or None")
    return given if isinstance(given, httpx2.Timeout) else httpx2.Timeout(given)


def _response(whole: Whole) -> Response:
    response = whole.response
    # "Unlike other properties that use an _ prefix, this property is public" (openai-python).
    response._request_id = whole.request_id  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - see above
    return response
