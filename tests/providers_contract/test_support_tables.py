"""The tables of support, which the documentation is made from, say what the translators do."""

import json
from typing import Any, NamedTuple

import pytest
from scripts.provider_table import COLUMNS, PAGE, Column, page

from sluicegate.api.request import decode_request
from sluicegate.api.support import CONTENT, FEATURES, Row, Support
from sluicegate.config import (
    AnthropicUpstream,
    BedrockUpstream,
    Deployment,
    EchoUpstream,
    GeminiUpstream,
    OpenAIUpstream,
    SecretCredential,
    Upstream,
    VertexAIUpstream,
)
from sluicegate.model import ApiError
from sluicegate.providers import PROVIDERS
from sluicegate.providers.contract import Translator

SECRET = "sk-upstream-0123456789"
# One model per column that can do all that its column promises.
UPSTREAMS: dict[str, Upstream] = {
    "openai": OpenAIUpstream(model="gpt-4.1-mini"),
    "openai, ChatCompletions": OpenAIUpstream(model="gpt-4.1-mini", api="ChatCompletions"),
    "anthropic": AnthropicUpstream(model="claude-sonnet-4-5"),
    "gemini": GeminiUpstream(model="gemini-3-flash-preview"),
    "vertexAI, google": VertexAIUpstream(
        model="gemini-3-flash-preview", project="p", location="global"
    ),
    "vertexAI, anthropic": VertexAIUpstream(
        model="claude-sonnet-4-5", project="p", location="eu", publisher="anthropic"
    ),
    "bedrock": BedrockUpstream(model="amazon.nova-2-lite-v1:0", region="us-east-1"),
}
PNG = "data:image/png;base64,iVBORw0KGgo="
FUNCTION: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
SCHEMA = {"type": "json_schema", "name": "n", "schema": FUNCTION["parameters"]}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, *parts]}]}


def items(*more: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": "hi"}, *more]}


def tools(*those: dict[str, Any], choice: object = None) -> dict[str, Any]:
    return {"input": "hi", "tools": list(those), "tool_choice": choice}


def parameter(name: str, value: object) -> dict[str, Any]:
    """A request that sets the parameter of this dotted name."""
    for part in reversed(name.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return {"input": "hi", **value}


CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
SEEN = [{"type": "input_image", "image_url": PNG}]
PROBES: dict[str, dict[str, Any]] = {
    **{
        name: parameter(name, value)
        for name, value in {
            "instructions": "Be brief.",
            "max_output_tokens": 2000,
            "temperature": 0.5,
            "top_p": 0.5,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.5,
            "top_logprobs": 2,
            "max_tool_calls": 2,
            "parallel_tool_calls": False,
            "truncation": "auto",
            "service_tier": "default",
            "text.format": SCHEMA,
            "text.verbosity": "low",
            "reasoning.effort": "low",
            "reasoning.summary": "auto",
            "reasoning.mode": "pro",
            "reasoning.context": "auto",
            "metadata": {"k": "v"},
            "user": "u",
            "safety_identifier": "s",
            "prompt_cache_key": "k",
            "prompt_cache_retention": "24h",
            "prompt_cache_options": {"mode": "implicit"},
            "stream_options": {"include_obfuscation": False},
            "client_metadata": {"k": "v"},
            "context_management": [{"type": "compaction"}],
            "moderation": {"model": "m"},
            "access_programs": {"a": 1},
            "background_options": {"a": 1},
            "image": {"a": 1},
        }.items()
    },
    "text.format.json_object": parameter("text.format", {"type": "json_object"}),
    "include.message.output_text.logprobs": parameter("include", ["message.output_text.logprobs"]),
    "include.reasoning.encrypted_content": parameter("include", ["reasoning.encrypted_content"]),
    "message.system": items({"role": "developer", "content": "d"}),
    "input_image.data": said({"type": "input_image", "image_url": PNG}),
    "input_image.url": said({"type": "input_image", "image_url": "https://a.example/a.png"}),
    "input_file.data": said({"type": "input_file", "filename": "a.txt", "file_data": "aGk="}),
    "input_file.url": said({"type": "input_file", "file_url": "https://a.example/a.pdf"}),
    "file_id": said({"type": "input_file", "file_id": "file-1"}),
    "function_call_output.media": items(
        CALL, {"type": "function_call_output", "call_id": "c1", "output": SEEN}
    )
    | {"tools": [FUNCTION]},
    "reasoning": items({"type": "reasoning", "id": "rs_1", "summary": []}),
    "web_search_call": items({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
    "image_generation_call": items(
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}
    ),
    "item_reference": items({"type": "compaction", "encrypted_content": "x"}),
    "items.other": items({"type": "shell_call", "id": "sh_1"}),
    "stored": parameter("previous_response_id", "resp_1"),
    "tools.function": tools(FUNCTION),
    "tools.function.strict": tools({**FUNCTION, "strict": True}),
    "tools.custom": tools({"type": "custom", "name": "patch"}),
    "tools.namespace": tools({"type": "namespace", "name": "shop", "tools": [FUNCTION]}),
    "tools.web_search": tools({"type": "web_search"}),
    "tools.other": tools({"type": "code_interpreter", "container": {"type": "auto"}}),
    "tool_choice.none": tools(FUNCTION, choice="none"),
    "tool_choice.required": tools(FUNCTION, choice="required"),
    "tool_choice.function": tools(FUNCTION, choice={"type": "function", "name": "weather"}),
    "tool_choice.allowed_tools": tools(
        FUNCTION,
        choice={
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "weather"}],
        },
    ),
    "tool_choice.web_search": tools({"type": "web_search"}, choice={"type": "web_search"}),
}
PROBES["text.format.json_schema"] = PROBES.pop("text.format")


class Case(NamedTuple):
    column: Column
    name: str
    row: Row


def cases() -> list[Any]:
    found: list[Any] = []
    for column in COLUMNS:
        for names, table in ((FEATURES, column.parameters), (CONTENT, column.content)):
            for name in names:
                case = Case(column, name, table.get(name, Row(Support.UNSUPPORTED)))
                found.append(pytest.param(case, id=f"{column.name}: {name}"))
    return found


def translator(case: Case, *, drop: bool) -> Translator:
    upstream = UPSTREAMS[case.column.name]
    deployment = Deployment(
        namespace="default",
        name="d",
        model="public",
        upstream=upstream,
        credential=SecretCredential(SECRET),
        unsupported_parameters="Drop" if drop else "Reject",
        unsupported_tools="Drop" if drop else "Reject",
    )
    connector = PROVIDERS[type(upstream)].connector(deployment, deployment.credential, {})
    body = json.dumps({"model": "public", **PROBES[case.name]}).encode()
    return connector.translator(decode_request(body), upstream.model)


def test_every_row_has_its_request() -> None:
    assert PROBES.keys() == {*FEATURES, *CONTENT}
    for column in COLUMNS:
        assert column.parameters.keys() | column.content.keys() <= {*FEATURES, *CONTENT}


def test_every_provider_has_a_column() -> None:
    """Only echo has none: it has no upstream."""
    shown = {type(UPSTREAMS[column.name]) for column in COLUMNS}
    assert shown == PROVIDERS.keys() - {EchoUpstream}


@pytest.mark.parametrize("case", cases())
def test_a_row_says_what_the_translator_does(case: Case) -> None:
    made = translator(case, drop=False)
    if case.row.support in {Support.UNSUPPORTED, Support.REFUSED}:
        with pytest.raises(ApiError) as refused:
            made.request()
        assert (refused.value.status, refused.value.error.code) == (400, "unsupported_parameter")
    else:
        made.request()
        assert made.dropped == ()


@pytest.mark.parametrize("case", cases())
def test_what_can_be_dropped_is_named_and_the_rest_is_refused(case: Case) -> None:
    made = translator(case, drop=True)
    match case.row.support:
        case Support.UNSUPPORTED:
            made.request()
            assert len(made.dropped) == 1
        case Support.REFUSED:
            with pytest.raises(ApiError):
                made.request()
            assert made.dropped == ()
        case _:
            made.request()
            assert made.dropped == ()


def test_the_page_is_made_anew_wherever_a_table_stands() -> None:
    stale = "a\n<!-- table: parameters -->\nold\n<!-- /table -->\nb\n"
    made = page(stale)
    assert made.startswith("a\n<!-- table: parameters -->\n| parameter | openai |")
    assert made.endswith("|\n<!-- /table -->\nb\n")
    assert page(made) == made


def test_the_page_has_the_tables_and_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("parameters", "content", *(f"notes of {each.name}" for each in COLUMNS[2:])):
        assert f"<!-- table: {name} -->" in text  # of chat completions the page says more by hand
    assert page(text) == text
