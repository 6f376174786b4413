"""Whole answers, errors, the deployment's address and key, and bytes that are no answer."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_wire import (
    SCRIPTS,
    SECRET,
    USAGE,
    asking,
    cut,
    deployment,
    end,
    frame,
    start,
    text_block,
    translator,
)
from event_grammar import JsonObject, check_answer, output_texts, read_stream
from sluicegate.api.request import decode_request
from sluicegate.config import (
    AmbientCredential,
    AnthropicUpstream,
    AwsCredential,
    Credential,
    SecretCredential,
)
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.providers.anthropic import PROVIDER
from sluicegate.routing.snapshot import Unavailable
from sluicegate.wires.anthropic_messages import Dialect, MessagesTranslator, Terms

# ----------------------------------------------------------------------------------- whole answers


def message(*content: JsonObject, **members: object) -> bytes:
    whole: JsonObject = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(content),
        "stop_reason": "end_turn",
        "usage": USAGE,
        **members,
    }
    return json.dumps(whole).encode()


def answer(body: bytes, **fields: object) -> JsonObject:
    response = json.loads(asking({"stream": False, **fields}).answer(body))
    check_answer(response)
    return response


def test_a_whole_answer() -> None:
    citation = {"type": "web_search_result_location", "url": "https://a.example", "title": None}
    response = answer(
        message(
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "See "},
            {"type": "text", "text": "this", "citations": [citation, {"type": "char_location"}]},
            {"type": "block_of_tomorrow"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
        )
    )
    reasoning, said, call = response["output"]
    assert reasoning["summary"][0]["text"] == "Hm."
    assert reasoning["encrypted_content"]
    assert said["content"][0]["text"] == "See this"
    assert [(a["start_index"], a["end_index"]) for a in said["content"][0]["annotations"]] == [
        (4, 8)
    ]
    assert json.loads(call["arguments"]) == {"city": "Rome"}
    assert response["model"] == "claude-sonnet-4-5-20250929"
    assert response["usage"]["total_tokens"] == 21


def test_an_answer_tool_called_without_input_answers_with_an_empty_object() -> None:
    schema = {"type": "object", "additionalProperties": True}
    form = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    called: JsonObject = {"type": "tool_use", "id": "t", "name": "final_answer", "input": {}}
    response = answer(message(called, stop_reason="tool_use"), text=form)
    assert output_texts(response) == ["{}"]


def test_a_whole_answer_without_content() -> None:
    assert answer(message())["output"] == []
    cut_off = answer(message(stop_reason="max_tokens"))
    assert cut_off["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_whole_answer_equals_the_streamed_one() -> None:
    streamed = read_stream(
        event.frame for event in asking().feed(start() + text_block(0, "Hel", "lo") + end())
    )
    whole = answer(message({"type": "text", "text": "Hello"}, usage=USAGE | {"output_tokens": 9}))
    for response in (streamed, whole):
        for key in ("id", "created_at", "completed_at"):
            response.pop(key)
        response["output"][0].pop("id")
    assert streamed == whole


def test_an_error_in_a_whole_answer() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(ApiError) as caught:
        asking().answer(body)
    assert (caught.value.status, caught.value.error.message) == (503, "Overloaded")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"type":"completion"}', b'{"type":"message","content":5}', b"\xff"],
)
def test_what_is_not_a_message(body: bytes) -> None:
    with pytest.raises(UpstreamStreamError, match="team/claude"):
        asking().answer(body)


# ------------------------------------------------------------------------------------------ errors


def failure(status: int, body: object = None, **headers: str) -> ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asking().error(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw)


def said(kind: str, text: str) -> JsonObject:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "client_status", "code"),
    [
        (301, 502, None),
        (400, 400, None),
        (401, 502, "upstream_credential"),
        (402, 429, "insufficient_quota"),
        (403, 502, "upstream_credential"),
        (404, 404, "model_not_found"),
        (408, 504, None),
        (409, 409, None),
        (413, 413, "request_too_large"),
        (429, 429, "rate_limit_exceeded"),
        (500, 500, "server_error"),
        (504, 504, "server_error"),
        (529, 503, "server_overloaded"),
    ],
)
@pytest.mark.parametrize("body", [said("some_error", "It says."), b"<html>", b""])
def test_statuses(status: int, client_status: int, code: str | None, body: object) -> None:
    error = failure(status, body)
    if status == 404 and isinstance(body, bytes):
        client_status, code = 502, "upstream_not_found"
    assert (error.status, error.error.code) == (client_status, code)
    assert error.error.message


def test_the_upstreams_words_are_kept() -> None:
    assert failure(400, said("invalid_request_error", "Bad.")).error.message == "Bad."
    assert len(failure(400, said("invalid_request_error", "x" * 9000)).error.message) == 2000


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", "context_length_exceeded", "input"),
        (
            "input length and `max_tokens` exceed context limit: 1",
            "context_length_exceeded",
            "input",
        ),
        ("max_tokens: 99999 > 64000", None, "max_output_tokens"),
        ("messages.0.content.1.image.source: bad", None, "input"),
        ("tools.0.custom.input_schema: bad", None, "tools"),
        ("temperature: must be at most 1", None, "temperature"),
        ("Something else", None, None),
    ],
)
def test_what_a_refused_request_was_about(text: str, code: str | None, param: str | None) -> None:
    error = failure(400, said("invalid_request_error", text)).error
    assert (error.code, error.param) == (code, param)


def test_an_account_without_credit() -> None:
    text = "Your credit balance is too low to access the Anthropic API."
    error = failure(400, said("invalid_request_error", text))
    assert (error.status, error.error.code, error.should_retry) == (
        429,
        "insufficient_quota",
        False,
    )


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_no_error_tells_the_key(status: int) -> None:
    error = failure(status, said("x", f"The key {SECRET} is bad."))
    assert SECRET not in error.error.message
    assert "team/claude" in error.error.message


def test_waiting_and_retrying() -> None:
    assert failure(429, b"", retry_after="7").retry_after == 7
    assert failure(429, b"", retry_after_ms="250", retry_after="7").retry_after == 0.25
    assert failure(529, b"", x_should_retry="false").should_retry is False
    assert failure(529, b"", x_should_retry="true").should_retry is True
    assert failure(529, b"").should_retry is None


# --------------------------------------------------------------------------------- address and key


def headers_of(call_headers: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    headers = {name.decode(): value.decode() for name, value in call_headers}
    assert len(headers) == len(call_headers)
    return headers


def test_where_a_request_goes_and_what_it_carries() -> None:
    call = translator({"input": "hi"}).request()
    assert (call.base_url, call.method, call.target) == (
        "https://api.anthropic.com",
        "POST",
        "/v1/messages",
    )
    assert headers_of(call.headers) == {
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        "x-api-key": SECRET,
    }
    assert call.authorization is None


def test_what_a_deployment_may_set() -> None:
    upstream = AnthropicUpstream(
        model="m",
        base_url="https://proxy.example/anthropic/",
        version="2024-01-01",
        betas=("a", "b"),
    )
    chosen = msgspec.structs.replace(
        deployment(), upstream=upstream, headers=(("X-Team", "t"), ("Anthropic-Beta", "c"))
    )
    call = translator({"input": "hi"}, of=chosen).request()
    assert call.target == "/anthropic/v1/messages"
    headers = headers_of(call.headers)
    assert (headers["x-team"], headers["anthropic-version"]) == ("t", "2024-01-01")
    assert headers["anthropic-beta"] == "a,b,c"


def test_the_key_of_the_environment() -> None:
    chosen = msgspec.structs.replace(deployment(), credential=AmbientCredential())
    environ = {"ANTHROPIC_API_KEY": "sk-ambient"}
    connector = PROVIDER.connector(chosen, chosen.credential, environ)
    call = connector.translator(decode_request(b'{"model":"m","input":"hi"}'), "m").request()
    assert headers_of(call.headers)["x-api-key"] == "sk-ambient"


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (AmbientCredential(), "ANTHROPIC_API_KEY"),
        (AwsCredential(), "single key"),
        (SecretCredential("sk\nx"), "header"),
        (SecretCredential("schlüssel"), "header"),
    ],
)
def test_a_deployment_without_a_usable_key(credential: Credential, reason: str) -> None:
    with pytest.raises(Unavailable, match=reason) as caught:
        PROVIDER.connector(deployment(), credential, {})
    assert "sk" not in str(caught.value)


def test_no_repr_tells_the_key() -> None:
    made = translator({"input": "hi"})
    connector = PROVIDER.connector(deployment(), SecretCredential(SECRET), {})
    assert SECRET not in repr((made, made.request(), connector))


# ----------------------------------------------------------------------------- others who serve it


def test_a_dialect_with_the_version_in_the_body() -> None:
    dialect = Dialect(
        "elsewhere",
        body_version="elsewhere-1",
        inline_system=False,
        url_sources=False,
        service_tiers=False,
    )
    terms = Terms.of(deployment("claude-opus-5"), dialect)
    items = [{"role": "user", "content": "a"}, {"role": "developer", "content": "b"}]
    body = {"model": "m", "input": items, "service_tier": "default"}
    request = decode_request(json.dumps(body).encode())
    told = json.loads(MessagesTranslator(request, "claude-opus-5@1", terms, ()).body())
    assert told == {
        "anthropic_version": "elsewhere-1",
        "max_tokens": 128_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        "system": [{"type": "text", "text": "b"}],
    }
    image = {"type": "input_image", "image_url": "https://a.example/b.png"}
    body = {"model": "m", "input": [{"role": "user", "content": [image]}]}
    request = decode_request(json.dumps(body).encode())
    with pytest.raises(ApiError, match="data URIs"):
        MessagesTranslator(request, "claude-opus-5@1", terms, ()).body()


# ------------------------------------------------------------------------------------------- bytes


def outcome(made: MessagesTranslator, *chunks: bytes) -> list[Event]:
    """Whatever is fed: events, or a failure that is one of ours; then a proper end."""
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += made.feed(chunk)
        events += made.close()
    except UpstreamStreamError:
        events += made.fail(ApiError(502, "broken", type="server_error"))
    return events


_words = st.sampled_from(
    [
        b"event: ",
        b"data: ",
        b"\n",
        b"\n\n",
        b"\r",
        b'{"type":"',
        b"content_block_delta",
        b'"}',
        b"{",
    ]
)


@settings(max_examples=300)
@given(data=st.lists(_words | st.binary(max_size=20), max_size=20).map(b"".join))
def test_random_bytes_end_properly(data: bytes) -> None:
    events = outcome(asking(), data)
    assert read_stream((event.frame for event in events), strict=False)["status"] == "failed"


@settings(max_examples=300)
@given(
    script=st.sampled_from(sorted(SCRIPTS)),
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 8), st.binary(max_size=4)),
        min_size=1,
        max_size=4,
    ),
    places=st.lists(st.integers(0, 10_000), max_size=4),
)
def test_mutated_bytes_end_properly(
    script: str, edits: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    body, stream = SCRIPTS[script]
    for at, length, instead in edits:
        begin = at % len(stream)
        stream = stream[:begin] + instead + stream[begin + length :]
    events = outcome(asking(body), *cut(stream, places))
    assert [event.type for event in events].count("response.created") == 1
    assert events[-1].type in {"response.completed", "response.incomplete", "response.failed"}


_odd: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "index", "delta", "text", "usage", "content_block", "name", "input"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
_kinds = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
        "ping",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(_kinds, st.dictionaries(st.text(max_size=4), _odd, max_size=2), _odd), max_size=6
    )
)
def test_strange_events_end_properly(told: list[tuple[str, JsonObject, Any]]) -> None:
    stream = b"".join(
        frame({**extra, "type": kind, "delta": odd, "content_block": odd, "index": 0})
        for kind, extra, odd in told
    )
    events = outcome(asking(), start(), stream)
    assert events[-1].type in {"response.completed", "response.incomplete", "response.failed"}


@given(st.one_of(st.binary(), _odd.map(json.dumps).map(str.encode)))
def test_strange_whole_answers_and_errors(body: bytes) -> None:
    made = asking()
    with pytest.raises((UpstreamStreamError, ApiError)):
        made.answer(body)
    assert made.error(500, {}, body).status == 500


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_json_is_not_followed(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    made = asking()
    nested = b'event: x\ndata: {"type":"x","y":' + deep + b"}\n\n"
    outcome(made, start(), nested)
    with pytest.raises((UpstreamStreamError, ApiError)):
        made.answer(deep)


def test_half_a_surrogate_is_an_error_or_a_character() -> None:
    made = asking()
    lone = text_block(0, "x").replace(b'"x"', b'"\\ud800"')
    events = outcome(made, start() + lone + end())
    read_stream((event.frame for event in events), strict=False)


def test_numbers_beyond_reason() -> None:
    for number in (-5, 2**70, 10**400):
        usage = {"input_tokens": number, "output_tokens": number}
        events = outcome(asking(), start(usage) + end(usage={"output_tokens": 1}))
        assert events[-1].type in {"response.completed", "response.failed"}


def test_texts_come_through_whole() -> None:
    text = 'é😀\u2028\n"\\' * 50
    stream = start() + text_block(0, *text) + end()
    pieces = [stream[at : at + 3] for at in range(0, len(stream), 3)]
    response = read_stream((event.frame for event in outcome(asking(), *pieces)), strict=False)
    assert output_texts(response) == [text]
