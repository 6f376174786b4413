"""Another attempt, or another model, where it may help; and who gets which key."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

import sluicegate
import spoken_wires
from responses_wire import frames, response
from scripted_upstream import Call, Script, answers, breaks_after, hangs, in_turn, streams
from served_upstream import Served
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"
OTHER = "openai/gpt-4o"
CLAUDE = "anthropic/claude-3-5-sonnet-20240620"


def refusal(status: int, *headers: tuple[str, str]) -> Script:
    return answers(b'{"error": {"message": "not now"}}', status, headers)


async def drop(call: Call) -> None:
    call.close()


def early_failure(code: str) -> Script:
    failed = response(status="failed", more={"error": {"code": code, "message": "overloaded"}})
    begun = responses_stream("o1-pro", events=2)
    told = {"type": "response.failed", "sequence_number": 2, "response": failed}
    return streams(*begun, *frames([told]))


@pytest.fixture
def connection(upstream: Served) -> dict[str, Any]:
    return {"api_key": "sk-first", "base_url": f"{upstream.origin}/v1"}


@pytest.fixture(params=["blocking", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Awaitable[str]]:
    """A streamed call that is read to its end: the text."""

    async def blocking(model: str, **more: Any) -> str:  # noqa: ANN401 - a call's keywords
        def read() -> str:
            stream = sluicegate.responses(model, "hi", stream=True, **more)
            return stream.get_final_response().output_text

        return await asyncio.to_thread(read)

    async def not_blocking(model: str, **more: Any) -> str:  # noqa: ANN401 - as above
        stream = await sluicegate.aresponses(model, "hi", stream=True, **more)
        return (await stream.get_final_response()).output_text

    return blocking if request.param == "blocking" else not_blocking


Ask = Callable[..., Awaitable[str]]


@pytest.mark.parametrize(
    "first",
    [
        refusal(500),
        refusal(503),
        refusal(429, ("retry-after-ms", "1")),
        refusal(409),
        drop,
        breaks_after(*responses_stream("o1-pro", events=2)),
        early_failure("server_error"),
        early_failure("rate_limit_exceeded"),
    ],
    ids=["500", "503", "429", "409", "dropped", "broken", "failed", "limited"],
)
async def test_tried_again(
    ask: Ask, upstream: Served, connection: dict[str, Any], first: Script
) -> None:
    upstream.says(in_turn(first, spoken_wires.openai))
    assert await ask(MODEL, **connection) == "Hello there"
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_not_tried_again(
    ask: Ask, upstream: Served, connection: dict[str, Any], status: int
) -> None:
    upstream.says(in_turn(refusal(status), spoken_wires.openai))
    with pytest.raises(openai.APIStatusError):
        await ask(MODEL, **connection)
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(("given", "calls"), [({}, 3), ({"max_retries": 0}, 1)])
async def test_how_often(
    ask: Ask, upstream: Served, connection: dict[str, Any], given: dict[str, int], calls: int
) -> None:
    upstream.says(refusal(500, ("retry-after-ms", "1")))
    with pytest.raises(openai.InternalServerError, match="not now"):
        await ask(MODEL, **connection, **given)
    assert len(upstream.calls) == calls


async def test_retry_after_is_waited_for(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(in_turn(refusal(429, ("retry-after", "1")), spoken_wires.openai))
    began = time.monotonic()
    assert await ask(MODEL, **connection, max_retries=1) == "Hello there"
    assert time.monotonic() - began >= 1.0


async def test_a_long_retry_after_is_told_instead(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(refusal(429, ("retry-after", "3600")))
    with pytest.raises(openai.RateLimitError) as caught:
        await ask(MODEL, **connection)
    assert caught.value.response.headers["retry-after"] == "3600"
    assert len(upstream.calls) == 1


# --- fallbacks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_fallback(
    ask: Ask, upstream: Served, connection: dict[str, Any], status: int
) -> None:
    upstream.says(in_turn(refusal(status), spoken_wires.openai))
    answer = await ask(MODEL, **connection, max_retries=0, fallbacks=[OTHER])
    assert answer == "Hello there"
    assert [call.json()["model"] for call in upstream.calls] == ["o1-pro", "gpt-4o"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Your input exceeds the context window of this model."),
        (400, "Your request was rejected as a result of our safety system."),
        (403, "Content violates usage guidelines."),
    ],
)
async def test_a_fallback_for_what_the_first_model_can_not_take(
    upstream: Served, connection: dict[str, Any], ask: Ask, status: int, message: str
) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    upstream.says(in_turn(answers(body, status), spoken_wires.openai))
    assert await ask(MODEL, fallbacks=[OTHER], **connection) == "Hello there"
    assert [call.json()["model"] for call in upstream.calls] == ["o1-pro", "gpt-4o"]


async def test_no_fallback_helps_a_bad_request(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(in_turn(refusal(400), spoken_wires.openai))
    with pytest.raises(openai.BadRequestError):
        await ask(MODEL, **connection, fallbacks=[OTHER])
    assert len(upstream.calls) == 1


async def test_the_order_of_fallbacks_and_the_last_ones_error(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(in_turn(refusal(500), refusal(503), refusal(429, ("retry-after", "99"))))
    with pytest.raises(openai.RateLimitError):
        await ask(MODEL, **connection, max_retries=0, fallbacks=[OTHER, "openai/third"])
    assert [call.json()["model"] for call in upstream.calls] == ["o1-pro", "gpt-4o", "third"]


async def test_a_slow_model_has_a_fallback(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(in_turn(hangs(), spoken_wires.openai))
    assert await ask(MODEL, **connection, timeout=0.2, fallbacks=[OTHER]) == "Hello there"


async def test_another_provider_gets_nothing_that_is_the_firsts(
    ask: Ask,
    upstream: Served,
    connection: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{upstream.origin}/claude")

    async def script(call: Call) -> None:
        await (spoken_wires.anthropic if "claude" in call.target else refusal(500))(call)

    upstream.says(script)
    answer = await ask(
        MODEL,
        **connection,
        max_retries=0,
        fallbacks=[CLAUDE],
        organization="org-1",
        extra_headers={"x-team": "blue"},
    )
    assert answer == "Hello there"
    first, second = upstream.calls
    assert first.header("openai-organization") == "org-1"
    assert first.header("x-team") == "blue"
    assert second.target == "/claude/v1/messages"
    assert second.header("x-api-key") == "sk-ant"
    said = json.dumps(second.headers) + second.body.decode()
    assert "sk-first" not in said
    assert "org-1" not in said
    assert "blue" not in said


async def test_a_fallback_without_a_credential_is_told_at_once(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(spoken_wires.openai)
    with pytest.raises(openai.OpenAIError, match="ANTHROPIC_API_KEY"):
        await ask(MODEL, **connection, fallbacks=[CLAUDE])
    assert upstream.calls == []


async def test_nothing_is_tried_again_after_output(
    ask: Ask, upstream: Served, connection: dict[str, Any]
) -> None:
    broken = breaks_after(*responses_stream("o1-pro", events=5))
    upstream.says(in_turn(broken, spoken_wires.openai))
    with pytest.raises(openai.APIConnectionError):
        await ask(MODEL, **connection, fallbacks=[OTHER])
    assert len(upstream.calls) == 1


def test_the_prelude_of_a_failed_attempt_is_never_seen(
    upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(in_turn(early_failure("server_error"), spoken_wires.openai))
    with sluicegate.responses(MODEL, "hi", stream=True, **connection) as stream:
        events = list(stream)
    assert [event.type for event in events].count("response.created") == 1
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_response_in_the_background_is_told_at_once(
    upstream: Served, connection: dict[str, Any]
) -> None:
    upstream.says(hangs(*responses_stream("o1-pro", events=2)))
    with sluicegate.responses(
        MODEL, "hi", stream=True, background=True, store=True, **connection
    ) as stream:
        assert next(stream).type == "response.created"
    upstream.closed()
