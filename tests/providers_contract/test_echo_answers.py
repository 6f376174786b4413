"""An echo deployment is a whole implementation of the API, only without a model."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from event_grammar import output_texts, read_frames, read_stream
from sluicegate.api.request import decode_request
from sluicegate.config import AmbientCredential, Deployment, EchoUpstream, Parameters
from sluicegate.model import ApiError, Event, LocalAnswer
from sluicegate.providers.echo import PROVIDER
from sluicegate.providers.echo.events import EchoTranslator
from sluicegate.providers.echo.sample import sample


def translator(
    upstream: EchoUpstream, fields: dict[str, Any], parameters: Parameters | None = None
) -> EchoTranslator:
    deployment = Deployment(
        namespace="default",
        name="d",
        model="public",
        upstream=upstream,
        credential=AmbientCredential(),
        parameters=parameters or Parameters(),
    )
    body = json.dumps({"model": "public", **fields}).encode()
    connector = PROVIDER.connector(deployment, AmbientCredential(), {})
    return connector.translator(decode_request(body), "echo")


def steps(upstream: EchoUpstream, **fields: object) -> list[tuple[float, list[Event]]]:
    answer = translator(upstream, fields).request()
    assert isinstance(answer, LocalAnswer)
    return list(answer.steps)


def answered(upstream: EchoUpstream | None = None, **fields: object) -> dict[str, Any]:
    told = steps(upstream or EchoUpstream(), **fields)
    return read_stream(event.frame for _, events in told for event in events)


def deltas(upstream: EchoUpstream, **fields: object) -> list[str]:
    frames = [event.frame for _, events in steps(upstream, **fields) for event in events]
    return [data["delta"] for data in read_frames(frames) if data["type"].endswith("text.delta")]


# ------------------------------------------------------------------------------------------- text


def test_the_last_user_message_comes_back() -> None:
    items = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "input_text", "text": t} for t in ("one ", "more")]},
        {"role": "assistant", "content": "between"},
    ]
    assert output_texts(answered(input=items)) == ["one more"]


def test_a_configured_text_is_said_instead() -> None:
    assert output_texts(answered(EchoUpstream(text="always"), input="hi")) == ["always"]


@pytest.mark.parametrize("fields", [{}, {"input": ""}, {"input": []}])
def test_an_answer_is_never_empty(fields: dict[str, Any]) -> None:
    assert output_texts(answered(**fields)) == ["Nothing to echo."]


def test_the_answer_names_its_model_and_that_nothing_is_stored() -> None:
    response = answered(input="hi", store=True)
    assert (response["model"], response["store"]) == ("echo", False)


@given(st.text(max_size=60))
def test_words_are_told_one_by_one(text: str) -> None:
    told = deltas(EchoUpstream(text=text or None), input="x")
    assert "".join(told) == (text or "x")
    assert all(len(piece.split()) <= 1 for piece in told)


@given(st.text(min_size=1, max_size=60), st.integers(min_value=1, max_value=80))
def test_as_many_chunks_as_configured(text: str, chunks: int) -> None:
    told = deltas(EchoUpstream(text=text, chunks=chunks), input="x")
    assert "".join(told) == text
    assert len(told) == min(chunks, len(text))


def test_a_long_text_is_told_in_a_bounded_number_of_events() -> None:
    for text in ("word " * 5000, "x" * 200_000):
        told = deltas(EchoUpstream(), input=text)
        assert "".join(told) == text
        assert len(told) <= 1000


# ------------------------------------------------------------------------------------------- pace


def test_the_pace_is_the_configured_one() -> None:
    told = steps(EchoUpstream(delay=0.5, chunk_delay=0.25), input="one two three")
    assert [pause for pause, _ in told] == [0.5, 0.25, 0.25, 0.25]
    first, *_, last = [[event.type for event in events] for _, events in told]
    assert first == ["response.created", "response.in_progress"]
    assert last[-1] == "response.completed"


def test_without_delays_all_is_told_at_once() -> None:
    assert [pause for pause, _ in steps(EchoUpstream(delay=0.5), input="one two")] == [0.5]


# ------------------------------------------------------------------------------------------ usage


def test_usage_counts_four_characters_as_a_token() -> None:
    items = [{"role": "user", "content": "12345678"}, {"role": "system", "content": "1234"}]
    usage = answered(EchoUpstream(text="12345"), instructions="1234", input=items)["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (4, 2)
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def test_a_long_answer_is_cut_at_its_limit() -> None:
    response = answered(input="x" * 100, max_output_tokens=16)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert output_texts(response) == ["x" * 64]
    assert response["usage"]["output_tokens"] == 16


def test_reasoning_counts_towards_the_limit() -> None:
    reasoning = {"effort": "high", "summary": "detailed"}
    response = answered(input="x" * 100, max_output_tokens=16, reasoning=reasoning)
    usage = response["usage"]
    assert usage["output_tokens"] <= 16
    assert usage["output_tokens_details"]["reasoning_tokens"] > 0
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]


# -------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("reasoning", "kinds"),
    [
        (None, ["message"]),
        ({"effort": "none"}, ["message"]),
        ({"summary": "auto"}, ["message"]),
        ({"effort": "low"}, ["reasoning", "message"]),
        ({"effort": "low", "summary": "auto"}, ["reasoning", "message"]),
    ],
)
def test_reasoning_where_an_effort_is_asked_for(reasoning: object, kinds: list[str]) -> None:
    output = answered(input="hi", reasoning=reasoning)["output"]
    assert [item["type"] for item in output] == kinds
    if "reasoning" in kinds:
        asked = isinstance(reasoning, dict) and "summary" in reasoning
        assert len(output[0]["summary"]) == asked
        assert "encrypted_content" not in output[0]


def test_sealed_reasoning_where_it_is_included() -> None:
    include = ["reasoning.encrypted_content"]
    output = answered(input="hi", reasoning={"effort": "low"}, include=include)["output"]
    assert output[0]["encrypted_content"]
    again = [{"role": "user", "content": "hi"}, *output, {"role": "user", "content": "more"}]
    assert output_texts(answered(input=again)) == ["more"]


# ------------------------------------------------------------------------------------------ calls

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "parameters": CITY}
BARE = {"type": "function", "name": "bare"}
CODE = {"type": "custom", "name": "code"}
SPACE = {"type": "namespace", "name": "space", "description": "", "tools": [BARE]}
SEARCH = {"type": "web_search"}


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        ([WEATHER, BARE], "required", ("function_call", "weather", '{"city":"city"}', None)),
        ([SEARCH, BARE], "required", ("function_call", "bare", "{}", None)),
        ([SPACE, WEATHER], "required", ("function_call", "bare", "{}", "space")),
        ([CODE], "required", ("custom_tool_call", "code", "input of code", None)),
        (
            [WEATHER, BARE],
            {"type": "function", "name": "bare"},
            ("function_call", "bare", "{}", None),
        ),
        (
            [WEATHER, CODE],
            {"type": "custom", "name": "code"},
            ("custom_tool_call", "code", "input of code", None),
        ),
        (
            [WEATHER, BARE],
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "bare"}],
            },
            ("function_call", "bare", "{}", None),
        ),
    ],
)
def test_a_forced_tool_is_called(
    tools: list[Any], choice: object, expected: tuple[str, str, str, str | None]
) -> None:
    (call,) = answered(input="hi", tools=tools, tool_choice=choice)["output"]
    payload = call.get("arguments") or call.get("input")
    assert (call["type"], call["name"], payload, call.get("namespace")) == expected


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        "none",
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "bare"}]},
    ],
)
def test_a_tool_that_is_not_forced_is_not_called(choice: object) -> None:
    (item,) = answered(input="hi", tools=[BARE], tool_choice=choice)["output"]
    assert item["type"] == "message"


@pytest.mark.parametrize("choice", [{"type": "web_search"}, "required"])
def test_a_hosted_tool_can_not_be_forced(choice: object) -> None:
    with pytest.raises(ApiError) as caught:
        answered(input="hi", tools=[SEARCH], tool_choice=choice)
    error = caught.value.error
    assert (error.code, error.param) == ("unsupported_parameter", "tool_choice")


def test_a_tool_loop_ends_with_text() -> None:
    call = answered(input="hi", tools=[WEATHER], tool_choice="required")["output"][0]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    items = [{"role": "user", "content": "weather?"}, call, output]
    assert output_texts(answered(input=items, tools=[WEATHER])) == ["weather?"]


# ------------------------------------------------------------------------------------------- JSON


def test_a_json_object_is_an_object() -> None:
    form = {"format": {"type": "json_object"}}
    assert json.loads(output_texts(answered(input="hi", text=form))[0]) == {"text": "hi"}
    assert output_texts(answered(input='{"a": 1}', text=form)) == ['{"a": 1}']


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "integer", "minimum": 5.5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMinimum": 1}, 2),
        ({"type": "number", "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": {"x": 1}}, {"x": 1}),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"anyOf": [{"type": "null"}]}, None),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"prefixItems": [{"type": "integer"}, {"type": "boolean"}]}, [1, True]),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {}),
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"a": "a"}),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 3}}}]}, {"a": 3}),
        (
            {"$ref": "#/$defs/p~1q", "$defs": {"p/q": {"enum": [7]}}},
            7,
        ),
        (
            {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            },
            {},
        ),
        ({}, "text"),
    ],
)
def test_samples_satisfy_their_schema(schema: dict[str, Any], expected: object) -> None:
    assert sample(schema) == expected


def test_a_schema_that_needs_itself_ends() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}
    tree = {"type": "object", "properties": {"a": node, "b": node}, "required": ["a", "b"]}
    json.dumps(sample({"$ref": "#/$defs/n", "$defs": {"n": tree}}))
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    json.dumps(sample(endless))
    json.dumps(sample({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}))
    wide = {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}}
    json.dumps(sample(wide))
    json.dumps(sample({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}))


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Step(BaseModel):
    number: int = Field(ge=1)
    when: datetime | None
    colour: Colour
    children: list["Step"] = Field(max_length=3)


class Plan(BaseModel):
    """As an application would describe its answer."""

    title: str = Field(min_length=10)
    kind: Literal["short", "long"]
    steps: list[Step] = Field(min_length=1)
    either: int | str
    ratio: float = Field(gt=0, lt=1)
    flags: dict[str, bool] = {}


@pytest.mark.parametrize("strict", [False, True])
def test_an_application_can_parse_what_it_asked_for(strict: bool) -> None:
    if strict:
        model: type[BaseModel] = Step
        schema = to_strict_json_schema(Step)
    else:
        model = Plan
        schema = Plan.model_json_schema()
    form = {"type": "json_schema", "name": "plan", "schema": schema, "strict": strict}
    (text,) = output_texts(answered(input="hi", text={"format": form}))
    model.model_validate_json(text)
    tool = {"type": "function", "name": "f", "parameters": schema, "strict": strict}
    (call,) = answered(input="hi", tools=[tool], tool_choice="required")["output"]
    model.model_validate_json(call["arguments"])


_WORDS = (
    "type properties required items enum const anyOf allOf $ref a minItems minimum maximum "
    "multipleOf minLength maxLength exclusiveMinimum"
)
_schema_keys = st.sampled_from(_WORDS.split())
_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["object", "array", "string", "integer", "number", "a", "#", "#/properties"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_schema_keys, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(_schema_keys, _json, max_size=6))
def test_any_schema_gives_json(schema: dict[str, Any]) -> None:
    json.dumps(sample(schema), allow_nan=False)


@given(st.dictionaries(_schema_keys, _json, max_size=6))
def test_any_tool_schema_gives_arguments(schema: dict[str, Any]) -> None:
    tool = WEATHER | {"parameters": schema}
    try:
        (call,) = answered(input="hi", tools=[tool], tool_choice="required")["output"]
    except ApiError as error:
        refused = error
        assert refused.status == 400
    else:
        assert isinstance(json.loads(call["arguments"]), dict)


# ------------------------------------------------------------------------------------- parameters


def test_a_deployments_parameters_are_merged() -> None:
    parameters = Parameters(
        defaults={"temperature": Raw(b"0.5"), "metadata": Raw(b'{"a":"1"}')},
        overrides={"max_output_tokens": Raw(b"16")},
    )
    made = translator(EchoUpstream(), {"input": "x" * 100, "metadata": {"b": "2"}}, parameters)
    frames = [event.frame for _, events in made.request().steps for event in events]
    response = read_stream(frames)
    assert (response["temperature"], response["max_output_tokens"]) == (0.5, 16)
    assert response["metadata"] == {"a": "1", "b": "2"}
    assert response["status"] == "incomplete"


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
def test_stored_responses_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        translator(EchoUpstream(), {name: "x_1"}).request()
    assert (caught.value.error.code, caught.value.error.param) == ("unsupported_parameter", name)


def test_a_failure_before_the_answer_has_nothing_to_keep() -> None:
    assert translator(EchoUpstream(), {"input": "hi"}).fail(ApiError(500, "m")) == []
