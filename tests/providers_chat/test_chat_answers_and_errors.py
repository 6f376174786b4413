"""Whole chat completions, refused ones, and bytes that are neither."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat_wire import (
    COMPATIBLE,
    CUSTOM,
    FUNCTION,
    MODEL,
    NAMESPACE,
    SCRIPTS,
    SECRET,
    USAGE,
    asking,
    translator,
)
from event_grammar import JsonObject, check_answer, output_texts, read_frames, read_stream
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.providers.openai import PROVIDER

FAILURE = ApiError(504, "It took too long.", type="server_error", code="upstream_timeout")


def body_of(message: JsonObject, reason: str | None = "stop", **members: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    answer = {"object": "chat.completion", "model": "m-1", "choices": [choice], "usage": USAGE}
    return json.dumps(answer | members).encode()


def answer(body: bytes, **asked: object) -> JsonObject:
    made = translator(asked)
    made.request()
    response = json.loads(made.answer(body))
    check_answer(response)
    return response


# ------------------------------------------------------------------------------------ whole answers


def test_a_text() -> None:
    response = answer(body_of({"content": "Hello"}, service_tier="flex"))
    assert output_texts(response) == ["Hello"]
    assert (response["status"], response["model"]) == ("completed", "m-1")
    assert response["service_tier"] == "flex"
    assert response["usage"]["total_tokens"] == 29
    assert response["store"] is False


@pytest.mark.parametrize("more", [{}, {"id": "call_1"}, {"id": ""}, {"index": 0}])
def test_each_call_of_a_whole_answer_is_one_of_its_own(more: JsonObject) -> None:
    functions = [
        {"name": "weather", "arguments": ""},
        {"name": "weather", "arguments": ""},
        {"name": "patch", "arguments": '{"input":"x"}'},
        {"name": "patch", "arguments": '{"input":"x"}'},
    ]
    said = [{"type": "function", "function": function, **more} for function in functions]
    response = answer(body_of({"tool_calls": said}, "tool_calls"), tools=[FUNCTION, CUSTOM])
    told = [(item["name"], item.get("arguments", item.get("input"))) for item in response["output"]]
    assert told == [("weather", "{}"), ("weather", "{}"), ("patch", "x"), ("patch", "x")]
    assert len({item["call_id"] for item in response["output"]}) == 4


def test_everything_at_once() -> None:
    response = answer(
        body_of(
            {
                "reasoning_content": "Hm.",
                "content": "I look.",
                "annotations": [
                    {"type": "url_citation", "url_citation": {"url": "https://a.example"}}
                ],
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "weather", "arguments": "{}"},
                    },
                    {
                        "id": "b",
                        "type": "function",
                        "function": {"name": "patch", "arguments": '{"input":"x"}'},
                    },
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "crm__find", "arguments": ""},
                    },
                ],
            },
            "tool_calls",
        ),
        tools=[FUNCTION, CUSTOM, NAMESPACE],
    )
    reasoning, message, *calls = response["output"]
    assert reasoning["content"][0]["text"] == "Hm."
    assert message["content"][0]["annotations"][0]["url"] == "https://a.example"
    assert [item["call_id"] for item in calls] == ["a", "b", "c"]
    assert [item.get("arguments", item.get("input")) for item in calls] == ["{}", "x", "{}"]
    assert calls[2]["namespace"] == "crm"


def test_a_refusal() -> None:
    response = answer(body_of({"content": None, "refusal": "No."}))
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_logprobs() -> None:
    choice = {
        "message": {"content": "Hi"},
        "logprobs": {"content": [{"token": "Hi", "logprob": -1, "bytes": None}]},
    }
    data = json.dumps({"choices": [choice]}).encode()
    response = answer(data, include=["message.output_text.logprobs"])
    (token,) = response["output"][0]["content"][0]["logprobs"]
    assert (token["bytes"], token["top_logprobs"]) == ([72, 105], [])
    odd = data.replace(b"-1", b'"a"')
    response = answer(odd, include=["message.output_text.logprobs"])
    assert response["output"][0]["content"][0]["logprobs"] == []


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_incomplete_answer(reason: str) -> None:
    assert answer(body_of({"content": "He"}, reason))["status"] == "incomplete"


@pytest.mark.parametrize("reason", [None, "stop", ""])
def test_a_whole_answer_needs_no_reason(reason: str | None) -> None:
    assert answer(body_of({"content": "He"}, reason))["status"] == "completed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"<html>",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":[5]}',
        b'{"choices":[{"message":{"content":5}}]}',
        b"[" * 100_000,
        b'{"choices":' + b"[" * 100_000,
        b'{"choices":[{"message":{"content":"\xff"}}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    made = asking()
    with pytest.raises(UpstreamStreamError):
        made.answer(body)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"error":{"message":"no","code":429}}', 429, "rate_limit_exceeded"),
        (b'{"error":{"message":"no","code":400}}', 400, None),
        (b'{"error":"no"}', 500, "server_error"),
        (b'{"object":"error","message":"no","code":400}', 400, None),
        (b'{"choices":[{"error":{"code":502,"message":"no"}}]}', 502, "server_error"),
        (body_of({"content": "He"}, "error"), 500, "server_error"),
    ],
)
def test_a_failure_with_status_200(body: bytes, status: int, code: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        asking().answer(body)
    assert (caught.value.status, caught.value.error.code) == (status, code)


# ------------------------------------------------------------------------------------------- errors


def error(status: int, body: object, headers: dict[str, str] | None = None) -> ApiError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asking().error(status, headers or {}, data)


def test_openais_envelope_survives() -> None:
    said = {
        "message": "Invalid 'temperature'.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "decimal_below_min_value",
    }
    found = error(400, {"error": said})
    assert (found.status, found.error.message) == (400, "Invalid 'temperature'.")
    assert (found.error.code, found.error.param) == ("decimal_below_min_value", "temperature")


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("messages[0].content", "input"),
        ("messages.0.content", "input"),
        ("response_format", "text.format"),
        ("reasoning_effort", "reasoning.effort"),
        ("tools[0].function.name", "tools[0].function.name"),
        ("nonsense", None),
        (None, None),
    ],
)
def test_parameters_have_the_clients_names(param: str | None, told: str | None) -> None:
    assert error(400, {"error": {"message": "no", "param": param}}).error.param == told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no", "code": 400, "type": "BadRequestError"}}, "no"),
        ({"error": "no"}, "no"),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "no"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, '[{"loc":["body","n"],"msg":"bad"}]'),
        ({"message": {"detail": "no"}}, '{"detail":"no"}'),
        ("no", "no"),
        (b"<html>", "Deployment team/qwen answered HTTP 400."),
        ({}, "Deployment team/qwen answered HTTP 400."),
        ({"error": {"message": f"bad key {SECRET}"}}, "Deployment team/qwen answered HTTP 400."),
    ],
)
def test_other_envelopes(body: object, message: str) -> None:
    found = error(400, body)
    assert (found.status, found.error.message, found.error.code) == (400, message, None)
    assert found.error.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (301, 502, "server_error"),
        (401, 502, "upstream_credential"),
        (402, 429, "insufficient_quota"),
        (403, 502, "upstream_credential"),
        (404, 404, None),
        (408, 504, "server_error"),
        (413, 413, "request_too_large"),
        (422, 422, None),
        (429, 429, "rate_limit_exceeded"),
        (500, 500, "server_error"),
        (503, 503, "server_error"),
        (529, 503, "server_error"),
    ],
)
def test_statuses(status: int, told: int, code: str | None) -> None:
    found = error(status, {"error": {"message": "no"}})
    assert (found.status, found.error.code) == (told, code)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "the request exceeds the available context size, try increasing it",
        "The prompt is too long: 5000, model maximum context length: 4096",
        "Trying to keep the first 5000 tokens when context the overflows: context length of 4096",
    ],
)
def test_input_that_does_not_fit(message: str) -> None:
    found = error(400, {"error": {"message": message, "type": "exceed_context_size_error"}})
    assert (found.error.code, found.error.param) == ("context_length_exceeded", "input")


def test_a_model_that_is_not_there() -> None:
    found = error(404, {"error": {"message": 'model "x" not found, try pulling it first'}})
    assert (found.error.code, found.error.param) == ("model_not_found", "model")


def test_when_to_try_again() -> None:
    assert error(429, {}, {"retry-after": "7"}).retry_after == 7
    assert error(429, {}, {"retry-after-ms": "1500", "retry-after": "7"}).retry_after == 1.5
    assert error(500, {}, {"x-should-retry": "false"}).should_retry is False
    assert error(402, {}).should_retry is False
    quota = error(429, {"error": {"message": "no", "code": "insufficient_quota"}})
    assert quota.error.code == "insufficient_quota"


@given(status=st.integers(300, 599), body=st.binary(max_size=60))
def test_any_refusal_is_an_error(status: int, body: bytes) -> None:
    found = error(status, body)
    assert 400 <= found.status < 600
    assert found.error.message


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "type", "param", "object"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200)
@given(body=VALUES)
def test_any_json_is_an_error(body: object) -> None:
    assert 400 <= error(500, body).status < 600


# --------------------------------------------------------------------------------------------- fuzz


def survives(asked: JsonObject, chunks: list[bytes]) -> None:
    """The stream ends in its terminal event or fails cleanly, and its events obey the grammar.

    But for arguments that the upstream wrote: they are passed on even if they are no JSON object.
    """
    made = asking(asked)
    events: list[Event] = []
    try:
        for data in chunks:
            events += made.feed(data)
        events += made.close()
    except UpstreamStreamError:
        events += made.fail(FAILURE)
    try:
        read_stream((event.frame for event in events), strict=False)
    except (AssertionError, json.JSONDecodeError):
        if not any(has_bad_arguments(event) for event in events):
            raise


def has_bad_arguments(event: Event) -> bool:
    if event.type != "response.function_call_arguments.done":
        return False
    (data,) = read_frames([event.frame])
    try:
        return not isinstance(json.loads(data["arguments"]), dict)
    except json.JSONDecodeError:
        return True


@given(chunks=st.lists(st.binary(max_size=80), max_size=6))
def test_random_bytes(chunks: list[bytes]) -> None:
    survives({}, chunks)


@settings(max_examples=300)
@given(
    script=st.sampled_from(sorted(SCRIPTS)),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), max_size=4),
    size=st.integers(1, 400),
)
def test_mutated_streams(script: str, changes: list[tuple[int, bytes]], size: int) -> None:
    asked, stream = SCRIPTS[script]
    for place, data in changes:
        at = place % len(stream)
        stream = stream[:at] + data + stream[at + len(data) :]
    survives(asked, [stream[at : at + size] for at in range(0, len(stream), size)])


FRAGMENT: Any = st.none() | st.sampled_from(["", "{", "}", "{}", '{"a":', "1}", '"', "\\", "x"])
PIECE: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 2),
        "id": st.none() | st.sampled_from(["", "a", "b", "c"]),
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.none() | st.sampled_from(["", "weather", "patch"]),
                "arguments": FRAGMENT,
            },
        ),
    },
)
DELTA: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | st.sampled_from(["", "a", "\n"]),
        "reasoning": st.none() | st.sampled_from(["", "hm"]),
        "refusal": st.none() | st.sampled_from(["", "no"]),
        "tool_calls": st.lists(PIECE, max_size=3),
        "function_call": st.none() | st.just({"name": "weather", "arguments": "{}"}),
    },
)


@settings(max_examples=500)
@given(
    deltas=st.lists(DELTA, max_size=8),
    reason=st.sampled_from(["stop", "length", "tool_calls", "error"]),
)
@example(deltas=[{"tool_calls": [{"function": {"arguments": "{"}}]}], reason="stop")
def test_any_deltas(deltas: list[JsonObject], reason: str) -> None:
    chunks: list[JsonObject] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    frames = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    survives({"tools": [FUNCTION, CUSTOM]}, [*frames, b"data: [DONE]\n\n"])


def test_a_stream_without_an_end_is_given_up() -> None:
    made = asking()
    made.feed(b": " + b"x" * 1_000_000 + b"\n\n")
    comment = b": " + b"x" * 8_000_000 + b"\n\n"
    for _ in range(9):
        assert made.feed(comment[:7_000_000] + b"\n\n") == []
    with pytest.raises(UpstreamStreamError, match="larger than"):
        made.feed(comment)


def test_many_pieces_cost_no_more_than_their_length() -> None:
    """The name in each piece, arguments that look whole again and again."""
    made = asking({"tools": [FUNCTION]})
    part = {"index": 0, "function": {"name": "weather", "arguments": '{"a":[{}]},'}}
    first = {"index": 0, "function": {"name": "weather", "arguments": '{"a":['}}
    chunks = [{"choices": [{"delta": {"tool_calls": [one]}}]} for one in [first] + [part] * 20_000]
    for one in chunks:
        made.feed(f"data: {json.dumps(one)}\n\n".encode())
    assert len(made.fail(FAILURE)) == 2


# --------------------------------------------------------------------------------------- connectors


def test_no_repr_shows_the_key() -> None:
    connector = PROVIDER.connector(COMPATIBLE, COMPATIBLE.credential, {})
    made = translator({})
    assert SECRET not in repr((connector, made, made.request()))
    assert "team/qwen" in repr(connector)
    assert connector.provider == "openai"


def test_the_translator_reads_without_being_asked_first() -> None:
    made = translator({})
    assert made.dropped == ()
    assert json.loads(made.answer(body_of({"content": "Hi"})))["model"] == "m-1"
    assert MODEL != "m-1"
