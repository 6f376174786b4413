"""What the keywords of a call become, and which are refused before anything is sent."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx2
import openai
import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from pydantic import BaseModel

import sluicegate
import spoken_wires
from responses_wire import answer_body, function_call, response
from scripted_upstream import answers
from served_upstream import Served
from sluicegate.providers import PROVIDERS
from sluicegate.providers.direct import DirectOptions
from sluicegate.sdk.arguments import PARAMETERS, Arguments, Connection
from sluicegate.sdk.plan import DIRECT, Plan, plan_call

MODEL = "openai/o1-pro"
NAMED = {"model", "input"}  # not in the dictionary of the others


def sent(upstream: Served, **more: object) -> dict[str, Any]:
    """The body of a call."""
    given: dict[str, Any] = {"input": "hi", "api_key": "k", **more}
    upstream.says(spoken_wires.openai)
    sluicegate.responses(MODEL, base_url=f"{upstream.origin}/v1", stream=False, **given)
    return upstream.last.json()


def refused(model: str = MODEL, **more: object) -> str:
    """What is said of a call that can't be planned."""
    with pytest.raises(openai.OpenAIError) as caught:
        plan(model, {"api_key": "k", **more})
    return str(caught.value)


def plan(model: str, given: Mapping[str, object]) -> Plan:
    return plan_call(model, "hi", cast("Arguments", given), stream=False)


def test_every_parameter_of_the_package_has_a_keyword() -> None:
    assert set(ResponseCreateParamsBase.__annotations__) - NAMED == PARAMETERS


def test_every_provider_can_be_called() -> None:
    assert len(DIRECT) == len(PROVIDERS)
    assert list(DIRECT) == ["openai", "anthropic", "gemini", "vertex_ai", "bedrock", "echo"]


def test_every_option_has_a_keyword() -> None:
    keywords = set(Connection.__annotations__) - {"vertex_credentials", "extra_headers"}
    assert keywords == set(DirectOptions._fields) - {"google_credentials"}


def test_only_what_is_given_is_sent(upstream: Served) -> None:
    assert sent(upstream) == {"model": "o1-pro", "input": "hi"}
    body = sent(
        upstream, instructions=None, temperature=0.5, metadata={"a": "b"}, user=openai.NOT_GIVEN
    )
    assert body == {
        "model": "o1-pro",
        "input": "hi",
        "instructions": None,
        "temperature": 0.5,
        "metadata": {"a": "b"},
    }


def test_what_is_newer_goes_into_extra_body(upstream: Served) -> None:
    assert sent(upstream, extra_body={"brand_new": [1]})["brand_new"] == [1]


def test_an_unknown_keyword(upstream: Served) -> None:
    with pytest.raises(TypeError, match="'tempo'"):
        sent(upstream, tempo=1)
    assert upstream.calls == []


def test_items_of_an_answer_are_input(upstream: Served) -> None:
    upstream.says(answers(json.dumps(response([function_call("{}")])).encode()))
    answer = sluicegate.responses(MODEL, "hi", api_key="k", base_url=f"{upstream.origin}/v1")
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    body = sent(upstream, input=[*answer.output, result])
    assert body["input"] == [function_call("{}"), result]


def test_any_iterable_is_a_list(upstream: Served) -> None:
    tool: dict[str, object] = {"type": "function", "name": "f", "parameters": {}, "strict": False}
    assert sent(upstream, tools=iter([tool]))["tools"] == [tool]


def test_what_is_no_json(upstream: Served) -> None:
    with pytest.raises(TypeError, match="object"):
        sent(upstream, metadata={"a": object()})


@pytest.mark.parametrize("more", [{"temperature": "hot"}, {"metadata": {"a": 1}}])
def test_a_wrong_type_is_a_bad_request(upstream: Served, more: Mapping[str, object]) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid type"):
        sent(upstream, **more)
    assert upstream.calls == []


def test_the_library_reads_its_own_models(upstream: Served) -> None:
    class Item(BaseModel):
        role: str
        content: str

    assert sent(upstream, input=[Item(role="user", content="hi")])["input"] == [
        {"role": "user", "content": "hi"}
    ]


# --- what a provider can't do ---------------------------------------------------------------------


def claude(upstream: Served, **more: object) -> None:
    given: dict[str, Any] = {"api_key": "k", **more}
    upstream.says(spoken_wires.anthropic)
    sluicegate.responses(
        "anthropic/claude-sonnet-4-5", "hi", base_url=upstream.origin, stream=False, **given
    )


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"top_logprobs": 3, "include": ["message.output_text.logprobs"]}, "top_logprobs"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools"),
    ],
)
def test_unsupported(upstream: Served, more: Mapping[str, object], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        claude(upstream, **more)
    assert param in (caught.value.param or "")
    assert upstream.calls == []


def test_unsupported_and_dropped(upstream: Served, caplog: pytest.LogCaptureFixture) -> None:
    tools = [{"type": "file_search", "vector_store_ids": ["v"]}]
    with caplog.at_level(logging.WARNING, "sluicegate"):
        claude(upstream, tools=tools, drop_unsupported=True)
    assert "tools" not in upstream.last.json()
    assert "file_search" in caplog.text
    assert "anthropic/claude-sonnet-4-5" in caplog.text


# --- addresses, headers, credentials --------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["", "gpt-4o", "openai/", "/gpt-4o", "nobody/gpt-4o", "OpenAI/gpt-4o"]
)
def test_names_without_a_provider(model: str) -> None:
    assert "one of openai/…, anthropic/…" in refused(model)


@pytest.mark.parametrize(
    "base_url",
    [
        "api.example",
        "ftp://api.example",
        "https://",
        "https://user:hunter2@api.example",
        "https://api.example/v1?key=hunter2",
        "https://api.example:0/v1",
        "https://api.example:99999/v1",
        "https://api.example/hunter2 x",
        "https://[::1/v1",
        "https://exämple/",
    ],
)
def test_addresses(base_url: str) -> None:
    said = refused(base_url=base_url)
    assert said.startswith(f"{MODEL}: base_url")
    assert "hunter2" not in said


@pytest.mark.parametrize("key", ["k\n", "k\r\nx-evil: 1", "schlüssel", "\x7f"])
@pytest.mark.parametrize("model", [MODEL, "anthropic/c", "gemini/g"])
def test_keys_that_no_header_can_hold(model: str, key: str) -> None:
    said = refused(model, api_key=key)
    assert "characters" in said
    assert key not in said


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "x"}, {"Host": "x"}, {"x": "a\r\nb: c"}, {"x y": "1"}, {"Cookie": "a=b"}],
)
def test_headers(headers: Mapping[str, str]) -> None:
    assert refused(extra_headers=headers).startswith(f"{MODEL}: extra_headers")


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        (MODEL, {"api_key": ""}, "OPENAI_API_KEY"),
        (MODEL, {"max_retries": -1}, "max_retries"),
        ("anthropic/c", {"api_key": None}, "ANTHROPIC_API_KEY"),
        ("gemini/g", {"api_key": None}, "GEMINI_API_KEY"),
        ("vertex_ai/g", {}, "VERTEXAI_PROJECT"),
        ("vertex_ai/g", {"vertex_project": "p"}, "VERTEXAI_LOCATION"),
        ("vertex_ai/g", {"vertex_project": "p/../q", "vertex_location": "us"}, "vertex_project"),
        ("vertex_ai/g", {"vertex_project": "p", "vertex_location": "evil.com/"}, "location"),
        ("bedrock/m", {}, "AWS_REGION"),
        ("bedrock/m", {}, "the AWS profile"),
        (MODEL, {"api": "completions"}, "api must be one of responses, chat_completions"),
        (
            MODEL,
            {"extra_headers": {"Authorization": "x"}},
            "keywords of their own",
        ),
        ("bedrock/m", {"aws_region_name": "evil.com/#"}, "aws_region_name"),
        (
            "bedrock/m",
            {"api_key": None, "aws_region_name": "us-west-2", "aws_access_key_id": "A"},
            "go together",
        ),
    ],
)
def test_what_is_missing_or_wrong(model: str, more: Mapping[str, object], said: str) -> None:
    assert said in refused(model, **more)


def google_token(given: object) -> str:
    """The project that is found."""
    planned = plan("vertex_ai/g", {"vertex_location": "us", "vertex_credentials": given})
    call = planned.targets[0].connector.translator(planned.request, "g").request()
    assert "hush" not in repr(planned)
    return repr(call)


def test_google_credentials(tmp_path: Path) -> None:
    info = {"type": "service_account", "project_id": "from-file", "private_key": "hush"}
    text = json.dumps(info)
    path = tmp_path / "key.json"
    path.write_text(text)
    for given in (info, text, str(path), path):
        assert "/projects/from-file/" in google_token(given)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_google_credentials_that_are_not_there(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_bytes(content)
    said = refused("vertex_ai/g", vertex_project="p", vertex_location="us", vertex_credentials=path)
    assert "vertex_credentials" in said


async def test_credentials_that_google_refuses(upstream: Served) -> None:
    info = {"type": "authorized_user", "client_id": "c", "client_secret": "hush"}
    with pytest.raises(openai.AuthenticationError) as caught:
        await sluicegate.aresponses(
            "vertex_ai/g",
            "hi",
            base_url=upstream.origin,
            vertex_project="p",
            vertex_location="us",
            vertex_credentials=info,
        )
    assert caught.value.code == "upstream_credential"
    assert "hush" not in str(caught.value)
    assert upstream.calls == []


def test_a_proxy_of_the_environment(upstream: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.says(spoken_wires.openai)
    monkeypatch.setenv("http_proxy", upstream.origin)
    with httpx2.Client() as client:
        sluicegate.responses(
            MODEL, "hi", api_key="k", base_url="http://api.invalid/v1", http_client=client
        )
    assert upstream.last.target == "http://api.invalid/v1/responses"


def test_an_own_client_adds_nothing(upstream: Served) -> None:
    upstream.says(answers(answer_body(), headers=[("set-cookie", "a=b")]))
    with httpx2.Client(headers={"x-of-client": "1"}, auth=("user", "word")) as client:
        for _ in range(2):
            sluicegate.responses(
                MODEL, "hi", api_key="k", base_url=f"{upstream.origin}/v1", http_client=client
            )
    names = {name for name, _ in upstream.last.headers}
    assert not names & {"x-of-client", "cookie"}
    assert upstream.last.header("authorization") == "Bearer k"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"fallbacks": "openai/gpt-4o"}, "fallbacks must be a list"),
        ({"fallbacks": {"openai/gpt-4o"}}, "fallbacks must be a list"),
        ({"fallbacks": [7]}, "fallbacks"),
        ({"max_retries": "2"}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"timeout": "5"}, "timeout"),
    ],
)
async def test_values_of_another_type(upstream: Served, more: Mapping[str, Any], said: str) -> None:
    given: dict[str, Any] = {"api_key": "k", "base_url": f"{upstream.origin}/v1", **more}
    with pytest.raises(TypeError, match=said):
        sluicegate.responses(MODEL, "hi", **given)
    with pytest.raises(TypeError, match=said):
        await sluicegate.aresponses(MODEL, "hi", **given)
    assert not upstream.calls


@pytest.mark.parametrize("timeout", [0, -1, -0.5, float("nan"), float("inf")])
def test_a_time_that_is_none(upstream: Served, timeout: float) -> None:
    with pytest.raises(openai.OpenAIError, match="timeout must be"):
        sluicegate.responses(
            MODEL, "hi", api_key="k", base_url=f"{upstream.origin}/v1", timeout=timeout
        )


async def test_missing_aws_credentials_are_told_in_the_words_of_a_program() -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await sluicegate.aresponses("bedrock/m", "hi", aws_region_name="us-west-2")
    assert "aws_access_key_id" in caught.value.message
    assert "AWS_ACCESS_KEY_ID" in caught.value.message
    assert "spec." not in caught.value.message


def test_missing_google_credentials_are_told_in_the_words_of_a_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(openai.AuthenticationError) as caught:
        sluicegate.responses("vertex_ai/g", "hi", vertex_project="p", vertex_location="us")
    assert "vertex_credentials" in caught.value.message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message
    assert "spec." not in caught.value.message


@pytest.mark.parametrize("profile", [None, "work"])
async def test_the_region_of_an_aws_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, upstream: Served, profile: str | None
) -> None:
    file = tmp_path / "config"
    file.write_text("[default]\nregion = eu-central-1\n[profile work]\nregion = us-west-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    if profile is not None:
        monkeypatch.setenv("AWS_PROFILE", profile)
    region = "us-west-2" if profile else "eu-central-1"
    planned = await asyncio.to_thread(plan, "bedrock/m", {"api_key": "k"})
    call = planned.targets[0].connector.translator(planned.request, "m").request()
    assert f"bedrock-runtime.{region}." in repr(call)
    upstream.says(spoken_wires.bedrock)
    response = await sluicegate.aresponses("bedrock/m", "hi", api_key="k", base_url=upstream.origin)
    assert response.output_text == "Hello there"


def test_a_server_that_has_chat_completions_only(upstream: Served) -> None:
    message = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    upstream.says(answers(json.dumps({"model": "qwen3", "choices": [choice]}).encode()))
    response = sluicegate.responses(
        "openai/qwen3", "hi", api_key="k", base_url=f"{upstream.origin}/v1", api="chat_completions"
    )
    assert response.output_text == "Hello"
    assert upstream.calls[-1].target == "/v1/chat/completions"
