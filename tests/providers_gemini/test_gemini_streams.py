"""Streams of `generateContent` as events: order, numbering, chunking, failure, bounded memory."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_grammar import JsonObject, output_texts, read_frames, read_stream
from gemini_wire import (
    END,
    FAILED,
    FLASH_3,
    FUNCTION,
    INCOMPLETE,
    SCRIPTS,
    SIGNATURE,
    anonymous,
    answered,
    asking,
    call,
    chunk,
    cut,
    frame,
    hear,
    piece,
    said,
    text,
    whole,
)
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.gemini_content import ContentTranslator

every_script = pytest.mark.parametrize("name", SCRIPTS)
FAILURE = ApiError(504, "It took too long.", type="server_error", code="upstream_timeout")


def kinds(response: JsonObject) -> list[str]:
    return [item["type"] for item in response["output"]]


@every_script
def test_every_answer_obeys_the_grammar(name: str) -> None:
    body, stream = SCRIPTS[name]
    response = answered(stream, body=body)
    expected = "failed" if name in FAILED else "incomplete" if name in INCOMPLETE else "completed"
    assert response["status"] == expected


@every_script
@settings(max_examples=20)
@given(places=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunks_give_the_same_answer(name: str, places: list[int]) -> None:
    body, stream = SCRIPTS[name]
    entire = anonymous(answered(stream, body=body, strict=False))
    assert anonymous(answered(*cut(stream, places), body=body, strict=False)) == entire


@every_script
def test_single_bytes_give_the_same_answer(name: str) -> None:
    body, stream = SCRIPTS[name]
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    entire = anonymous(answered(stream, body=body, strict=False))
    assert anonymous(answered(*pieces, body=body, strict=False)) == entire


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_ends_do(newline: str) -> None:
    stream = frame(chunk(text("Hel")), newline) + frame(chunk(text("lo"), finish="STOP"), newline)
    assert output_texts(answered(stream)) == ["Hello"]


@every_script
def test_an_answer_that_is_not_streamed_is_the_same(name: str) -> None:
    body, stream = SCRIPTS[name]
    if name in FAILED:
        return
    told = [json.loads(line[6:]) for line in stream.decode().split("\r\n") if line]
    made = asking({**body, "stream": False})
    response = json.loads(made.answer(json.dumps(told).encode()))
    assert anonymous(response) == anonymous(answered(stream, body=body, strict=False))


@every_script
def test_a_stream_that_is_cut_fails(name: str) -> None:
    body, stream = SCRIPTS[name]
    ended = stream.rindex(b"data:") if name != "the reason in every chunk" else 1
    for end in range(ended):
        if name in FAILED and b"MALFORMED" not in stream:
            break
        with pytest.raises(UpstreamStreamError):
            hear(asking(body), stream[:end])


@every_script
def test_a_stream_that_can_not_go_on_keeps_what_had_come(name: str) -> None:
    body, stream = SCRIPTS[name]
    for end in range(0, len(stream), 41):
        made = asking(body)
        events = made.feed(stream[:end])
        ended = any(event.type == "response.failed" for event in events)
        events += made.fail(FAILURE)
        response = read_stream(event.frame for event in events)
        assert response["status"] == "failed"
        if not ended:
            assert response["error"]["message"] == "It took too long."
            told = [data["type"] for data in read_frames(e.frame for e in events[-2:])]
            assert told == ["error", "response.failed"]


# --------------------------------------------------------------------------------- what is said


def test_text_and_usage() -> None:
    response = answered(SCRIPTS["text"][1])
    assert output_texts(response) == ["Hello, wörld 😀"]
    assert (response["model"], response["service_tier"]) == ("gemini-3-flash-001", "default")
    assert response["usage"]["total_tokens"] == 29


def test_thoughts_text_and_parallel_calls() -> None:
    body, stream = SCRIPTS["thoughts, text, calls"]
    response = answered(stream, body=body)
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert kinds(response) == ["reasoning", "message", "reasoning", *["function_call"] * 3]
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert [item["arguments"] for item in calls] == ['{"city":"Paris"}', "{}", "{}"]
    assert calls[0]["call_id"] == "up1"
    assert len({item["call_id"] for item in calls}) == 3


def test_an_id_that_comes_twice_stands_for_one_call() -> None:
    response = answered(said(call("weather", {}, id_="x"), call("weather", {}, id_="x")), END)
    first, second = response["output"]
    assert first["call_id"] == "x"
    assert second["call_id"].startswith("call_")


def test_a_signature_of_a_text_is_kept_behind_it_only_for_who_asks() -> None:
    body, stream = SCRIPTS["a signature behind the text"]
    assert kinds(answered(stream, body=body)) == ["message", "reasoning"]
    assert kinds(answered(stream)) == ["message"]


def test_arguments_in_pieces() -> None:
    body, stream = SCRIPTS["arguments in pieces"]
    first, second = answered(stream, body=body)["output"]
    assert json.loads(first["arguments"]) == {
        "city": "Paris",
        "days": [None, {"warm": True}],
        "a b": 2.5,
    }
    assert json.loads(second["arguments"]) == {"city": "Rome"}


@pytest.mark.parametrize(
    "path", ["", "$", "city", "$.", "$[0]", "$.a[", "$.a[99999]", "$" + ".a" * 100]
)
def test_an_argument_without_a_place_breaks_the_stream(path: str) -> None:
    begin = said({"functionCall": {"name": "weather", "willContinue": True}})
    with pytest.raises(UpstreamStreamError):
        hear(asking(), begin + said(piece(path, stringValue="x")) + END)


def test_pieces_without_a_call_break_the_stream() -> None:
    with pytest.raises(UpstreamStreamError):
        hear(asking(), said(piece("$.a", stringValue="x")) + END)


def test_a_custom_tools_input() -> None:
    body, stream = SCRIPTS["custom tool"]
    reasoning, item = answered(stream, body=body)["output"]
    assert reasoning["encrypted_content"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin\né")


def test_a_namespaced_tool_gets_its_names_back() -> None:
    inner = FUNCTION | {"name": "1st"}
    body: JsonObject = {"tools": [{"type": "namespace", "name": "9lives", "tools": [inner]}]}
    response = answered(said(call("_9lives__1st", {})), END, body=body)
    (item,) = response["output"]
    assert (item["name"], item["namespace"]) == ("1st", "9lives")


def test_only_one_call_where_only_one_may_be() -> None:
    body: JsonObject = {"tools": [FUNCTION], "parallel_tool_calls": False}
    pieces = said({"functionCall": {"name": "weather", "willContinue": True}}) + said(
        piece("$.city", stringValue="x")
    )
    stream = said(call("weather", {"city": "a"})) + said(call("weather", {})) + pieces + END
    (item,) = answered(stream, body=body)["output"]
    assert item["arguments"] == '{"city":"a"}'


def test_what_a_search_found() -> None:
    body, stream = SCRIPTS["search"]
    included = {"include": ["web_search_call.action.sources"]}
    message, *searches = answered(stream, body=body | included)["output"]
    (part,) = message["content"]
    assert [
        (a["url"], part["text"][a["start_index"] : a["end_index"]]) for a in part["annotations"]
    ] == [
        ("https://a.example", "Otters"),
        ("https://b.example", "Otters"),
    ]
    assert [item["action"]["query"] for item in searches] == ["otters", "where otters swim"]
    assert searches[0]["action"]["sources"] == [
        {"type": "url", "url": "https://a.example"},
        {"type": "url", "url": "https://b.example"},
    ]
    assert "sources" not in answered(stream, body=body)["output"][1]["action"]


def test_usage_is_the_last_and_not_a_sum() -> None:
    first = {"promptTokenCount": 169, "totalTokenCount": 169}
    last = {
        "promptTokenCount": 79,
        "cachedContentTokenCount": 70,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 5,
        "toolUsePromptTokenCount": 4,
        "totalTokenCount": 100,
    }
    stream = frame(chunk(text("a"), usage=first)) + frame(
        chunk(text("b"), usage=last, finish="STOP")
    )
    traffic = {"trafficType": "ON_DEMAND_PRIORITY"}
    stream += frame({"usageMetadata": traffic})
    response = answered(stream)
    assert response["usage"] == {
        "input_tokens": 83,
        "input_tokens_details": {"cached_tokens": 70, "cache_write_tokens": 0},
        "output_tokens": 17,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 100,
    }
    assert response["service_tier"] == "priority"


def test_logprobs_come_with_their_text() -> None:
    likely = {
        "chosenCandidates": [
            {"token": "Hé", "logProbability": -0.5, "tokenId": 1},
            {"token": "llo", "logProbability": "-Infinity"},
        ],
        "topCandidates": [{"candidates": [{"token": "Ho", "logProbability": -2.0}]}],
    }
    stream = said(text("Héllo"), logprobsResult=likely) + END
    response = answered(stream, body={"top_logprobs": 1})
    first, second = response["output"][0]["content"][0]["logprobs"]
    assert (first["token"], first["bytes"], first["logprob"]) == ("Hé", [72, 195, 169], -0.5)
    assert first["top_logprobs"][0]["token"] == "Ho"
    assert second["logprob"] < -100
    assert answered(stream)["output"][0]["content"][0]["logprobs"] == []


# ------------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("reason", "incomplete"),
    [
        ("STOP", None),
        ("MAX_TOKENS", "max_output_tokens"),
        ("CONTINUATION", "max_output_tokens"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("IMAGE_OTHER", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
    ],
)
def test_reasons_to_end(reason: str, incomplete: str | None) -> None:
    for finish in ({"finish": reason}, {"finish": reason}):
        response = answered(said(text("Hi"), **finish))
        details = response["incomplete_details"]
        assert (details and details["reason"]) == incomplete
        item = response["output"][0]
        assert item["status"] == ("incomplete" if incomplete else "completed")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "A_REASON_OF_TOMORROW"])
def test_reasons_that_are_failures(reason: str) -> None:
    response = answered(said(text("Hi"), finish=reason, finishMessage="because"))
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert reason in response["error"]["message"]
    assert response["output"][0]["content"][0]["text"] == "Hi"
    assert response["usage"]["total_tokens"] == 29
    with pytest.raises(ApiError) as caught:
        whole(chunk(text("Hi"), finish=reason))
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 503, "message": "Busy", "status": "UNAVAILABLE"}, "rate_limit_exceeded"),
        ({"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED"}, "rate_limit_exceeded"),
        ({"code": 500, "message": "Bad", "status": "INTERNAL"}, "server_error"),
        ({"code": 400, "message": "No", "status": "INVALID_ARGUMENT"}, "invalid_prompt"),
        ({"message": "Odd"}, "server_error"),
        ({"code": 12, "message": "Odd"}, "server_error"),
    ],
)
@pytest.mark.parametrize("form", ["event", "bare", "pretty", "list"])
def test_an_error_inside_a_stream(error: JsonObject, code: str, form: str) -> None:
    said_error = {"error": error}
    wire = {
        "event": frame(said_error),
        "bare": json.dumps(said_error).encode() + b"\r\n\r\n",
        "pretty": json.dumps(said_error, indent=2).encode(),
        "list": frame([said_error]),
    }[form]
    response = answered(said(text("He")), wire)
    assert response["status"] == "failed"
    assert response["error"] == {"code": code, "message": error["message"]}
    assert response["output"][0]["content"][0]["text"] == "He"


def test_nothing_follows_the_end() -> None:
    made = asking()
    stream = SCRIPTS["failed"][1]
    events = made.feed(stream)
    assert events[-1].type == "response.failed"
    assert made.feed(said(text("more"))) == []
    assert made.fail(FAILURE) == []
    assert made.close() == []


# ----------------------------------------------------------------------------------------- attacks


def judged(body: JsonObject, *chunks: bytes) -> None:
    """Whatever comes, the client gets a stream with one end."""
    made = asking(body)
    events: list[Event] = []
    try:
        for each in chunks:
            events += made.feed(each)
        events += made.close()
    except UpstreamStreamError:
        events += made.fail(FAILURE)
    read_stream((event.frame for event in events), strict=False)


@settings(max_examples=150)
@given(data=st.binary(max_size=400))
def test_random_bytes_end_cleanly(data: bytes) -> None:
    judged({}, data)
    judged({}, b"data: " + data + b"\r\n\r\n")
    judged({}, said(text("He")), data)


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(SCRIPTS)),
    at=st.integers(0, 100_000),
    length=st.integers(0, 20),
    data=st.binary(max_size=20),
)
def test_mutated_streams_end_cleanly(name: str, at: int, length: int, data: bytes) -> None:
    body, stream = SCRIPTS[name]
    place = at % len(stream)
    mutated = stream[:place] + data + stream[place + length :]
    judged(body, mutated)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("candidates", "content", "parts", "text", "thought", "thoughtSignature"),
                    *("functionCall", "name", "args", "partialArgs", "jsonPath", "willContinue"),
                    *("finishReason", "usageMetadata", "error", "promptFeedback", "toolCall"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=200)
@given(objects=st.lists(JSON, max_size=4))
def test_any_json_ends_cleanly(objects: list[Any]) -> None:
    judged({}, *[frame(each) for each in objects])
    judged({}, b"".join(frame(each) for each in objects))


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"[" * 100_000 + b"\r\n\r\n",
        b"data: " + b'{"candidates":' * 100_000 + b"\r\n\r\n",
        said({"functionCall": {"name": "f", "args": 5}}),
        said({"functionCall": {"name": "f", "args": [1]}}),
        frame({"candidates": 5}),
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": '
        + b'{"a":' * 50_000
        + b"1"
        + b"}" * 50_000
        + b"}}]}}]}\r\n\r\n",
    ],
)
def test_what_can_not_be_read_breaks_the_stream(stream: bytes) -> None:
    with pytest.raises(UpstreamStreamError):
        hear(asking(), stream)


def feed_for_ever(made: ContentTranslator, filler: bytes) -> None:
    for _ in range(100):
        made.feed(filler)


@pytest.mark.parametrize("begin", [b"", b"["])
def test_an_endless_answer_is_given_up(begin: bytes) -> None:
    made = asking()
    made.feed(begin)
    filler = b" " * 1_000_000 if begin else frame({"pad": "x" * 1_000_000})
    with pytest.raises(UpstreamStreamError, match="larger"):
        feed_for_ever(made, filler)


def test_a_sealed_item_keeps_no_key_of_ours() -> None:
    """What goes back is for the model that wrote it, in an envelope that says so."""
    response = answered(said(call("weather", {}, SIGNATURE)), END)
    sealed = response["output"][0]["encrypted_content"]
    assert sealed.startswith("sg1.")
    assert FLASH_3 not in sealed


# ------------------------------------------------------------------------------------------- costs


def test_a_long_argument_in_small_pieces_costs_no_more_than_its_length() -> None:
    parts = [piece("$.text", stringValue="x", more=True)] * 20_000
    begin = said({"functionCall": {"name": "weather", "willContinue": True}})
    body = {"tools": [FUNCTION]}
    made = asking(body)
    events = made.feed(begin) + made.feed(said(*parts)) + made.feed(END) + made.close()
    (item,) = read_stream((event.frame for event in events), strict=False)["output"]
    assert json.loads(item["arguments"]) == {"text": "x" * 20_000}
