"""ConverseStream as events: any pieces, any end, and what each kind of block becomes."""

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_wire import error, event, exception, frame, text
from bedrock_calls import CLAUDE_4, CLAUDE_37, NOVA_2, fed, ready, sent, streamed, translator
from event_grammar import JsonObject, output_texts, read_frames, read_stream
from sluicegate.model import TERMINAL_EVENTS, ApiError, Event
from sluicegate.providers.contract import UpstreamStreamError

WEATHER: JsonObject = {"type": "function", "name": "weather"}
PATCH: JsonObject = {"type": "custom", "name": "patch"}
SPACE: JsonObject = {"type": "namespace", "name": "mail", "tools": [WEATHER]}
START = event("messageStart", {"role": "assistant", "p": "abc"})


def said(index: int, words: str) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": words}})


def stop(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


def thought(index: int, **delta: str) -> bytes:
    return event(
        "contentBlockDelta", {"contentBlockIndex": index, "delta": {"reasoningContent": delta}}
    )


def use(index: int, *fragments: str, name: str = "weather", **more: str) -> bytes:
    begun = {"toolUseId": f"tooluse_{index}", "name": name, **more}
    return b"".join(
        [
            event("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": begun}}),
            *(
                event(
                    "contentBlockDelta",
                    {"contentBlockIndex": index, "delta": {"toolUse": {"input": fragment}}},
                )
                for fragment in fragments
            ),
            stop(index),
        ]
    )


def end(reason: str = "end_turn", **usage: int) -> bytes:
    counted = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15} | usage
    return event("messageStop", {"stopReason": reason}) + event(
        "metadata", {"usage": counted, "metrics": {"latencyMs": 1}}
    )


TEXT = START + said(0, "Hello ") + said(0, "there 🎉") + stop(0) + end()
EVERYTHING = b"".join(
    [
        START,
        said(0, ""),
        stop(0),
        thought(1, text="Let me "),
        thought(1, text="think."),
        thought(1, signature="c2ln"),
        stop(1),
        thought(2, redactedContent="AAAA"),
        stop(2),
        said(3, "I look."),
        stop(3),
        use(4, "", '{"ci', 'ty":"Rome"}'),
        use(5),
        use(6, '{"inp', 'ut": "a\\n', 'b"}', name="patch"),
        use(7, "{}", name="mail__weather"),
        end("tool_use", cacheReadInputTokens=100, cacheWriteInputTokens=7),
    ]
)
TOOLS: JsonObject = {"tools": [WEATHER, PATCH, SPACE]}


def test_text() -> None:
    response = streamed([TEXT])
    assert output_texts(response) == ["Hello there 🎉"]
    assert (response["status"], response["model"]) == ("completed", CLAUDE_4)
    assert response["usage"]["total_tokens"] == 15
    assert response["service_tier"] == "default"


def test_every_kind_of_block() -> None:
    response = streamed([EVERYTHING], TOOLS)
    items = response["output"]
    assert [item["type"] for item in items] == [
        "reasoning",
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "custom_tool_call",
        "function_call",
    ]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Let me think."}]
    assert items[3]["arguments"] == '{"city":"Rome"}'
    assert items[4]["arguments"] == "{}"
    assert items[5]["input"] == "a\nb"
    assert (items[6]["name"], items[6]["namespace"]) == ("weather", "mail")
    assert [item["call_id"] for item in items[3:]] == [f"tooluse_{n}" for n in (4, 5, 6, 7)]
    assert response["usage"]["input_tokens"] == 117
    assert response["usage"]["input_tokens_details"] == {
        "cached_tokens": 100,
        "cache_write_tokens": 7,
    }


def test_reasoning_comes_back_as_it_went_out() -> None:
    items = streamed([EVERYTHING], TOOLS)["output"]
    outputs = [
        {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "ok"}
        for item in items
        if "call_id" in item
    ]
    body = sent({"input": [{"role": "user", "content": "hi"}, *items, *outputs], **TOOLS})
    assert body["messages"][1]["content"][:2] == [
        {"reasoningContent": {"reasoningText": {"text": "Let me think.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
    ]


@given(cuts=st.lists(st.integers(0, len(EVERYTHING)), max_size=40))
def test_any_pieces_give_the_same_answer(cuts: list[int]) -> None:
    edges = sorted({0, len(EVERYTHING), *cuts})
    chunks = [EVERYTHING[start:stop] for start, stop in pairwise(edges)]
    assert shape(streamed(chunks, TOOLS)) == shape(streamed([EVERYTHING], TOOLS))


def test_byte_by_byte() -> None:
    chunks = [EVERYTHING[at : at + 1] for at in range(len(EVERYTHING))]
    assert shape(streamed(chunks, TOOLS)) == shape(streamed([EVERYTHING], TOOLS))


def shape(response: JsonObject) -> object:
    """The answer without what is new each time."""
    kept = [item | {"id": None} for item in response["output"]]
    return kept, response["usage"], response["status"]


@given(at=st.integers(0, len(EVERYTHING) - 1))
def test_every_truncation_is_broken(at: int) -> None:
    made = ready(TOOLS)
    with pytest.raises(UpstreamStreamError):
        fed(made, [EVERYTHING[:at]])


@given(at=st.integers(0, len(EVERYTHING)))
def test_a_stream_may_be_ended_anywhere(at: int) -> None:
    made = ready(TOOLS)
    events = made.feed(EVERYTHING[:at])
    events += made.fail(ApiError(504, "It took too long.", type="server_error"))
    response = read_stream(item.frame for item in events)
    assert response["status"] == ("completed" if at == len(EVERYTHING) else "failed")


def test_deltas_go_out_as_they_come() -> None:
    made = ready(TOOLS)
    made.feed(START)
    seen: list[str] = []
    for chunk in (said(0, "a"), said(0, "b"), use(1, '{"x"', ":1}")):
        frames = read_frames(item.frame for item in made.feed(chunk))
        seen += [data["delta"] for data in frames if data["type"].endswith(".delta")]
    assert seen == ["a", "b", '{"x"', ":1}"]


# ----------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_use", "completed", None),
        ("something_new", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
        ("guardrail_intervened", "incomplete", "content_filter"),
        ("content_filtered", "incomplete", "content_filter"),
    ],
)
def test_stop_reasons(reason: str, status: str, why: str | None) -> None:
    for content in (b"", said(0, "Hi") + stop(0)):
        response = streamed([START + content + end(reason)])
        assert response["status"] == status
        assert response["incomplete_details"] == (why and {"reason": why})
        for item in response["output"]:
            assert item["status"] == status


def test_a_call_that_was_cut_is_incomplete() -> None:
    begun = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "weather"}}}
    cut = event("contentBlockStart", begun) + event(
        "contentBlockDelta",
        {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"ci'}}},
    )
    item = streamed([START + cut + end("max_tokens")], TOOLS)["output"][0]
    assert (item["status"], item["arguments"]) == ("incomplete", '{"ci')


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_answer_has_failed_with_its_usage(reason: str) -> None:
    response = streamed([START + said(0, "Hi") + stop(0) + end(reason)])
    assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
    assert response["usage"]["output_tokens"] == 5
    assert output_texts(response) == ["Hi"]


@pytest.mark.parametrize(
    ("frame_", "code", "outer"),
    [
        (
            exception("throttlingException", b'{"message":"Slow down."}'),
            "rate_limit_exceeded",
            None,
        ),
        (exception("serviceUnavailableException", b"not json"), "server_error", None),
        (exception("internalServerException", b"{}"), "server_error", None),
        (
            exception("modelStreamErrorException", b'{"message":"x","originalStatusCode":500}'),
            "server_error",
            None,
        ),
        (
            exception("validationException", b'{"message":"Input is too long for it."}'),
            "invalid_prompt",
            "context_length_exceeded",
        ),
        (exception("somethingNewException", b'{"message":5}'), "server_error", None),
        (error("InternalError", "It broke."), "server_error", None),
        (frame([text(":message-type", "unheard-of")], b""), "server_error", None),
    ],
)
def test_a_failure_inside_the_stream_keeps_what_had_come(
    frame_: bytes, code: str, outer: str | None
) -> None:
    events = fed(ready(), [START + said(0, "Hel") + frame_])
    response = read_stream(item.frame for item in events)
    assert (response["status"], response["error"]["code"]) == ("failed", code)
    assert output_texts(response) == ["Hel"]
    assert response["output"][0]["status"] == "incomplete"
    assert [item.type for item in events[-2:]] == ["error", "response.failed"]
    (told,) = read_frames([events[-2].frame])
    assert outer is None or told["code"] == outer


@pytest.mark.parametrize("afterwards", ["feed", "close"])
def test_what_comes_before_a_bad_event_of_the_same_piece_is_good(afterwards: str) -> None:
    bad = frame([text(":message-type", "event"), text(":event-type", "contentBlockDelta")], b"{")
    made = ready()
    events = made.feed(START + said(0, "Hel") + bad)
    with pytest.raises(UpstreamStreamError):
        made.feed(b"") if afterwards == "feed" else made.close()
    events += made.fail(ApiError(502, "broken"))
    response = read_stream(item.frame for item in events)
    assert (response["status"], output_texts(response)) == ("failed", ["Hel"])


def test_nothing_follows_the_end() -> None:
    made = ready()
    fed(made, [TEXT])
    assert made.feed(said(0, "more")) == []
    assert made.fail(ApiError(500, "x")) == []


def test_frames_without_a_message_type_and_unknown_events_pass() -> None:
    bare = frame([text(":event-type", "messageStart")], b'{"role":"assistant"}')
    new = event("somethingNew", {"a": 1}) + event(
        "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"somethingNew": {}}}
    )
    response = streamed([bare + new + said(0, "x") + stop(0) + end()])
    assert output_texts(response) == ["x"]


# ------------------------------------------------------------------------------- special answers


def test_blocks_without_stops_are_told_apart_by_their_index() -> None:
    stream = (
        START + thought(0, text="a", signature="s") + thought(1, text="b") + said(2, "c") + end()
    )
    items = streamed([stream])["output"]
    assert [item["type"] for item in items] == ["reasoning", "reasoning", "message"]
    assert "encrypted_content" in items[0]
    assert "encrypted_content" not in items[1]


def test_an_answer_as_a_tool_is_text() -> None:
    fields: JsonObject = {"text": {"format": {"type": "json_object"}}}
    stream = START + use(0, '{"a":', "1}", name="json_answer") + end("tool_use")
    response = streamed([stream], fields, CLAUDE_37)
    assert output_texts(response) == ['{"a":1}']
    assert [item["type"] for item in response["output"]] == ["message"]


@pytest.mark.parametrize("fragments", [(), ("",), ("{}",)])
@pytest.mark.parametrize("last", [b"", said(1, ""), thought(1, text="hm")])
def test_an_answer_tool_called_without_input_answers_with_an_empty_object(
    fragments: tuple[str, ...], last: bytes
) -> None:
    fields: JsonObject = {"text": {"format": {"type": "json_object"}}}
    stream = START + use(0, *fragments, name="json_answer") + last + end("tool_use")
    assert output_texts(streamed([stream], fields, CLAUDE_37)) == ["{}"]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal"])
def test_an_answer_that_was_cut_before_it_began_is_no_empty_object(reason: str) -> None:
    fields: JsonObject = {"text": {"format": {"type": "json_object"}}}
    response = streamed([START + use(0, name="json_answer") + end(reason)], fields, CLAUDE_37)
    assert response["output"] == []


def test_only_the_first_call_where_the_client_wants_one_at_a_time() -> None:
    stream = START + use(0, "{}") + use(1, "{}") + use(2, "{}") + end("tool_use")
    one = streamed([stream], {**TOOLS, "parallel_tool_calls": False})
    assert [item["call_id"] for item in one["output"]] == ["tooluse_0"]
    assert len(streamed([stream], TOOLS)["output"]) == 3


def test_what_a_search_of_the_model_found_are_citations() -> None:
    cited = {"location": {"web": {"url": "https://example.com", "domain": "example.com"}}}
    inside: JsonObject = {"location": {"documentChar": {"documentIndex": 0}}}
    found = {"toolResult": {"toolUseId": "s", "type": "nova_grounding_result"}}
    stream = b"".join(
        [
            START,
            use(0, "{}", name="nova_grounding", type="server_tool_use"),
            event("contentBlockStart", {"contentBlockIndex": 1, "start": found}),
            stop(1),
            said(2, "Before. "),
            stop(2),
            said(3, "It is so."),
            event("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"citation": cited}}),
            event("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"citation": inside}}),
            stop(3),
            end(),
        ]
    )
    response = streamed([stream], {"tools": [{"type": "web_search"}]}, NOVA_2)
    (part,) = response["output"][0]["content"]
    assert part["text"] == "Before. It is so."
    assert part["annotations"] == [
        {
            "type": "url_citation",
            "url": "https://example.com",
            "title": "example.com",
            "start_index": 8,
            "end_index": 17,
        }
    ]


def test_the_tier_and_the_routed_model_are_those_of_the_answer() -> None:
    routed = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
    last = event("messageStop", {"stopReason": "end_turn"}) + event(
        "metadata",
        {
            "usage": {"inputTokens": 1, "outputTokens": 1},
            "serviceTier": {"type": "reserved"},
            "trace": {"promptRouter": {"invokedModelId": routed}},
        },
    )
    response = streamed([START + said(0, "x") + last])
    assert response["service_tier"] == "scale"
    assert response["model"] == "anthropic.claude-3-haiku-20240307-v1:0"


# ---------------------------------------------------------------------------------- bad streams

MEMBERS = (
    *("contentBlockIndex", "delta", "text", "toolUse", "toolUseId", "name", "input", "start"),
    *("reasoningContent", "signature", "redactedContent", "stopReason", "usage", "inputTokens"),
    *("citation", "location", "web", "url"),
)


def of_kind(kind: str, payload: bytes) -> bytes:
    return frame([text(":event-type", kind), text(":message-type", "event")], payload)


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
    )


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.text(max_size=8), st.just("AAAA")),
    nested,
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "other",
    ]
)
strange = st.one_of(
    st.builds(of_kind, kinds, values.map(json.dumps).map(str.encode)),
    st.builds(of_kind, kinds, st.binary(max_size=30)),
    st.sampled_from(
        [START, said(0, "x"), said(1, "y"), stop(0), use(0, "{"), thought(0, text="t"), end()]
    ),
)


@given(frames=st.lists(strange, max_size=12))
def test_strange_events_end_in_a_clean_failure_or_a_proper_stream(frames: list[bytes]) -> None:
    made = ready(TOOLS)
    events: list[Event] = []
    try:
        for item in frames:
            events += made.feed(item)
        events += made.close()
    except UpstreamStreamError as broken:
        events += made.fail(ApiError(502, str(broken), type="server_error"))
    assert len([item for item in events if item.type in TERMINAL_EVENTS]) == 1
    numbers = [data["sequence_number"] for data in read_frames(item.frame for item in events)]
    assert numbers == list(range(len(numbers)))


@given(data=st.binary(max_size=400), at=st.integers(0, len(EVERYTHING) - 1))
def test_damaged_bytes_never_escape(data: bytes, at: int) -> None:
    made = ready(TOOLS)
    with pytest.raises(UpstreamStreamError):
        fed(made, [EVERYTHING[:at] + data + EVERYTHING[at + 1 + len(data) :] + b"x"])


def test_a_json_body_in_place_of_the_stream_is_broken() -> None:
    with pytest.raises(UpstreamStreamError):
        ready().feed(b'{"message":"The provided model identifier is invalid."}')


def test_redacted_reasoning_is_joined_from_its_pieces() -> None:
    pieces = [base64.b64encode(piece).decode() for piece in (b"one", b"two!")]
    reasoning = b"".join(thought(0, redactedContent=piece) for piece in pieces)
    item = streamed([START + reasoning + stop(0) + end()])["output"][0]
    body = sent({"input": [item, {"role": "assistant", "content": "x"}]})
    blob = body["messages"][1]["content"][0]["reasoningContent"]["redactedContent"]
    assert base64.b64decode(blob) == b"onetwo!"


def test_a_request_comes_before_its_answer() -> None:
    with pytest.raises(RuntimeError):
        translator().feed(START)


@pytest.mark.parametrize("given", ["", "t" * 65])
def test_a_call_whose_id_no_client_takes_gets_another(given: str) -> None:
    stream = [START, use(0, "{}", toolUseId=given), stop(0), end("tool_use")]
    (item,) = streamed(stream, TOOLS)["output"]
    assert item["call_id"].startswith("call_")
