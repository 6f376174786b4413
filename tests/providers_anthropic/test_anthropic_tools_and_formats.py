"""Tools, tool choice, the form of the answer, and thinking, for each generation of Claude."""

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anthropic_wire import FUNCTION, SONNET, deployment, sent, translator
from event_grammar import JsonObject
from sluicegate.api.enforced_schema import enforceable
from sluicegate.config import ModelInfo
from sluicegate.model import ApiError

OLD = "claude-3-5-sonnet-20240620"
UNFORCED = "claude-sonnet-5-5"
OTHER = {"type": "function", "name": "other"}
DROPPING = msgspec.structs.replace(deployment(), unsupported_parameters="Drop")
REJECTING = msgspec.structs.replace(deployment(), unsupported_tools="Reject")


def told(body: dict[str, Any], model: str = SONNET) -> JsonObject:
    return sent({"input": "hi", **body}, model)


def refused(body: dict[str, Any], model: str = SONNET) -> str | None:
    with pytest.raises(ApiError) as caught:
        translator({"input": "hi", **body}, model).request()
    assert caught.value.status == 400
    return caught.value.error.param


# ------------------------------------------------------------------------------------------- tools


def test_a_function() -> None:
    tool = FUNCTION | {"description": "Says the weather."}
    assert told({"tools": [tool]})["tools"] == [
        {
            "name": "weather",
            "description": "Says the weather.",
            "input_schema": FUNCTION["parameters"],
        }
    ]
    bare = {"type": "function", "name": "f", "parameters": None, "description": ""}
    empty: JsonObject = {"type": "object", "properties": {}}
    assert told({"tools": [bare]})["tools"] == [{"name": "f", "input_schema": empty}]


def test_strict_is_sent_only_where_it_holds() -> None:
    strict = FUNCTION | {"strict": True}
    open_ended = strict | {"name": "any", "parameters": {"type": "object"}}
    first, second = told({"tools": [strict, open_ended]})["tools"]
    assert first["strict"] is True
    assert first["input_schema"]["additionalProperties"] is False
    assert "strict" not in second
    assert second["input_schema"] == {"type": "object"}
    assert "strict" not in told({"tools": [strict]}, OLD)["tools"][0]
    assert "strict" not in told({"tools": [FUNCTION]})["tools"][0]


def test_the_api_takes_only_so_many_strict_tools() -> None:
    tools = [FUNCTION | {"name": f"f{index}", "strict": True} for index in range(25)]
    assert sum(tool.get("strict", False) for tool in told({"tools": tools})["tools"]) == 20


def test_long_names_of_a_namespace_are_shortened_and_restored() -> None:
    inner = FUNCTION | {"name": "f" * 60}
    tool = {"type": "namespace", "name": "n" * 60, "description": "", "tools": [inner]}
    made = translator({"input": "hi", "tools": [tool]})
    (sent_tool,) = json.loads(made.request().body)["tools"]
    assert len(sent_tool["name"]) <= 64


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", None),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "name": "weather"}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice(choice: object, wire: JsonObject | None) -> None:
    body = told({"tools": [FUNCTION, OTHER], "tool_choice": choice})
    assert body.get("tool_choice") == wire
    assert len(body["tools"]) == 2


@pytest.mark.parametrize(
    ("choice", "kind"), [("auto", "auto"), ("required", "any"), ("none", "none")]
)
def test_one_call_at_a_time(choice: str, kind: str) -> None:
    body = told({"tools": [FUNCTION], "tool_choice": choice, "parallel_tool_calls": False})
    single = {} if kind == "none" else {"disable_parallel_tool_use": True}
    assert body["tool_choice"] == {"type": kind, **single}


def test_one_call_at_a_time_of_nothing() -> None:
    assert "tool_choice" not in told({"parallel_tool_calls": False})


@pytest.mark.parametrize(("mode", "wire"), [("auto", None), ("required", {"type": "any"})])
def test_allowed_tools_are_the_only_ones(mode: str, wire: JsonObject | None) -> None:
    allowed = {
        "type": "allowed_tools",
        "mode": mode,
        "tools": [{"type": "function", "name": "other"}],
    }
    body = told({"tools": [FUNCTION, OTHER], "tool_choice": allowed})
    assert [tool["name"] for tool in body["tools"]] == ["other"]
    assert body.get("tool_choice") == wire


def test_a_model_that_can_not_be_forced() -> None:
    body = {"input": "hi", "tools": [FUNCTION], "tool_choice": "required"}
    assert refused(body, UNFORCED) == "tool_choice"
    made = translator(body, UNFORCED, DROPPING)
    assert "tool_choice" not in json.loads(made.request().body)
    assert made.dropped == ("tool_choice",)


def test_tools_that_the_api_does_not_have() -> None:
    body = {"input": "hi", "tools": [FUNCTION, {"type": "local_shell"}]}
    made = translator(body)
    assert len(json.loads(made.request().body)["tools"]) == 1
    assert made.dropped == ("tools.local_shell",)
    with pytest.raises(ApiError) as caught:
        translator(body, of=REJECTING).request()
    assert caught.value.error.param == "tools[1].type"
    assert refused(body | {"tool_choice": {"type": "local_shell"}}) == "tool_choice"


def test_searching_the_web() -> None:
    search = {
        "type": "web_search",
        "filters": {"allowed_domains": ["a.example"]},
        "search_context_size": "low",
        "user_location": {"type": "approximate", "country": "DE", "city": None},
    }
    body = told({"tools": [search], "max_tool_calls": 3, "tool_choice": {"type": "web_search"}})
    assert body["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["a.example"],
            "user_location": {"type": "approximate", "country": "DE"},
        }
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "web_search"}


@pytest.mark.parametrize(
    ("tools", "model"),
    [
        ([{"type": "web_search", "external_web_access": False}], SONNET),
        ([{"type": "web_search"}, FUNCTION | {"name": "web_search"}], SONNET),
        ([{"type": "web_search"}], OLD),
    ],
)
def test_no_search_where_it_is_not_wanted_or_not_there(tools: list[Any], model: str) -> None:
    made = translator({"input": "hi", "tools": tools}, model)
    assert "web_search_20250305" not in made.request().body.decode()
    assert made.dropped == ("tools.web_search",)


@pytest.mark.parametrize(
    "search", [{"filters": 5}, {"user_location": {"city": 5}}, {"external_web_access": "no"}]
)
def test_a_search_that_is_none(search: JsonObject) -> None:
    assert refused({"tools": [{"type": "web_search", **search}]}) == "tools"


# --------------------------------------------------------------------------------- answer's format

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 1, "description": "How many."}},
    "required": ["a"],
}


def as_schema(schema: JsonObject) -> JsonObject:
    return {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}


def test_a_schema_that_the_model_can_be_held_to() -> None:
    body = told(as_schema(SCHEMA))
    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {"type": "integer", "description": 'How many.\n{"minimum":1}'}},
                "required": ["a"],
                "additionalProperties": False,
            },
        }
    }
    assert "tools" not in body


def test_an_older_model_answers_through_a_tool() -> None:
    body = told(as_schema(SCHEMA), OLD)
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [
        ("final_answer", SCHEMA)
    ]
    assert body["tool_choice"]["name"] == "final_answer"


def test_beside_other_tools_any_may_be_called() -> None:
    tools = [FUNCTION, OTHER | {"name": "final_answer"}]
    body = told(as_schema(SCHEMA) | {"tools": tools, "parallel_tool_calls": False}, OLD)
    assert [tool["name"] for tool in body["tools"]] == ["weather", "final_answer", "final_answer_"]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    none = told(as_schema(SCHEMA) | {"tools": [FUNCTION], "tool_choice": "none"}, OLD)
    assert none["tool_choice"]["name"] == "final_answer"
    forced = told(as_schema(SCHEMA) | {"tools": [FUNCTION], "tool_choice": "required"}, OLD)
    assert [tool["name"] for tool in forced["tools"]] == ["weather"]


def test_what_is_no_object_is_wrapped() -> None:
    schema = {"$defs": {"x": {"type": "object"}}, "type": "array", "items": {"$ref": "#/$defs/x"}}
    (tool,) = told(as_schema(schema))["tools"]
    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/x"}}},
        "required": ["value"],
        "$defs": {"x": {"type": "object"}},
    }


def test_where_no_tool_can_be_forced_an_instruction_has_to_do() -> None:
    body = told(as_schema({"type": "object"}) | {"instructions": "i"}, UNFORCED)
    assert "tools" not in body
    assert body["system"][0]["text"] == "i"
    assert body["system"][1]["text"].endswith('\n{"type":"object"}')


def test_any_json_object_is_an_instruction() -> None:
    body = told({"text": {"format": {"type": "json_object"}}})
    assert "JSON object" in body["system"][0]["text"]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "array"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "array", "items": {"type": ["object", "null"]}},
        {"anyOf": []},
        {"anyOf": [{"minimum": 1}]},
        {"$ref": "#"},
        {"$ref": "https://a.example/schema"},
        {"$ref": "#/$defs/b", "$defs": {"a": {"type": "string"}}},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": 5}, "type": "string"},
        {"properties": 5, "type": "object"},
    ],
)
def test_schemas_that_can_not_be_enforced(schema: JsonObject) -> None:
    assert enforceable(schema) is None


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        ({"type": "string", "format": "uuid"}, {"type": "string", "format": "uuid"}),
        (
            {"type": "string", "format": "color"},
            {"type": "string", "description": '{"format":"color"}'},
        ),
        ({"oneOf": [{"type": "null"}]}, {"anyOf": [{"type": "null"}]}),
        ({"enum": [1, "a", None], "$comment": "x"}, {"enum": [1, "a", None]}),
        (
            {"$defs": {"a": {"const": 1}}, "$ref": "#/$defs/a", "minimum": 1},
            {"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}},
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
            {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": '{"maxItems":3}',
            },
        ),
        (
            {"type": "object", "properties": {"type": {"type": "string"}}},
            {
                "type": "object",
                "properties": {"type": {"type": "string"}},
                "additionalProperties": False,
            },
        ),
    ],
)
def test_the_form_that_the_api_enforces(schema: JsonObject, form: JsonObject) -> None:
    before = json.dumps(schema)
    assert enforceable(schema) == form
    assert json.dumps(schema) == before


_leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
_keys = st.sampled_from(
    ["type", "properties", "items", "anyOf", "$ref", "$defs", "enum", "required", "x", "minimum"]
)
_schemas = st.recursive(
    _leaves | st.sampled_from(["object", "array", "#/$defs/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_keys, _schemas, max_size=5))
def test_no_schema_is_too_strange(schema: JsonObject) -> None:
    form = enforceable(schema)
    if form is not None:
        assert enforceable(form) == form


# ---------------------------------------------------------------------------------------- thinking

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "level"),
    [
        (SONNET, "low", {"type": "enabled", "budget_tokens": 2048}, None),
        (SONNET, "high", {"type": "enabled", "budget_tokens": 16_384}, None),
        (SONNET, "max", {"type": "enabled", "budget_tokens": 51_200}, None),
        (SONNET, "none", None, None),
        ("claude-opus-4-6", "minimal", ADAPTIVE, "low"),
        ("claude-opus-4-6", "xhigh", ADAPTIVE, "max"),
        ("claude-opus-4-6", "none", None, None),
        ("claude-opus-4-7", "xhigh", ADAPTIVE, "xhigh"),
        ("claude-opus-5", "none", {"type": "disabled"}, None),
        (UNFORCED, "none", {"type": "between_tools"}, None),
        ("claude-fable-5", "medium", ADAPTIVE, "medium"),
        ("claude-of-tomorrow-9", "max", ADAPTIVE, "max"),
    ],
)
def test_effort(model: str, effort: str, thinking: JsonObject | None, level: str | None) -> None:
    body = told({"reasoning": {"effort": effort}}, model)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == level


def test_a_summary_alone_shows_the_thinking_of_a_model_that_thinks() -> None:
    asked = {"reasoning": {"summary": "auto"}}
    assert told(asked, "claude-opus-5")["thinking"] == ADAPTIVE
    assert "thinking" not in told(asked, SONNET)
    assert "thinking" not in told(asked, OLD)


def test_models_that_do_not_reason() -> None:
    assert refused({"reasoning": {"effort": "low"}}, OLD) == "reasoning.effort"
    made = translator({"input": "hi", "reasoning": {"effort": "low"}}, OLD, DROPPING)
    made.request()
    assert made.dropped == ("reasoning.effort",)


def test_models_that_always_reason() -> None:
    asked = {"input": "hi", "reasoning": {"effort": "none"}}
    assert refused(asked, "claude-opus-5-5") == "reasoning.effort"
    made = translator(asked, "claude-opus-5-5", DROPPING)
    assert json.loads(made.request().body)["output_config"] == {"effort": "low"}
    assert made.dropped == ("reasoning.effort",)


def test_a_model_that_takes_only_effort_always_reasons() -> None:
    info = ModelInfo(reasoning="Effort")
    chosen = msgspec.structs.replace(deployment(), model_info=info)
    with pytest.raises(ApiError, match="always reasons"):
        translator({"input": "hi", "reasoning": {"effort": "none"}}, of=chosen).request()


@pytest.mark.parametrize(
    "body",
    [
        {"max_output_tokens": 1024},
        {"tools": [FUNCTION], "tool_choice": "required"},
        as_schema({"type": "object"}),
    ],
)
def test_where_a_budget_has_no_place_it_is_left_out_and_said(body: dict[str, Any]) -> None:
    made = translator({"input": "hi", "reasoning": {"effort": "high"}, **body})
    assert "thinking" not in json.loads(made.request().body)
    assert made.dropped == ("reasoning.effort",)


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-5"])
def test_so_is_adaptive_thinking_where_there_is_no_room(model: str) -> None:
    body = {"input": "hi", "reasoning": {"effort": "high"}, "max_output_tokens": 100}
    made = translator(body, model)
    assert json.loads(made.request().body).get("thinking", {}).get("type") != "adaptive"
    assert made.dropped == ("reasoning.effort",)


@given(limit=st.integers(1025, 200_000), effort=st.sampled_from(["minimal", "high", "max"]))
def test_a_budget_leaves_room_for_the_answer(limit: int, effort: str) -> None:
    body = told({"reasoning": {"effort": effort}, "max_output_tokens": limit})
    assert 1024 <= body["thinking"]["budget_tokens"] < limit


@pytest.mark.parametrize(
    ("reasoning", "keys"),
    [
        ("Effort", {"output_config"}),
        ("Budget", {"thinking"}),
        ("Adaptive", {"thinking", "output_config"}),
    ],
)
def test_how_a_deployment_says_its_model_reasons(
    reasoning: Literal["Effort", "Budget", "Adaptive"], keys: set[str]
) -> None:
    info = ModelInfo(reasoning=reasoning)
    chosen = msgspec.structs.replace(deployment("other-vendor"), model_info=info)
    body = sent({"input": "hi", "reasoning": {"effort": "low"}}, "other-vendor", chosen)
    assert body.keys() - {"max_tokens", "messages", "model"} == keys
