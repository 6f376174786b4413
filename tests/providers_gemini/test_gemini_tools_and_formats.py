"""Tools, tool choice, search, and the form of the answer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_grammar import JsonObject
from gemini_wire import (
    FLASH_2,
    FLASH_3,
    FUNCTION,
    GEMINI,
    OLD,
    VERTEX,
    deployment,
    dropping,
    sent,
    translator,
)
from google_definitions import check_body
from sluicegate.config import Upstream
from sluicegate.model import ApiError

SEARCH = {"type": "web_search"}
OTHER = FUNCTION | {"name": "other"}
SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "kind": {"const": "a"},
        "size": {"type": ["integer", "null"], "exclusiveMinimum": 0, "maximum": 9},
        "const": {"type": "string", "format": "uri"},
        "node": {"$ref": "#/definitions/node", "description": "the first"},
        "either": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}},
        "both": {"allOf": [{"properties": {"p": {"type": "string"}}}, {"required": ["p"]}]},
    },
    "required": ["kind", "gone"],
    "additionalProperties": False,
    "definitions": {
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/definitions/node"}, "n": {"type": "integer"}},
        }
    },
}
FORMAT: JsonObject = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}


def body_of(
    fields: dict[str, Any], model: str = FLASH_3, upstream: Upstream = GEMINI
) -> JsonObject:
    made = sent({"input": "hi", **fields}, model, deployment(upstream))
    check_body(made)
    return made


def refused(fields: dict[str, Any], model: str = FLASH_3) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": "hi", **fields}, model).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


def declarations(made: JsonObject) -> list[JsonObject]:
    return [each for tool in made["tools"] for each in tool.get("functionDeclarations", ())]


# ---------------------------------------------------------------------------------------- functions


def test_a_function() -> None:
    made = body_of({"tools": [FUNCTION | {"description": "Tells it."}]})
    assert made["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Tells it.",
                    "parametersJsonSchema": FUNCTION["parameters"],
                }
            ]
        }
    ]
    assert "toolConfig" not in made


def test_a_function_without_parameters() -> None:
    tool = {"type": "function", "name": "now"}
    (new,) = declarations(body_of({"tools": [tool]}))
    assert new["parametersJsonSchema"] == {"type": "object", "properties": {}}
    assert declarations(body_of({"tools": [tool]}, OLD)) == [{"name": "now"}]


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, {"mode": "NONE"}),
        ({"tool_choice": "required"}, {"mode": "ANY"}),
        (
            {"tool_choice": {"type": "function", "name": "other"}},
            {"mode": "ANY", "allowedFunctionNames": ["other"]},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "other"}],
                }
            },
            {"mode": "ANY"},
        ),
    ],
)
def test_tool_choices(fields: dict[str, Any], config: JsonObject | None) -> None:
    made = body_of({"tools": [FUNCTION, OTHER], **fields})
    expected = None if config is None else {"functionCallingConfig": config}
    assert made.get("toolConfig") == expected
    allowed = isinstance(fields["tool_choice"], dict) and "tools" in fields["tool_choice"]
    names = [each["name"] for each in declarations(made)]
    assert names == (["other"] if allowed else ["weather", "other"])


def test_strict_functions_are_held_to_their_schemas() -> None:
    strict = {"tools": [FUNCTION | {"strict": True}, OTHER]}
    made = body_of(strict)
    assert made["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert "toolConfig" not in body_of(strict, OLD)


def test_names_that_the_api_does_not_take() -> None:
    tools = [FUNCTION | {"name": "1st"}, FUNCTION | {"name": "-x"}, FUNCTION | {"name": "n" * 128}]
    choice = {"type": "function", "name": "1st"}
    made = body_of({"tools": tools, "tool_choice": choice})
    first, second, third = (each["name"] for each in declarations(made))
    assert (first, second) == ("_1st", "_-x")
    assert len(third) <= 64
    config = made["toolConfig"]["functionCallingConfig"]
    assert config["allowedFunctionNames"] == ["_1st"]


def test_names_that_become_one() -> None:
    tools = [FUNCTION | {"name": "1st"}, FUNCTION | {"name": "_1st"}]
    assert refused({"tools": tools})[1] == "tools"


def test_tools_that_are_not_there() -> None:
    tools = [FUNCTION, {"type": "code_interpreter", "container": {"type": "auto"}}]
    made = translator({"input": "hi", "tools": tools})
    made.request()
    assert made.dropped == ("tools.code_interpreter",)
    choice = {"type": "code_interpreter"}
    assert refused({"tools": tools, "tool_choice": choice}) == (
        "unsupported_parameter",
        "tool_choice",
    )


# ------------------------------------------------------------------------------------------- search


def test_a_search() -> None:
    assert body_of({"tools": [SEARCH]})["tools"] == [{"googleSearch": {}}]


@pytest.mark.parametrize(("upstream", "flag"), [(GEMINI, True), (VERTEX, False)])
def test_search_beside_functions(upstream: Upstream, flag: bool) -> None:
    made = body_of({"tools": [SEARCH, FUNCTION]}, upstream=upstream)
    assert [sorted(tool) for tool in made["tools"]] == [["functionDeclarations"], ["googleSearch"]]
    config = {"includeServerSideToolInvocations": True} if flag else None
    assert made.get("toolConfig") == config


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{**SEARCH, "external_web_access": False}, FUNCTION]},
        {"tools": [{**SEARCH, "filters": {"allowed_domains": ["a.example"]}}, FUNCTION]},
        {"tools": [{**SEARCH, "filters": {"blocked_domains": ["a.example"]}}, FUNCTION]},
        {"tools": [SEARCH, FUNCTION | {"name": "web_search"}]},
    ],
)
def test_searches_that_it_can_not_make_as_asked(fields: dict[str, Any]) -> None:
    made = translator({"input": "hi", **fields})
    body = json.loads(made.request().body)
    assert [sorted(tool) for tool in body["tools"]] == [["functionDeclarations"]]
    assert made.dropped == ("tools.web_search",)


def test_vertex_leaves_out_domains() -> None:
    tool = {**SEARCH, "filters": {"blocked_domains": ["a.example"]}}
    made = body_of({"tools": [tool]}, upstream=VERTEX)
    assert made["tools"] == [{"googleSearch": {"excludeDomains": ["a.example"]}}]


def test_older_models_take_one_of_the_two() -> None:
    made = translator({"input": "hi", "tools": [SEARCH, FUNCTION]}, FLASH_2)
    assert "googleSearch" not in made.request().body.decode()
    assert made.dropped == ("tools.web_search",)


def test_nobody_can_be_made_to_search() -> None:
    for choice in ("required", SEARCH):
        fields = {"tools": [SEARCH], "tool_choice": choice}
        assert refused(fields) == ("unsupported_parameter", "tool_choice")


def test_no_search_where_no_tool_may_be_used() -> None:
    made = body_of({"tools": [SEARCH, FUNCTION], "tool_choice": "none"})
    assert [sorted(tool) for tool in made["tools"]] == [["functionDeclarations"]]


def test_a_search_that_is_no_search() -> None:
    assert refused({"tools": [{**SEARCH, "filters": 5}]}) == ("invalid_value", "tools")


# ----------------------------------------------------------------------------------------- formats


def test_a_schema_for_the_answer() -> None:
    config = body_of({"text": {"format": FORMAT}})["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    schema = config["responseJsonSchema"]
    assert "$schema" not in schema
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["kind"] == {"enum": ["a"]}
    assert properties["const"] == {"type": "string", "format": "uri"}
    assert properties["node"] == {"description": "the first", "anyOf": [{"$ref": "#/$defs/node"}]}
    assert schema["$defs"]["node"]["properties"]["next"] == {"$ref": "#/$defs/node"}


def test_a_schema_for_older_models() -> None:
    config = body_of({"text": {"format": FORMAT}}, OLD)["generationConfig"]
    schema = config["responseSchema"]
    properties = schema["properties"]
    assert properties["kind"] == {"type": "string", "enum": ["a"]}
    assert properties["size"] == {"type": "integer", "nullable": True, "maximum": 9}
    assert properties["const"] == {"type": "string"}
    assert properties["either"] == {
        "nullable": True,
        "anyOf": [{"type": "string"}, {"type": "number"}],
    }
    assert properties["tags"]["items"] == {"type": "string", "enum": ["x", "y"]}
    assert properties["both"]["required"] == ["p"]
    assert properties["node"]["description"] == "the first"
    assert properties["node"]["properties"]["n"] == {"type": "integer"}
    assert schema["required"] == ["kind"]
    assert not {"additionalProperties", "definitions", "$ref"} & schema.keys()


def test_any_object() -> None:
    made = body_of({"text": {"format": {"type": "json_object"}}})
    assert made["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize("form", [FORMAT, {"type": "json_object"}])
def test_a_form_beside_functions(form: JsonObject) -> None:
    fields: JsonObject = {"text": {"format": form}, "tools": [FUNCTION]}
    assert "responseMimeType" in body_of(fields)["generationConfig"]
    older = body_of(fields, FLASH_2)
    assert "generationConfig" not in older
    assert "JSON" in older["systemInstruction"]["parts"][-1]["text"]
    forced = body_of({**fields, "tool_choice": "required"}, FLASH_2)
    assert "systemInstruction" not in forced


KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "items", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"),
        *("required", "definitions", "$defs", "format", "minimum", "description", "not"),
    ]
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(["string", "object", "array", "null", "#", "#/$defs/a", "#/definitions"])
    | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(schema=st.dictionaries(KEYWORDS, SCHEMAS, max_size=5))
def test_any_schema_is_sent_somehow(schema: JsonObject) -> None:
    tool = {"type": "function", "name": "f", "parameters": schema}
    form = {"type": "json_schema", "name": "n", "schema": schema}
    for model in (OLD, FLASH_3):
        made = sent({"input": "hi", "tools": [tool]}, model, dropping())
        assert len(json.dumps(made)) < 5_000_000
        sent({"input": "hi", "text": {"format": form}}, model)


def test_a_schema_that_unfolds_without_end_is_cut() -> None:
    node: JsonObject = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/node"} for name in "abcdefgh"},
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    tool = {"type": "function", "name": "f", "parameters": schema}
    made = translator({"input": "hi", "tools": [tool]}, OLD).request()
    assert len(made.body) < 1_000_000


BIG: JsonObject = {"type": "object", "properties": {f"p{n}": {} for n in range(20_000)}}


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {f"p{number}": {"$ref": "#/$defs/b"} for number in range(5000)},
        },
        {"allOf": [{"$ref": "#/$defs/b"}] * 20_000},
        {"anyOf": [{"$ref": "#/$defs/b"}] * 20_000},
        {"properties": BIG["properties"], "required": [f"p{n}" for n in range(20_000)]},
    ],
    ids=["references", "allOf", "anyOf", "required"],
)
def test_a_schema_that_is_made_to_be_slow_is_not(schema: JsonObject) -> None:
    """The suite's own time limit is the judge."""
    tool = {"type": "function", "name": "f", "parameters": {**schema, "$defs": {"b": BIG}}}
    made = translator({"input": "hi", "tools": [tool]}, OLD).request()
    assert len(made.body) < 2_000_000
