"""The OpenAI SDK, as strict as it can be, against a passing-on and an answering deployment."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from gateway_rig import Rig
from responses_wire import (
    USAGE,
    call_stream,
    frames,
    function_call,
    message,
    response,
    text_stream,
)
from running_gateway import CLIENT_KEY, RunningGateway, echo_entry, key_entry, openai_entry
from scripted_upstream import Call, answers

MODELS = ["gpt-test", "echo"]
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class City(BaseModel):
    city: str


async def upstream_script(call: Call) -> None:
    """Text; a call where tools are offered; JSON where a schema is asked for."""
    asked = call.json()
    text = '{"city":"Bonn"}' if "format" in asked.get("text", {}) else "Hello there"
    if call.streamed:
        call.begin()
        for piece in frames(
            call_stream() if "tools" in asked else text_stream((text[:4], text[4:]))
        ):
            call.chunk(piece)
        call.end()
    else:
        item = function_call('{"city":"Bonn"}') if "tools" in asked else message(text)
        call.answer(json.dumps(response([item], usage=USAGE)).encode())


@pytest.fixture
async def gateway(rig: Rig) -> RunningGateway:
    upstream = await rig.upstream(upstream_script)
    return await rig.gateway(key_entry(), openai_entry(upstream.base_url), echo_entry())


def sync_client(gateway: RunningGateway) -> OpenAI:
    return OpenAI(
        base_url=gateway.base_url,
        api_key=CLIENT_KEY,
        max_retries=0,
        _strict_response_validation=True,
    )


def async_client(gateway: RunningGateway) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=gateway.base_url,
        api_key=CLIENT_KEY,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.mark.parametrize("model", MODELS)
async def test_create(gateway: RunningGateway, model: str) -> None:
    async with async_client(gateway) as client:
        raw = await client.responses.with_raw_response.create(model=model, input="Hello there")
    assert raw.headers["x-request-id"].startswith("req_")
    answer = raw.parse()
    assert answer.output_text == "Hello there"
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@pytest.mark.parametrize("model", MODELS)
async def test_create_with_stream(gateway: RunningGateway, model: str) -> None:
    async with async_client(gateway) as client:
        stream = await client.responses.create(model=model, input="Hello there", stream=True)
        events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello there"
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(said) > 1
    assert "".join(said) == "Hello there"


@pytest.mark.parametrize("model", MODELS)
async def test_the_stream_helper(gateway: RunningGateway, model: str) -> None:
    """It keeps a state machine of its own, and raises where the events do not fit together."""
    async with (
        async_client(gateway) as client,
        client.responses.stream(model=model, input="Hello there") as stream,
    ):
        said = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(said) == final.output_text == "Hello there"


@pytest.mark.parametrize("model", MODELS)
async def test_parse(gateway: RunningGateway, model: str) -> None:
    async with async_client(gateway) as client:
        answer = await client.responses.parse(model=model, input="Where?", text_format=City)
        assert isinstance(answer.output_parsed, City)
        async with client.responses.stream(model=model, input="Where?", text_format=City) as stream:
            streamed = await stream.get_final_response()
    assert isinstance(streamed.output_parsed, City)
    assert streamed.output_parsed == answer.output_parsed


@pytest.mark.parametrize("model", MODELS)
async def test_function_calls(gateway: RunningGateway, model: str) -> None:
    async with async_client(gateway) as client:
        answer = await client.responses.create(
            model=model, input="Weather?", tools=[TOOL], tool_choice="required"
        )
        async with client.responses.stream(
            model=model, input="Weather?", tools=[TOOL], tool_choice="required"
        ) as stream:
            streamed = await stream.get_final_response()
    for output in (answer.output, streamed.output):
        (call,) = [item for item in output if isinstance(item, ResponseFunctionToolCall)]
        assert call.name == "get_weather"
        assert isinstance(json.loads(call.arguments)["city"], str)


@pytest.mark.parametrize("model", MODELS)
async def test_the_sync_client(gateway: RunningGateway, model: str) -> None:
    def talk() -> None:
        with sync_client(gateway) as client:
            answer = client.responses.create(model=model, input="Hello there")
            assert answer.output_text == "Hello there"
            events = list(client.responses.create(model=model, input="Hello there", stream=True))
            assert events[-1].type == "response.completed"
            with client.responses.stream(model=model, input="Hello there") as stream:
                assert [event.type for event in stream][-1] == "response.completed"
                assert stream.get_final_response().output_text == "Hello there"
            parsed = client.responses.parse(model=model, input="Where?", text_format=City)
            assert isinstance(parsed.output_parsed, City)

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("model", MODELS)
async def test_many_at_once(gateway: RunningGateway, model: str) -> None:
    async with async_client(gateway) as client:
        told = await asyncio.gather(
            *(client.responses.create(model=model, input="Hello there") for _ in range(50))
        )
    assert {answer.output_text for answer in told} == {"Hello there"}


async def test_a_stream_that_is_closed_early(gateway: RunningGateway) -> None:
    async with async_client(gateway) as client:
        stream = await client.responses.create(model="gpt-test", input="hi", stream=True)
        async for _ in stream:
            break
        await stream.close()
        assert (await client.responses.create(model="echo", input="again")).output_text == "again"


ERRORS: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), ERRORS)
async def test_errors_become_the_sdks_own(
    rig: Rig, status: int, kind: type[openai.APIStatusError]
) -> None:
    said = {"message": "No.", "type": "t", "param": "temperature", "code": "some_code"}
    gateway, _ = await rig.serving(answers(json.dumps({"error": said}).encode(), status))
    async with async_client(gateway) as client:
        for stream in (False, True):
            with pytest.raises(kind) as raised:
                await client.responses.create(model="gpt-test", input="hi", stream=stream)
            error = raised.value
            assert (error.status_code, error.code, error.param) == (
                status,
                "some_code",
                "temperature",
            )
            assert error.request_id is not None


async def test_refusals_become_the_sdks_own(gateway: RunningGateway) -> None:
    async with async_client(gateway) as client:
        with pytest.raises(openai.BadRequestError) as unknown:
            await client.responses.create(model="nobody", input="hi")
        assert unknown.value.code == "model_not_found"
        stranger = client.with_options(api_key="sk-nobody-0123456789")
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.responses.create(model="echo", input="hi")
        assert refused.value.code == "invalid_api_key"


async def test_the_sdk_does_not_repeat_what_cannot_help(rig: Rig) -> None:
    """`x-should-retry: false` comes with a refused credential: 502 alone would be tried thrice."""
    gateway, upstream = await rig.serving(answers(b"{}", 401))
    async with async_client(gateway) as client:
        with pytest.raises(openai.InternalServerError):
            await client.with_options(max_retries=2).responses.create(model="gpt-test", input="hi")
    assert len(upstream.calls) == 1
