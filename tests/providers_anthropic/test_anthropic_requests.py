"""What a Responses request becomes for the Messages API: parameters and their limits."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_params import check_params
from anthropic_wire import FUNCTION, SONNET, deployment, recordings, sent, translator
from sluicegate.api.support import FEATURES, Support
from sluicegate.config import AnthropicUpstream, ModelInfo, Parameters
from sluicegate.model import ApiError
from sluicegate.providers.anthropic import SUPPORT

PLAIN = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
OLD = "claude-3-5-sonnet-20240620"
ALWAYS = "claude-opus-5-5"
DROPPING = msgspec.structs.replace(
    deployment(), unsupported_parameters="Drop", unsupported_tools="Drop"
)


def refused(body: dict[str, Any], model: str = SONNET) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": "hi", **body}, model).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


def test_the_least_that_is_sent() -> None:
    assert sent({"input": "hi"}) == {"max_tokens": 64_000, "messages": [PLAIN], "model": SONNET}


def test_instructions_are_the_system() -> None:
    body = sent({"input": "hi", "instructions": "Be kind.", "stream": True})
    assert body["system"] == [{"type": "text", "text": "Be kind."}]
    assert body["stream"] is True


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-3-haiku-20240307", 4096),
        (OLD, 8192),
        ("claude-3-7-sonnet-latest", 16_384),
        ("claude-sonnet-4-20250514", 16_384),
        ("claude-opus-4-1@20250805", 16_384),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-sonnet-5-5", 128_000),
        ("claude-of-tomorrow-9", 128_000),
        ("kimi-k2", 8192),
    ],
)
def test_a_request_without_a_limit_has_the_models(model: str, tokens: int) -> None:
    assert sent({"input": "hi"}, model)["max_tokens"] == tokens


def test_limits_that_are_given() -> None:
    assert sent({"input": "hi", "max_output_tokens": 77})["max_tokens"] == 77
    limited = msgspec.structs.replace(deployment(), model_info=ModelInfo(max_output_tokens=2000))
    assert sent({"input": "hi"}, of=limited)["max_tokens"] == 2000


# ---------------------------------------------------------------------------------------- sampling


def test_temperature_and_top_p() -> None:
    assert sent({"input": "hi", "temperature": 0})["temperature"] == 0
    assert sent({"input": "hi", "top_p": 0.3})["top_p"] == 0.3
    both = sent({"input": "hi", "temperature": 0.5, "top_p": 0.3}, OLD)
    assert (both["temperature"], both["top_p"]) == (0.5, 0.3)


@pytest.mark.parametrize("model", [SONNET, OLD, ALWAYS])
def test_the_default_asks_for_nothing(model: str) -> None:
    body = sent({"input": "hi", "temperature": 1, "top_p": 1.0}, model)
    assert body.keys() == {"max_tokens", "messages", "model"}


@pytest.mark.parametrize(
    ("body", "model", "param"),
    [
        ({"temperature": 1.5}, SONNET, "temperature"),
        ({"temperature": 0.5}, ALWAYS, "temperature"),
        ({"top_p": 0.5}, "claude-opus-4-7", "top_p"),
        ({"temperature": 0.5, "top_p": 0.5}, SONNET, "top_p"),
        ({"temperature": 0.5, "reasoning": {"effort": "low"}}, SONNET, "temperature"),
        ({"top_p": 0.5, "reasoning": {"effort": "low"}}, "claude-opus-4-6", "top_p"),
    ],
)
def test_sampling_that_the_model_refuses(body: dict[str, Any], model: str, param: str) -> None:
    assert refused(body, model) == ("unsupported_parameter", param)
    made = translator({"input": "hi", **body}, model, DROPPING)
    assert param not in json.loads(made.request().body)
    assert made.dropped == (param,)


def test_a_version_of_the_api_that_takes_no_sampling() -> None:
    upstream = AnthropicUpstream(model=SONNET, version="2026-10-21")
    new = msgspec.structs.replace(deployment(), upstream=upstream)
    with pytest.raises(ApiError, match="temperature"):
        translator({"input": "hi", "temperature": 0.5}, of=new).request()


# ------------------------------------------------------------------------------- what is not there

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"presence_penalty": 0.5}, "presence_penalty"),
    ({"frequency_penalty": -1}, "frequency_penalty"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"include": ["message.output_text.logprobs"]}, "include"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ({"background": True}, "background"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "p"}}, "prompt"),
]


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=[param for _, param in REFUSED])
def test_what_would_change_the_answer_is_refused(body: dict[str, Any], param: str) -> None:
    assert refused(body) == ("unsupported_parameter", param)


@pytest.mark.parametrize(("body", "param"), REFUSED[:8], ids=[param for _, param in REFUSED[:8]])
def test_or_dropped_and_named(body: dict[str, Any], param: str) -> None:
    made = translator({"input": "hi", **body}, of=DROPPING)
    assert json.loads(made.request().body).keys() == {"max_tokens", "messages", "model"}
    assert [name.split(".")[0] for name in made.dropped] == [param.split(".", maxsplit=1)[0]]


@pytest.mark.parametrize(
    "hint",
    [
        {"presence_penalty": 0, "frequency_penalty": 0.0, "top_logprobs": 0},
        {"truncation": "auto"},
        {"store": True},
        {"metadata": {"a": "b"}, "text": {"verbosity": "low"}},
        {"stream_options": {"include_obfuscation": False}, "client_metadata": {"x": "y"}},
        {"include": ["reasoning.encrypted_content"]},
        {"service_tier": "auto"},
        {"service_tier": "priority"},
        {"max_tool_calls": 3},
        {"reasoning": {"summary": "auto", "context": "auto", "mode": "standard"}},
        {"reasoning": {"effort": "none"}},
    ],
)
def test_hints_are_accepted(hint: dict[str, Any]) -> None:
    made = translator({"input": "hi", **hint})
    assert json.loads(made.request().body).keys() == {"max_tokens", "messages", "model"}
    assert made.dropped == ()


def test_the_table_of_support_speaks_of_every_feature() -> None:
    assert SUPPORT.keys() == set(FEATURES)
    for name, row in SUPPORT.items():
        assert row.support is not Support.UNSUPPORTED or not row.note, name


# ----------------------------------------------------------------------------------- who and where


@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"user": "u-1"}, "u-1"),
        ({"user": "u-1", "safety_identifier": "s-1"}, "s-1"),
        ({"user": "eve@example.org"}, hashlib.sha256(b"eve@example.org").hexdigest()),
        ({"user": "x" * 257}, hashlib.sha256(b"x" * 257).hexdigest()),
    ],
)
def test_the_end_user_goes_upstream_without_an_address(body: dict[str, Any], user: str) -> None:
    assert sent({"input": "hi", **body})["metadata"] == {"user_id": user}


def test_the_default_tier_is_the_standard_one() -> None:
    assert sent({"input": "hi", "service_tier": "default"})["service_tier"] == "standard_only"


def test_parameters_of_the_deployment() -> None:
    preset = Parameters(
        defaults={"temperature": msgspec.Raw(b"0.25"), "user": msgspec.Raw(b'"d"')},
        overrides={"max_output_tokens": msgspec.Raw(b"100")},
    )
    chosen = msgspec.structs.replace(deployment(), parameters=preset)
    body = sent({"input": "hi", "temperature": 0.5, "max_output_tokens": 5000}, of=chosen)
    assert (body["temperature"], body["max_tokens"]) == (0.5, 100)
    assert body["metadata"] == {"user_id": "d"}


# ----------------------------------------------------------------------- by the vendor's definition

CASES: list[dict[str, Any]] = [
    {"input": "hi"},
    {"input": "hi", "stream": True, "temperature": 0.1, "user": "u", "instructions": "i"},
    {"input": "hi", "reasoning": {"effort": "high", "summary": "auto"}},
    {"input": "hi", "reasoning": {"effort": "none"}, "service_tier": "default"},
    {"input": "hi", "tools": [FUNCTION | {"strict": True}], "parallel_tool_calls": False},
    {"input": "hi", "tools": [FUNCTION], "tool_choice": "none"},
    {
        "input": "hi",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "tools": [{"type": "web_search", "user_location": {"city": "Bonn"}}],
        "max_tool_calls": 2,
    },
    {
        "input": [
            {"role": "user", "content": "a"},
            {"role": "developer", "content": "b"},
            {"type": "function_call", "call_id": "c.1", "name": "f", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "c.1",
                "output": [
                    {"type": "input_text", "text": "t"},
                    {"type": "input_image", "image_url": "https://a.example/b.png"},
                ],
            },
        ],
    },
    {"input": "hi", "text": {"format": {"type": "json_object"}}},
    {
        "input": "hi",
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            }
        },
    },
]
MODELS = [OLD, SONNET, "claude-opus-4-6", "claude-opus-5", "claude-sonnet-5-5", ALWAYS]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("body", CASES)
def test_the_vendor_allows_what_is_sent(body: dict[str, Any], model: str) -> None:
    check_params(sent(body, model, DROPPING))


@pytest.mark.parametrize("path", recordings("requests/*.json"))
def test_the_vendor_allows_what_other_gateways_are_tested_with(path: Path) -> None:
    # One of them has a refusal's words under `text`, where the API has them under `refusal`.
    body = path.read_text().replace('"refusal", "text"', '"refusal", "refusal"')
    check_params(sent(json.loads(body)))


def test_the_judge_is_strict() -> None:
    body = sent({"input": "hi"})
    check_params(body)
    for wrong in (
        body | {"unknown": 1},
        body | {"messages": [{"role": "user", "content": [{"type": "text", "words": "x"}]}]},
        body | {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]},
    ):
        with pytest.raises(ValueError, match="validation error"):
            check_params(wrong)


# ---------------------------------------------------------------------------------------- anything

FOLLOWERS = {"user": {"assistant", "system"}, "assistant": {"user"}, "system": {"assistant"}}
_texts = st.sampled_from(["a", "b c", " ", "", "é"])
_ids = st.sampled_from(["c1", "c2", "c:3", "c_3"])
_parts = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("input_text"), "text": _texts}),
        st.just({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}),
    ),
    max_size=3,
)
_items = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": _texts}
    ),
    st.fixed_dictionaries({"role": st.just("user"), "content": _parts}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "summary": st.just([])}),
    st.fixed_dictionaries(
        {
            "type": st.just("function_call"),
            "call_id": _ids,
            "name": st.sampled_from(["f", "g", "a b"]),
            "arguments": st.sampled_from(["{}", "", '{"a": 1}']),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": _ids, "output": _texts | _parts}
    ),
)


@settings(max_examples=200)
@given(items=st.lists(_items, max_size=8), model=st.sampled_from([SONNET, "claude-opus-5"]))
def test_any_conversation_has_the_form_that_the_api_wants(
    items: list[dict[str, Any]], model: str
) -> None:
    made = translator({"input": items}, model)
    try:
        body = json.loads(made.request().body)
    except ApiError as refusal:
        status = refusal.status
    else:
        status = 200
        check_conversation(body)
        check_params(body)
    assert status in {200, 400}


def check_conversation(body: dict[str, Any]) -> None:
    turns = body["messages"]
    waiting: list[str] = []
    seen: set[str] = set()
    role = "assistant"
    for turn in turns:
        assert turn["content"]
        assert turn["role"] in FOLLOWERS[role]
        role = turn["role"]
        results = [block for block in turn["content"] if block["type"] == "tool_result"]
        assert turn["content"][: len(results)] == results
        assert [block["tool_use_id"] for block in results] == waiting
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        assert not seen & set(waiting)
        seen |= set(waiting)
        for block in turn["content"]:
            assert block["type"] != "text" or block["text"].strip()
    assert waiting == []
    assert bool(seen) == bool(body.get("tools"))
