"""What a Responses request becomes as a chat completion: parameters, tools, formats."""

from typing import Any, Literal

import msgspec
import pytest

from chat_params import check_params
from chat_wire import (
    COMPATIBLE,
    CUSTOM,
    DROPPING,
    FUNCTION,
    MODEL,
    NAMESPACE,
    OPENAI,
    deployment,
    sent,
    translator,
)
from sluicegate.api.support import FEATURES, Support
from sluicegate.config import Deployment, ModelInfo, OpenAIUpstream, Parameters
from sluicegate.model import ApiError
from sluicegate.providers.openai import CHAT_SUPPORT

PLAIN = {"role": "user", "content": "hi"}
UNREASONING = deployment(model_info=ModelInfo(reasoning="None"))
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def judged(body: dict[str, Any], of: Deployment = COMPATIBLE) -> dict[str, Any]:
    """The body that is sent, which OpenAI's definition allows."""
    made = sent(body, of)
    check_params(made)
    return made


def refused(body: dict[str, Any], of: Deployment = COMPATIBLE) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator(body, of).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


@pytest.mark.parametrize("of", [COMPATIBLE, OPENAI])
def test_the_least_that_is_sent(of: Deployment) -> None:
    assert judged({}, of) == {"model": MODEL, "messages": [PLAIN]}


def test_a_stream_asks_for_its_usage() -> None:
    body = judged({"stream": True, "stream_options": {"include_obfuscation": False}})
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_the_address_and_the_key() -> None:
    call = translator({}).request()
    assert (call.base_url, call.target) == ("http://vllm.internal:8000/v1", "/v1/chat/completions")
    assert (b"authorization", b"Bearer sk-compatible-0123456789") in call.headers
    azure = OpenAIUpstream(
        model=MODEL,
        base_url="https://my.openai.azure.com/openai/v1/",
        auth="ApiKey",
        api="ChatCompletions",
    )
    call = translator({}, msgspec.structs.replace(COMPATIBLE, upstream=azure)).request()
    assert call.target == "/openai/v1/chat/completions"
    assert (b"api-key", b"sk-compatible-0123456789") in call.headers


# -------------------------------------------------------------------------------------- parameters


def test_what_every_server_is_sent() -> None:
    asked = {
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "max_output_tokens": 77,
        "top_logprobs": 3,
        "reasoning": {"effort": "high"},
        "service_tier": "flex",
        "user": "u1",
    }
    body = judged(asked)
    for key in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs"):
        assert body[key] == asked[key]
    assert body["logprobs"] is True
    assert body["reasoning_effort"] == "high"
    assert body["service_tier"] == "flex"
    assert body["user"] == "u1"


@pytest.mark.parametrize(
    ("of", "name"), [(COMPATIBLE, "max_tokens"), (OPENAI, "max_completion_tokens")]
)
def test_the_limit_has_two_names(of: Deployment, name: str) -> None:
    body = judged({"max_output_tokens": 77}, of)
    assert {key: value for key, value in body.items() if "max" in key} == {name: 77}


@pytest.mark.parametrize(
    ("address", "auth", "own"),
    [
        ("https://api.openai.com/v1", "Bearer", True),
        ("https://eu.api.openai.com/v1", "Bearer", True),
        ("https://my.openai.azure.com/openai/v1", "Bearer", True),
        ("https://azure.corp.example/openai/v1", "ApiKey", True),
        ("https://my.services.ai.azure.com/openai/v1", "ApiKey", False),
        ("https://openai.com.evil.example/v1", "Bearer", False),
        ("https://notopenai.com/v1", "Bearer", False),
        ("http://127.0.0.1:11434/v1", "Bearer", False),
    ],
)
def test_who_is_openai(address: str, auth: Literal["Bearer", "ApiKey"], own: bool) -> None:
    upstream = OpenAIUpstream(model=MODEL, base_url=address, auth=auth, api="ChatCompletions")
    of = msgspec.structs.replace(COMPATIBLE, upstream=upstream)
    assert ("max_completion_tokens" in sent({"max_output_tokens": 77}, of)) is own


HINTS: dict[str, Any] = {
    "text": {"verbosity": "low"},
    "safety_identifier": "s1",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "explicit"},
}


def test_hints_go_to_openai_only() -> None:
    body = judged({**HINTS, "user": "u1"}, OPENAI)
    assert body["verbosity"] == "low"
    assert body["user"] == "u1"
    for key in HINTS.keys() - {"text"}:
        assert body[key] == HINTS[key]
    assert judged({**HINTS, "user": "u1"}) == {"model": MODEL, "messages": [PLAIN], "user": "s1"}


def test_logprobs_by_include() -> None:
    body = judged({"include": ["message.output_text.logprobs"]})
    assert body["logprobs"] is True
    assert "top_logprobs" not in body


def test_what_is_accepted_and_not_sent() -> None:
    body = judged(
        {
            "metadata": {"a": "b"},
            "truncation": "auto",
            "max_tool_calls": 3,
            "store": True,
            "client_metadata": {"x": "y"},
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"summary": "auto", "context": "auto"},
            "service_tier": "auto",
        }
    )
    assert body == {"model": MODEL, "messages": [PLAIN]}


def test_the_default_tier_is_what_others_have_anyway() -> None:
    assert "service_tier" not in judged({"service_tier": "default"})
    assert judged({"service_tier": "default"}, OPENAI)["service_tier"] == "default"


@pytest.mark.parametrize(
    ("body", "of", "param"),
    [
        ({"moderation": {"model": "m"}}, COMPATIBLE, "moderation"),
        ({"context_management": [{"type": "compaction"}]}, COMPATIBLE, "context_management"),
        ({"service_tier": "ultrafast"}, COMPATIBLE, "service_tier"),
        ({"reasoning": {"mode": "pro"}}, COMPATIBLE, "reasoning.mode"),
        ({"reasoning": {"effort": "low"}}, UNREASONING, "reasoning.effort"),
    ],
)
def test_what_is_refused_or_dropped(body: dict[str, Any], of: Deployment, param: str) -> None:
    assert refused(body, of) == ("unsupported_parameter", param)
    made = translator(body, msgspec.structs.replace(of, unsupported_parameters="Drop"))
    assert msgspec.json.decode(made.request().body) == {"model": MODEL, "messages": [PLAIN]}
    assert made.dropped == (param,)


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_effort_is_sent(effort: str) -> None:
    assert judged({"reasoning": {"effort": effort}})["reasoning_effort"] == effort


def test_no_effort_for_a_model_that_has_none() -> None:
    assert "reasoning_effort" not in judged({"reasoning": {"effort": "none"}}, UNREASONING)


@pytest.mark.parametrize(
    "body",
    [{"previous_response_id": "resp_1"}, {"conversation": "c"}, {"background": True}],
)
def test_what_needs_storage_is_refused(body: dict[str, Any]) -> None:
    assert refused(body) == ("unsupported_parameter", next(iter(body)))


def test_the_deployments_parameters() -> None:
    parameters = Parameters(
        defaults={"temperature": msgspec.Raw(b"0.3")},
        overrides={"top_p": msgspec.Raw(b"0.4")},
    )
    body = judged({"top_p": 0.9}, deployment(parameters=parameters))
    assert (body["temperature"], body["top_p"]) == (0.3, 0.4)


def test_the_table_speaks_of_every_feature() -> None:
    assert CHAT_SUPPORT.keys() == set(FEATURES)
    for row in CHAT_SUPPORT.values():
        assert row.note or row.support in {Support.NATIVE, Support.HINT, Support.UNSUPPORTED}


# ------------------------------------------------------------------------------------------- tools


def test_functions() -> None:
    tools = [
        FUNCTION | {"description": "The weather.", "strict": True},
        {"type": "function", "name": "bare", "strict": False},
    ]
    body = judged({"tools": tools})
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather.",
                "parameters": FUNCTION["parameters"],
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "bare", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert "tool_choice" not in body


def test_custom_and_namespace_tools_are_functions() -> None:
    body = judged({"tools": [CUSTOM, NAMESPACE]})
    patch, find = (tool["function"] for tool in body["tools"])
    assert patch["parameters"]["required"] == ["input"]
    assert find["name"] == "crm__find"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        (
            {"type": "function", "name": "weather"},
            {"type": "function", "function": {"name": "weather"}},
        ),
        ({"type": "custom", "name": "patch"}, {"type": "function", "function": {"name": "patch"}}),
    ],
)
def test_choices(choice: object, said: object) -> None:
    body = judged({"tools": [FUNCTION, CUSTOM], "tool_choice": choice})
    assert body.get("tool_choice") == said
    assert len(body["tools"]) == 2


@pytest.mark.parametrize(("mode", "said"), [("auto", None), ("required", "required")])
def test_allowed_tools_are_the_only_ones(mode: str, said: str | None) -> None:
    allowed = {
        "type": "allowed_tools",
        "mode": mode,
        "tools": [{"type": "custom", "name": "patch"}],
    }
    body = judged({"tools": [FUNCTION, CUSTOM], "tool_choice": allowed})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["patch"]
    assert body.get("tool_choice") == said


def test_parallel_calls() -> None:
    assert (
        judged({"tools": [FUNCTION], "parallel_tool_calls": False})["parallel_tool_calls"] is False
    )
    assert "parallel_tool_calls" not in judged({"tools": [FUNCTION], "parallel_tool_calls": True})
    assert "parallel_tool_calls" not in judged({"parallel_tool_calls": False})


def test_tools_of_others() -> None:
    body: dict[str, Any] = {"tools": [{"type": "web_search"}, FUNCTION]}
    made = translator(body)
    assert len(msgspec.json.decode(made.request().body)["tools"]) == 1
    assert made.dropped == ("tools.web_search",)
    strict = deployment(unsupported_tools="Reject")
    assert refused(body, strict) == ("unsupported_parameter", "tools[0].type")
    forced = {**body, "tool_choice": {"type": "web_search"}}
    assert refused(forced, DROPPING) == ("unsupported_parameter", "tool_choice")


def test_without_any_tool_left_there_is_no_choice() -> None:
    body = judged({"tools": [{"type": "web_search"}], "tool_choice": "none"})
    assert body == {"model": MODEL, "messages": [PLAIN]}


# ----------------------------------------------------------------------------------------- formats


def test_a_schema() -> None:
    wanted = {
        "type": "json_schema",
        "name": "city",
        "description": "A city.",
        "strict": True,
        "schema": SCHEMA,
    }
    body = judged({"text": {"format": wanted}})
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "city",
            "description": "A city.",
            "strict": True,
            "schema": SCHEMA,
        },
    }


def test_any_object_and_any_text() -> None:
    body = judged({"text": {"format": {"type": "json_object"}}})
    assert body["response_format"] == {"type": "json_object"}
    assert "response_format" not in judged({"text": {"format": {"type": "text"}}})
