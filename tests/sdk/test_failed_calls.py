"""What a program is told when a call fails, and that it is told no secret."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response

import sluicegate
from responses_wire import frames
from scripted_upstream import Call, answers, breaks_after, hangs, streams
from served_upstream import Served
from sluicegate.sdk import ResponseStream
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"
KEY = "sk-very-secret-0123456789"
STATUSES = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
    (418, openai.APIStatusError),
]
ERROR = {"message": "no", "type": "some_error", "param": "input", "code": "some_code"}


def ask(upstream: Served, **more: object) -> Response:
    return sluicegate.responses(MODEL, "hi", stream=False, **connected(upstream, **more))


def open_stream(upstream: Served, **more: object) -> ResponseStream:
    return sluicegate.responses(MODEL, "hi", stream=True, **connected(upstream, **more))


def connected(upstream: Served, **more: object) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": f"{upstream.origin}/v1", "max_retries": 0, **more}


def all_of(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it is chained to."""
    yield error
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from all_of(other)


def check_silent(error: openai.APIError, secret: str = KEY) -> None:
    for each in all_of(error):
        shown = "".join(traceback.format_exception(each)) + repr(vars(each))
        assert secret not in shown
        for name in ("request", "response"):
            message = getattr(each, name, None)
            if message is None:
                continue
            assert secret not in repr(message.headers.raw) + str(getattr(message, "url", ""))
            assert secret.encode() not in message.read()


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("streamed", [False, True])
def test_statuses(
    upstream: Served, status: int, kind: type[openai.APIStatusError], streamed: bool
) -> None:
    body = json.dumps({"error": ERROR}).encode()
    headers = [("x-request-id", "req_9"), ("retry-after", "7"), ("set-cookie", f"k={KEY}")]
    upstream.says(answers(body, status, headers))
    with pytest.raises(openai.APIStatusError) as caught:
        open_stream(upstream) if streamed else ask(upstream)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == status
    assert error.request_id == "req_9"
    assert error.response.headers["retry-after"] == "7"
    assert error.request.method == "POST"
    assert str(error.request.url) == f"{upstream.origin}/v1/responses"
    if status not in (401, 403):
        assert (error.message, error.code, error.param) == ("no", "some_code", "input")
        assert error.response.json() == {"error": ERROR}
    else:
        assert MODEL in error.message
    check_silent(error)


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
async def test_an_upstream_that_repeats_the_key(upstream: Served, model: str) -> None:
    said = {"error": {"message": f"key {KEY} is wrong", "type": "invalid_request_error"}}
    upstream.says(answers(json.dumps(said).encode(), 400))
    with pytest.raises(openai.BadRequestError) as caught:
        await sluicegate.aresponses(model, "hi", api_key=KEY, base_url=upstream.origin)
    check_silent(caught.value)


def test_redirects_are_not_followed(upstream: Served) -> None:
    upstream.says(answers(b"", 307, [("location", f"{upstream.origin}/elsewhere")]))
    with httpx2.Client(follow_redirects=True) as client:
        assert fails(upstream, openai.InternalServerError, http_client=client)
    assert [call.target for call in upstream.calls] == ["/v1/responses"]


def test_nobody_is_there() -> None:
    with pytest.raises(openai.APIConnectionError, match=r"refused") as caught:
        sluicegate.responses(
            MODEL, "hi", api_key=KEY, base_url="http://127.0.0.1:1/v1", max_retries=0
        )
    check_silent(caught.value)


def fails(upstream: Served, kind: type[openai.OpenAIError], **more: object) -> bool:
    with pytest.raises(kind):
        ask(upstream, **more)
    return True


@pytest.mark.parametrize("streamed", [False, True])
def test_no_answer_in_time(upstream: Served, streamed: bool) -> None:
    upstream.says(hangs())
    with pytest.raises(openai.APITimeoutError) as caught:
        open_stream(upstream, timeout=0.1) if streamed else ask(upstream, timeout=0.1)
    check_silent(caught.value)


@pytest.mark.parametrize("streamed", [False, True])
async def test_no_answer_in_time_async(upstream: Served, streamed: bool) -> None:
    upstream.says(hangs())
    with pytest.raises(openai.APITimeoutError):
        await sluicegate.aresponses(
            MODEL, "hi", stream=streamed, **connected(upstream, timeout=httpx2.Timeout(0.1))
        )


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"sk-nonsense " + KEY.encode()])
def test_what_comes_is_not_http(upstream: Served, said: bytes) -> None:
    async def script(call: Call) -> None:
        call.write(said + b"\r\n\r\n" * bool(said))
        await asyncio.sleep(0.01)
        call.close()

    upstream.says(script)
    with pytest.raises((openai.APIConnectionError, openai.APIError)) as caught:
        ask(upstream)
    check_silent(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"half":'])
def test_what_comes_is_not_an_answer(upstream: Served, body: bytes) -> None:
    upstream.says(answers(body))
    with pytest.raises(openai.APIError, match="not a Responses object"):
        ask(upstream)


# --- streams --------------------------------------------------------------------------------------

BEGUN = responses_stream("o1-pro", events=6)  # `Hel`, `lo `


def failing(message: str = "overloaded") -> list[bytes]:
    failed = {"type": "error", "code": "server_error", "message": message, "param": None}
    nested = {
        **failed,
        "error": {key: failed[key] for key in ("code", "message", "param")} | {"type": "x"},
    }
    return frames([nested | {"sequence_number": 6}])


def read(stream: ResponseStream) -> tuple[list[str], openai.APIError]:
    seen: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        seen.extend(event.type for event in stream)
    assert list(stream) == []
    check_silent(caught.value)
    return seen, caught.value


def check_partial(stream: ResponseStream) -> None:
    assert stream.final is not None
    assert stream.final.status == "failed"
    assert stream.final.output_text == "Hello there"


def test_an_error_inside_a_stream(upstream: Served) -> None:
    upstream.says(streams(*BEGUN, *failing()))
    stream = open_stream(upstream)
    seen, error = read(stream)
    assert len(seen) == len(BEGUN)
    assert not isinstance(error, openai.APIStatusError)
    assert (error.message, error.code) == ("overloaded", "server_error")
    check_partial(stream)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_is_lost(upstream: Served, reset: bool) -> None:
    upstream.says(breaks_after(*BEGUN, reset=reset))
    stream = open_stream(upstream)
    seen, error = read(stream)
    assert len(seen) == len(BEGUN)
    assert isinstance(error, openai.APIConnectionError)
    check_partial(stream)


def test_a_stream_without_its_end(upstream: Served) -> None:
    upstream.says(streams(*BEGUN))
    stream = open_stream(upstream)
    _, error = read(stream)
    assert "before its terminal event" in error.message
    check_partial(stream)


def test_a_stream_that_falls_silent(upstream: Served) -> None:
    upstream.says(hangs(*BEGUN))
    stream = open_stream(upstream, timeout=0.2)
    _, error = read(stream)
    assert isinstance(error, openai.APITimeoutError)
    check_partial(stream)
    upstream.closed()


async def test_a_lost_stream_async(upstream: Served) -> None:
    upstream.says(breaks_after(*BEGUN))
    stream = await sluicegate.aresponses(MODEL, "hi", stream=True, **connected(upstream))
    with pytest.raises(openai.APIConnectionError):
        await stream.get_final_response()
    assert stream.final is not None
    assert stream.final.output_text == "Hello there"


def test_the_final_response(upstream: Served) -> None:
    upstream.says(streams(*responses_stream("o1-pro")))
    stream = open_stream(upstream)
    assert stream.get_final_response().output_text == "Hello there"
    assert stream.get_final_response() is stream.final


def test_there_is_no_final_response_of_a_closed_stream(upstream: Served) -> None:
    upstream.says(hangs(*BEGUN))
    with open_stream(upstream) as stream:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        stream.get_final_response()
