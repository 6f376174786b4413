"""Tools, the form of the answer, effort and other settings, as each model on Bedrock has them."""

import json
from typing import Literal

import pytest

from bedrock_calls import (
    CITY,
    CLAUDE_3,
    CLAUDE_4,
    CLAUDE_37,
    CLAUDE_45,
    FORMAT,
    GPT_OSS,
    LLAMA,
    NOVA_2,
    OPUS_46,
    OPUS_47,
    WEATHER,
    call,
    refused,
    result,
    sent,
    text,
    translator,
    user,
)
from converse_model import accepted
from event_grammar import JsonObject
from sluicegate.api.support import FEATURES
from sluicegate.config import ModelInfo
from sluicegate.providers.bedrock import SUPPORT

Style = Literal["Budget", "Effort", "Adaptive"]
OPEN: JsonObject = {"properties": {"a": {}}}

# ----------------------------------------------------------------------------------------- tools


def test_tools_and_strictness() -> None:
    strict = WEATHER | {"name": "strict", "strict": True}
    tools = sent({"tools": [WEATHER, strict]}, CLAUDE_45)["toolConfig"]["tools"]
    assert "description" not in tools[0]["toolSpec"]  # an empty one is refused
    assert tools[0]["toolSpec"]["inputSchema"]["json"] == CITY
    assert "strict" not in tools[0]["toolSpec"]
    assert tools[1]["toolSpec"]["strict"] is True
    city = tools[1]["toolSpec"]["inputSchema"]["json"]["properties"]["city"]
    assert city == {"type": "string", "description": '{"minLength":1}'}
    older = sent({"tools": [strict]}, CLAUDE_37)["toolConfig"]["tools"][0]["toolSpec"]
    assert "strict" not in older
    assert older["inputSchema"]["json"] == CITY


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", None),
        ("required", {"any": {}}),
        ({"type": "function", "name": "weather"}, {"tool": {"name": "weather"}}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "weather"}],
            },
            {"any": {}},
        ),
    ],
)
def test_tool_choice(choice: object, expected: object) -> None:
    config = sent({"tools": [WEATHER], "tool_choice": choice})["toolConfig"]
    assert config.get("toolChoice") == expected


def test_hosted_tools_are_dropped_refused_or_the_models_own() -> None:
    fields = {"tools": [WEATHER, {"type": "web_search"}]}
    made = translator(fields)
    made.request()
    assert made.dropped == ("tools.web_search",)
    assert refused(fields, refuse_tools=True).error.param == "tools[1].type"
    entries = sent(fields, NOVA_2)["toolConfig"]["tools"]
    assert entries[1] == {"systemTool": {"name": "nova_grounding"}}
    forced = fields | {"tool_choice": {"type": "web_search"}}
    for model in (CLAUDE_4, NOVA_2):
        assert refused(forced, model).error.param == "tool_choice"


# ------------------------------------------------------------------------------------ the answer


def test_a_schema_is_native_where_the_model_enforces_it() -> None:
    body = sent({"text": {"format": FORMAT}}, CLAUDE_45)
    form = body["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    assert schema["properties"]["city"] == {"type": "string", "description": '{"minLength":1}'}
    assert "toolConfig" not in body
    unrestrained = sent({"text": {"format": FORMAT}}, GPT_OSS)["outputConfig"]["textFormat"]
    assert json.loads(unrestrained["structure"]["jsonSchema"]["schema"]) == CITY


def closed(**properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        closed(next={"$ref": "#/$defs/node"})
        | {"$defs": {"node": closed(next={"$ref": "#/$defs/node"})}},
        closed(next={"$ref": "#"}),
        closed(list={"type": "array"}),
        closed(anything={}),
        closed(map={"type": ["object", "null"]}),
    ],
)
def test_a_schema_that_claude_can_not_be_held_to_is_no_native_one(schema: JsonObject) -> None:
    body = sent({"text": {"format": FORMAT | {"schema": schema}}}, CLAUDE_45)
    assert "outputConfig" not in body
    answer = body["toolConfig"]["tools"][0]["toolSpec"]
    assert (answer["name"], answer["inputSchema"]["json"]) == ("json_answer", schema)
    strict = WEATHER | {"strict": True, "parameters": schema}
    tool = sent({"tools": [strict]}, CLAUDE_45)["toolConfig"]["tools"][0]["toolSpec"]
    assert "strict" not in tool
    assert tool["inputSchema"]["json"] == schema


def test_alternatives_are_spelled_as_claude_takes_them() -> None:
    kinds = [{"type": "string"}, {"type": "null"}]
    form = FORMAT | {"schema": closed(a={"oneOf": kinds})}
    native = sent({"text": {"format": form}}, CLAUDE_45)["outputConfig"]["textFormat"]
    schema = json.loads(native["structure"]["jsonSchema"]["schema"])
    assert schema["properties"]["a"] == {"anyOf": kinds}


@pytest.mark.parametrize(
    ("form", "model"),
    [
        (FORMAT, CLAUDE_37),
        ({"type": "json_object"}, CLAUDE_45),
        (FORMAT | {"schema": OPEN, "strict": False}, CLAUDE_45),
    ],
)
def test_elsewhere_it_is_a_tool_that_must_be_called(form: JsonObject, model: str) -> None:
    config = sent({"text": {"format": form}}, model)["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": "json_answer"}}
    fields = {"text": {"format": form}, "tools": [WEATHER, WEATHER | {"name": "json_answer"}]}
    config = sent(fields, model)["toolConfig"]
    assert config["toolChoice"] == {"any": {}}
    assert config["tools"][2]["toolSpec"]["name"] == "json_answer_"
    alone = sent(fields | {"tool_choice": "none"}, model)["toolConfig"]
    assert len(alone["tools"]) == 1
    named = fields | {"tool_choice": {"type": "function", "name": "weather"}}
    assert len(sent(named, model)["toolConfig"]["tools"]) == 2


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        (CLAUDE_37, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE_45, "max", {"thinking": {"type": "enabled", "budget_tokens": 31999}}),
        (
            OPUS_46,
            "minimal",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "low"},
            },
        ),
        (
            OPUS_46,
            "xhigh",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
        ),
        (
            OPUS_47,
            "xhigh",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "xhigh"},
            },
        ),
        (GPT_OSS, "xhigh", {"reasoning_effort": "high"}),
        (
            NOVA_2,
            "high",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
        (CLAUDE_37, "none", None),
        (OPUS_47, "none", None),
        (LLAMA, "none", None),
    ],
)
def test_effort_in_each_models_own_form(
    model: str, effort: str, expected: JsonObject | None
) -> None:
    body = sent({"reasoning": {"effort": effort, "summary": "auto"}}, model)
    assert body.get("additionalModelRequestFields") == expected


def test_nova_thinks_less_where_the_answer_is_limited() -> None:
    fields = {"reasoning": {"effort": "high"}, "max_output_tokens": 100}
    config = sent(fields, NOVA_2)["additionalModelRequestFields"]["reasoningConfig"]
    assert config["maxReasoningEffort"] == "medium"


def test_a_budget_leaves_room_or_thought_is_left_out_and_said() -> None:
    fields = {"reasoning": {"effort": "high"}, "max_output_tokens": 3000}
    body = sent(fields, CLAUDE_37)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2400
    info = ModelInfo(max_output_tokens=4096)
    body = sent({"reasoning": {"effort": "high"}}, CLAUDE_37, info=info)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 3276
    for model in (CLAUDE_37, OPUS_46):
        made = translator(fields | {"max_output_tokens": 1024}, model)
        assert "additionalModelRequestFields" not in accepted(made.request().body)
        assert made.dropped == ("reasoning.effort",)


@pytest.mark.parametrize(
    "more",
    [
        {"tool_choice": "required"},
        {"text": {"format": FORMAT}},
        {"input": [user(text("x")), call("c"), result("c")]},
    ],
    ids=["forced tool", "answer as a tool", "a turn without signed thought"],
)
def test_claude_does_not_think_where_it_must_not(more: JsonObject) -> None:
    fields: JsonObject = {"reasoning": {"effort": "low"}, "tools": [WEATHER], **more}
    made = translator(fields, CLAUDE_37)
    assert "additionalModelRequestFields" not in accepted(made.request().body)
    assert made.dropped == ("reasoning.effort",)


def test_effort_for_a_model_without_it_is_refused_or_dropped() -> None:
    fields = {"reasoning": {"effort": "low"}}
    assert refused(fields, LLAMA).error.param == "reasoning.effort"
    made = translator(fields, CLAUDE_3, drop=True)
    made.request()
    assert made.dropped == ("reasoning.effort",)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("Budget", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("Effort", None),
        ("Adaptive", {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_the_deployment_knows_what_a_profile_does_not_say(style: Style, expected: object) -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef"
    body = sent({"reasoning": {"effort": "low"}}, profile, info=ModelInfo(reasoning=style))
    if style == "Effort":
        assert body["outputConfig"] == {"effort": "low"}
    elif style == "Adaptive":
        assert body["additionalModelRequestFields"]["thinking"] == expected
    else:
        assert body["additionalModelRequestFields"] == expected
    none = ModelInfo(reasoning="None")
    assert refused({"reasoning": {"effort": "low"}}, CLAUDE_4, info=none).error.code


# ------------------------------------------------------------------------------------ parameters


def test_limits_and_sampling() -> None:
    body = sent({"max_output_tokens": 100, "temperature": 0.25, "top_p": 1})
    assert body["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.25, "topP": 1}
    assert "inferenceConfig" not in sent({"temperature": 1, "top_p": 1}, OPUS_47)


@pytest.mark.parametrize(
    ("fields", "model", "param"),
    [
        ({"temperature": 1.5}, CLAUDE_4, "temperature"),
        ({"temperature": 0.5}, OPUS_47, "temperature"),
        ({"top_p": 0.5}, OPUS_47, "top_p"),
        ({"temperature": 0.5, "reasoning": {"effort": "low"}}, CLAUDE_4, "temperature"),
        ({"top_p": 0.5, "reasoning": {"effort": "low"}}, CLAUDE_4, "top_p"),
        ({"presence_penalty": 1}, CLAUDE_4, "presence_penalty"),
        ({"top_logprobs": 2}, CLAUDE_4, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, CLAUDE_4, "include"),
        ({"service_tier": "scale"}, CLAUDE_4, "service_tier"),
        ({"max_tool_calls": 3}, CLAUDE_4, "max_tool_calls"),
        ({"previous_response_id": "resp_1"}, CLAUDE_4, "previous_response_id"),
        ({"background": True}, CLAUDE_4, "background"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    fields: JsonObject, model: str, param: str
) -> None:
    error = refused(fields, model)
    assert (error.error.code, error.error.param) == ("unsupported_parameter", param)


def test_or_dropped_and_named() -> None:
    fields = {"temperature": 1.5, "top_logprobs": 2, "max_tool_calls": 2, "service_tier": "fast"}
    made = translator(fields, drop=True)
    assert accepted(made.request().body).keys() == {"messages"}
    assert made.dropped == ("top_logprobs", "max_tool_calls", "temperature", "service_tier")


@pytest.mark.parametrize("tier", ["default", "flex", "priority"])
def test_service_tiers(tier: str) -> None:
    assert sent({"service_tier": tier})["serviceTier"] == {"type": tier}
    assert "serviceTier" not in sent({"service_tier": "auto"})


def test_metadata_and_the_end_user_go_to_the_accounts_logs_as_far_as_they_fit() -> None:
    fields = {
        "metadata": {f"k{n}": "v" for n in range(14)} | {"q?": "v", "k": "ünfit"},
        "safety_identifier": "user-1",
    }
    metadata = sent(fields)["requestMetadata"]
    assert metadata["user"] == "user-1"
    assert len(metadata) == 15
    assert "requestMetadata" not in sent({"user": "é"})


def test_the_table_speaks_of_known_features_only() -> None:
    assert set(SUPPORT) <= set(FEATURES)
