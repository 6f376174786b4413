"""A streamed chat completion as a stream of the Responses API."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_wire import (
    COMMENT,
    DONE,
    FUNCTION,
    MODEL,
    SCRIPTS,
    USAGE,
    anonymous,
    answered,
    asking,
    call,
    chunk,
    cut,
    end,
    frame,
    hear,
    start,
    texts,
    thoughts,
    usage,
)
from event_grammar import JsonObject, output_texts, read_stream
from sluicegate.api.sealed import unseal
from sluicegate.model import ApiError, UpstreamStreamError

FAILURE = ApiError(504, "It took too long.", type="server_error", code="upstream_timeout")
every_script = pytest.mark.parametrize(("body", "stream"), SCRIPTS.values(), ids=SCRIPTS.keys())


@every_script
def test_every_answer_obeys_the_grammar(body: JsonObject, stream: bytes) -> None:
    response = answered(stream, body=body)
    if response["status"] != "failed":
        assert response["usage"]["total_tokens"] == 29
        assert response["model"] == "qwen3-32b-awq"


@every_script
@settings(max_examples=40)
@given(places=st.lists(st.integers(0, 10_000), max_size=20))
def test_how_a_stream_is_cut_changes_nothing(
    body: JsonObject, stream: bytes, places: list[int]
) -> None:
    whole = answered(stream, body=body, strict=False)
    pieces = answered(*cut(stream, places), body=body, strict=False)
    assert anonymous(pieces) == anonymous(whole)


@every_script
def test_a_stream_byte_by_byte(body: JsonObject, stream: bytes) -> None:
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert anonymous(answered(*pieces, body=body)) == anonymous(answered(stream, body=body))


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends_change_nothing(newline: bytes) -> None:
    body, stream = SCRIPTS["reasoning, text, calls"]
    other = stream.replace(b"\n", newline)
    assert anonymous(answered(other, body=body)) == anonymous(answered(stream, body=body))


@every_script
def test_every_truncation_before_the_answers_end_fails(body: JsonObject, stream: bytes) -> None:
    ends = [stream.find(mark) for mark in (b'"finish_reason": "', b'data: {"error"')]
    last = stream.find(b"}\n\n", max(ends))
    for length in range(last):
        made = asking(body)
        events = made.feed(stream[:length])
        with pytest.raises(UpstreamStreamError):
            made.close()
        events += made.fail(FAILURE)
        failed = read_stream((event.frame for event in events), strict=False)
        assert failed["error"] == {"code": "server_error", "message": "It took too long."}


def test_servers_that_do_not_say_done() -> None:
    response = answered(start() + texts("whole") + chunk({}, "stop"))
    assert (response["status"], response["usage"]) == ("completed", None)
    response = answered(start() + texts("whole") + chunk({}, "stop") + usage())
    assert response["usage"]["total_tokens"] == 29


def test_a_cut_in_the_usage_is_a_cut() -> None:
    made = asking()
    made.feed(start() + texts("whole") + chunk({}, "stop") + usage()[:40])
    with pytest.raises(UpstreamStreamError, match="can't be read"):
        made.close()


@pytest.mark.parametrize("stream", [DONE, start() + texts("He") + DONE, start() + usage() + DONE])
def test_an_answer_without_its_end_is_broken(stream: bytes) -> None:
    made = asking()
    with pytest.raises(UpstreamStreamError, match="before the answer's end"):
        hear(made, stream)


def test_the_blank_line_after_done_may_be_missing() -> None:
    stream = start() + texts("whole") + end()
    assert output_texts(answered(stream.rstrip())) == ["whole"]


def test_nothing_follows_the_end() -> None:
    made = asking()
    made.feed(start() + texts("one") + end())
    assert made.feed(texts("two") + end()) == []
    assert made.close() == []
    assert made.fail(FAILURE) == []


def test_good_events_before_a_bad_one_are_kept() -> None:
    made = asking()
    events = made.feed(start() + texts("He") + b"data: {nonsense\n\n")
    with pytest.raises(UpstreamStreamError, match="can't be read"):
        made.feed(texts("llo"))
    with pytest.raises(UpstreamStreamError, match="can't be read"):
        made.close()
    failed = read_stream(event.frame for event in events + made.fail(FAILURE))
    assert output_texts(failed) == ["He"]


# ------------------------------------------------------------------------- chunks of many servers


def test_comments_and_empty_chunks_say_nothing() -> None:
    response = answered(
        COMMENT,
        b"data:\n\n",
        frame({"choices": [], "model": "", "prompt_filter_results": []}),
        chunk({"role": "assistant", "content": None, "tool_calls": [], "refusal": None}),
        chunk({}),
        chunk({"content": ""}),
        chunk({"content": "Hi", "role": "assistant"}),
        b": ping\n\n",
        frame({"choices": [{"index": 0}]}),
        frame({"choices": [{"index": 1, "delta": {"content": "another answer"}}]}),
        frame({"choices": None}),
        end(),
    )
    assert output_texts(response) == ["Hi"]


def test_chunks_without_members_that_are_not_needed() -> None:
    response = answered(
        frame({"choices": [{"delta": {"content": "Hi"}}]}),
        b'event: message\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    )
    assert output_texts(response) == ["Hi"]
    assert response["model"] == MODEL


def test_data_without_a_space_and_over_lines() -> None:
    response = answered(
        b'data:{"choices":[{"delta":\ndata:{"content":"Hi"}}]}\n\n',
        end().replace(b"data: ", b"data:"),
    )
    assert output_texts(response) == ["Hi"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_other_fields_beside_the_data(newline: str) -> None:
    lines = ("data: " + json.dumps({"choices": [{"delta": {"content": "Hi"}}]}), "id: 5", "", "")
    assert output_texts(answered(newline.join(lines).encode(), end())) == ["Hi"]


def test_a_stream_that_is_one_whole_answer() -> None:
    whole = {
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    data = json.dumps(whole, indent=2).encode()
    response = answered(data[:10], data[10:])
    assert output_texts(response) == ["Hi"]
    assert response["usage"]["total_tokens"] == 29
    made = asking()
    made.feed(data[:-5])
    with pytest.raises(UpstreamStreamError):
        made.close()


def test_a_reason_may_come_early_and_often() -> None:
    response = answered(
        chunk({"content": "a"}, ""), chunk({"content": "b"}, "stop"), chunk({}, "length"), end()
    )
    assert (output_texts(response), response["status"]) == (["ab"], "completed")


# --------------------------------------------------------------------------------- how it has ended


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("function_call", "completed", None),
        ("eos_token", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("model_length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_reasons(reason: str, status: str, why: str | None) -> None:
    response = answered(start() + texts("word") + end(reason))
    assert response["status"] == status
    assert response["incomplete_details"] == (None if why is None else {"reason": why})
    assert response["output"][0]["status"] == status
    assert response["usage"]["total_tokens"] == 29


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "abort"])
def test_reasons_that_are_failures(reason: str) -> None:
    response = answered(start() + texts("word") + end(reason))
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert output_texts(response) == ["word"]
    assert response["usage"]["total_tokens"] == 29


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "length"])
def test_calls_end_with_any_reason(reason: str) -> None:
    response = answered(
        start() + call(0, "weather", "{}") + end(reason), body={"tools": [FUNCTION]}
    )
    assert response["output"][0]["arguments"] == "{}"


ERROR: JsonObject = {"message": "It is overloaded.", "type": "overloaded_error"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame({"error": {"message": "no", "type": "server_error", "code": None}}), "server_error"),
        (frame({"error": {"message": "no", "code": 400}}), "invalid_prompt"),
        (frame({"error": {"message": "no", "code": 503}}), "rate_limit_exceeded"),
        (frame({"error": {"message": "no", "code": "rate_limit_exceeded"}}), "rate_limit_exceeded"),
        (frame({"error": {"message": "no", "type": "BadRequestError"}}), "invalid_prompt"),
        (frame({"error": "no"}), "server_error"),
        (frame({"object": "error", "message": "no", "code": 400}), "invalid_prompt"),
        (frame({"message": "no", "code": 20_003}), "server_error"),
        (frame({"detail": "no"}), "server_error"),
        (b'event: error\ndata: {"message": "no"}\n\n', "server_error"),
        (
            b'error: {"code":400,"message":"no","type":"invalid_request_error"}\n\n',
            "invalid_prompt",
        ),
        (
            frame(
                {
                    "error": {"code": "server_error", "message": "no"},
                    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
                }
            ),
            "server_error",
        ),
        (chunk({"content": ""}, "error", error={"code": 502, "message": "no"}), "server_error"),
    ],
)
def test_errors_inside_a_stream(data: bytes, code: str) -> None:
    made = asking()
    events = made.feed(start() + texts("He") + data + texts("llo") + DONE)
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert made.close() == []
    response = read_stream(event.frame for event in events)
    assert response["error"] == {"code": code, "message": "no"}
    assert output_texts(response) == ["He"]


def test_an_error_with_the_key_is_not_shown() -> None:
    error = {"message": "bad key sk-compatible-0123456789", "code": 500}
    events = hear(asking(), start() + frame({"error": error}))
    assert not any(b"sk-compatible" in event.frame for event in events)


def test_a_failure_keeps_what_had_come_and_its_usage() -> None:
    made = asking({"tools": [FUNCTION]})
    running: JsonObject = {"choices": [], "usage": USAGE}
    events = made.feed(start() + texts("I look.") + call(0, "weather", '{"ci') + frame(running))
    response = read_stream(event.frame for event in events + made.fail(FAILURE))
    assert output_texts(response) == ["I look."]
    assert response["output"][1]["arguments"] == '{"ci'
    assert response["output"][1]["status"] == "incomplete"
    assert response["usage"]["input_tokens"] == 20
    assert made.fail(FAILURE) == []


def test_a_failure_before_anything_came() -> None:
    response = read_stream(event.frame for event in asking().fail(FAILURE))
    assert (response["output"], response["usage"]) == ([], None)


# ------------------------------------------------------------------------------ reasoning, content


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_reasoning_is_an_item_with_its_text(member: str) -> None:
    response = answered(
        start() + thoughts("Let me ", "see.", member=member) + texts("Yes.") + end()
    )
    reasoning, message = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    assert reasoning["summary"] == []
    sealed = unseal(reasoning["encrypted_content"], "openai", MODEL)
    assert json.loads(sealed or b"") == [member, "Let me see."]
    assert message["content"][0]["text"] == "Yes."


def test_reasoning_under_both_names_is_said_once() -> None:
    both = chunk({"reasoning_content": "Hm.", "reasoning": "Hm.", "content": None})
    response = answered(start() + both + both + texts("Yes.") + end())
    assert response["output"][0]["content"][0]["text"] == "Hm.Hm."


@pytest.mark.parametrize("value", [None, "", {}, {"effort": "low"}, [], 5, True])
def test_reasoning_that_is_no_text_is_skipped(value: object) -> None:
    response = answered(chunk({"reasoning": value, "content": "Yes."}) + end())
    assert [item["type"] for item in response["output"]] == ["message"]


def test_reasoning_alone_and_again() -> None:
    response = answered(start() + thoughts("a") + end("length"))
    assert [item["type"] for item in response["output"]] == ["reasoning"]
    response = answered(start() + thoughts("a") + texts("b") + thoughts("c") + texts("d") + end())
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["reasoning", "message", "reasoning", "message"]


def test_content_in_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}, {"type": "x"}]}
    response = answered(
        chunk({"content": [thinking]}),
        chunk({"content": [{"type": "thinking", "thinking": "Aha."}, {"type": "image_url"}]}),
        chunk({"content": [{"type": "text", "text": "Yes."}]}),
        end(),
    )
    reasoning, message = response["output"]
    assert reasoning["content"][0]["text"] == "Hm.Aha."
    assert message["content"][0]["text"] == "Yes."


def test_a_refusal_after_a_text() -> None:
    response = answered(start() + texts("Well, ") + chunk({"refusal": "no."}) + texts("?") + end())
    (message,) = response["output"]
    assert [part["type"] for part in message["content"]] == [
        "output_text",
        "refusal",
        "output_text",
    ]


def test_logprobs_only_where_they_are_asked_for() -> None:
    body, stream = SCRIPTS["logprobs"]
    (token,) = answered(stream, body=body)["output"][0]["content"][0]["logprobs"]
    assert token["top_logprobs"] == [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]
    assert answered(stream)["output"][0]["content"][0]["logprobs"] == []


def test_a_citation_before_its_text() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "end_index": 2}}
    response = answered(chunk({"annotations": [note, {"type": "file"}]}) + texts("Hi") + end())
    (citation,) = response["output"][0]["content"][0]["annotations"]
    assert citation == {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "",
        "start_index": 0,
        "end_index": 2,
    }


# ------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}, (5, 0, 0, 3, 0)),
        (
            {
                "prompt_tokens": 50,
                "completion_tokens": 30,
                "total_tokens": 80,
                "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            (50, 40, 4, 30, 20),
        ),
        (  # xAI: reasoning beside the completion
            {
                "prompt_tokens": 10,
                "completion_tokens": 2,
                "total_tokens": 112,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            (10, 0, 0, 102, 100),
        ),
        (  # DeepSeek
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8},
            (9, 8, 0, 1, 0),
        ),
        (
            {
                "prompt_tokens": 5.0,
                "completion_tokens": "3",
                "total_tokens": None,
                "prompt_tokens_details": [],
                "completion_tokens_details": None,
            },
            (5, 0, 0, 0, 0),
        ),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": -3,
                "prompt_tokens_details": {"cached_tokens": 7},
                "completion_tokens_details": {"reasoning_tokens": True},
            },
            (1, 1, 0, 0, 0),
        ),
    ],
)
def test_usage_adds_up(tokens: JsonObject, told: tuple[int, ...]) -> None:
    counted = answered(start() + texts("a") + end(tokens=tokens))["usage"]
    assert (
        counted["input_tokens"],
        counted["input_tokens_details"]["cached_tokens"],
        counted["input_tokens_details"]["cache_write_tokens"],
        counted["output_tokens"],
        counted["output_tokens_details"]["reasoning_tokens"],
    ) == told


@pytest.mark.parametrize("tokens", [{}, {"prompt_tokens": None, "total_tokens": "9"}, {"x": 1}])
def test_a_usage_that_counts_nothing_is_unknown(tokens: JsonObject) -> None:
    assert answered(start() + texts("a") + end(tokens=tokens))["usage"] is None


def test_the_last_usage_counts() -> None:
    first = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
    response = answered(usage(first), texts("a"), end())
    assert response["usage"]["total_tokens"] == 29
    in_the_choice = chunk({}, "stop", usage=USAGE)
    assert answered(texts("a"), in_the_choice)["usage"]["total_tokens"] == 29


@pytest.mark.parametrize(
    ("tier", "told"), [("priority", "priority"), ("on_demand", "default"), (None, "default")]
)
def test_the_tier_that_was_used(tier: str | None, told: str) -> None:
    response = answered(frame({"choices": [], "service_tier": tier}), texts("a"), end())
    assert response["service_tier"] == told
