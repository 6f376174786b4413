"""A stream of the Messages API as a stream of the Responses API."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_wire import (
    FUNCTION,
    PING,
    SCRIPTS,
    anonymous,
    answered,
    asking,
    block,
    call_block,
    cut,
    deployment,
    end,
    frame,
    hear,
    start,
    text_block,
    thinking_block,
)
from event_grammar import output_texts, read_stream
from sluicegate.api.sealed import unseal
from sluicegate.model import ApiError, UpstreamStreamError

FAILURE = ApiError(504, "It took too long.", type="server_error", code="upstream_timeout")
every_script = pytest.mark.parametrize(("body", "stream"), SCRIPTS.values(), ids=SCRIPTS.keys())


@every_script
def test_every_answer_obeys_the_grammar(body: dict[str, Any], stream: bytes) -> None:
    assert answered(stream, body=body)["usage"]["input_tokens"] == 20


@every_script
@settings(max_examples=40)
@given(places=st.lists(st.integers(0, 10_000), max_size=20))
def test_how_a_stream_is_cut_changes_nothing(
    body: dict[str, Any], stream: bytes, places: list[int]
) -> None:
    whole = answered(stream, body=body, strict=False)
    pieces = answered(*cut(stream, places), body=body, strict=False)
    assert anonymous(pieces) == anonymous(whole)


@every_script
def test_a_stream_byte_by_byte(body: dict[str, Any], stream: bytes) -> None:
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert anonymous(answered(*pieces, body=body)) == anonymous(answered(stream, body=body))


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends_change_nothing(newline: bytes) -> None:
    body, stream = SCRIPTS["thinking, text, calls"]
    other = stream.replace(b"\n", newline)
    assert anonymous(answered(other, body=body)) == anonymous(answered(stream, body=body))


@every_script
def test_every_truncation_fails(body: dict[str, Any], stream: bytes) -> None:
    for length in range(len(stream.rstrip())):
        made = asking(body)
        events = made.feed(stream[:length])
        with pytest.raises(UpstreamStreamError, match="before its last event"):
            made.close()
        events += made.fail(FAILURE)
        failed = read_stream((event.frame for event in events), strict=False)
        assert failed["status"] == "failed"
        assert failed["error"] == {"code": "server_error", "message": "It took too long."}


def test_the_blank_line_after_the_last_event_may_be_missing() -> None:
    stream = start() + text_block(0, "whole") + end()
    assert output_texts(answered(stream.rstrip())) == ["whole"]


def test_a_failure_keeps_what_had_come_and_its_usage() -> None:
    made = asking({"tools": [FUNCTION]})
    events = made.feed(
        start() + text_block(0, "I look.") + call_block(1, "weather", '{"ci', stop=False)
    )
    response = read_stream(event.frame for event in events + made.fail(FAILURE))
    assert output_texts(response) == ["I look."]
    assert response["output"][1]["arguments"] == '{"ci'
    assert response["output"][1]["status"] == "incomplete"
    assert response["usage"]["input_tokens"] == 20
    assert made.fail(FAILURE) == []


def test_a_failure_before_anything_came() -> None:
    response = read_stream(event.frame for event in asking().fail(FAILURE))
    assert (response["output"], response["usage"]) == ([], None)


def test_an_error_inside_the_stream_ends_it() -> None:
    body, stream = SCRIPTS["failed"]
    made = asking(body)
    events = made.feed(stream + text_block(1, "more") + end())
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert made.close() == []
    response = read_stream(event.frame for event in events)
    assert response["error"] == {"code": "rate_limit_exceeded", "message": "Overloaded"}
    assert output_texts(response) == ["He"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("api_error", "server_error"),
        ("rate_limit_error", "rate_limit_exceeded"),
        ("invalid_request_error", "invalid_prompt"),
        ("tomorrow_error", "server_error"),
    ],
)
def test_kinds_of_errors_inside_a_stream(kind: str, code: str) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "no", "details": None}}
    response = answered(start() + frame(error))
    assert response["error"] == {"code": code, "message": "no"}


def test_nothing_follows_the_end() -> None:
    made = asking()
    made.feed(start() + text_block(0, "one") + end())
    assert made.feed(start() + text_block(0, "two") + end()) == []
    assert made.close() == []


# -------------------------------------------------------------------------------------------- text


def test_text_blocks_in_a_row_are_one_text() -> None:
    response = answered(
        start() + text_block(0, "a") + text_block(1, "") + text_block(2, "b") + end()
    )
    assert output_texts(response) == ["ab"]


def test_an_empty_text_opens_no_message() -> None:
    response = answered(
        start() + text_block(0, "", "") + call_block(1, "weather", "{}") + end("tool_use"),
        body={"tools": [FUNCTION]},
    )
    assert [item["type"] for item in response["output"]] == ["function_call"]


def test_a_citation_of_a_page_is_about_its_block() -> None:
    body, stream = SCRIPTS["search"]
    response = answered(stream, body=body)
    search, message = response["output"]
    assert search["action"] == {"type": "search", "query": "otters"}
    assert search["status"] == "completed"
    part = message["content"][0]
    assert part["text"] == "Otters swim."
    (citation,) = part["annotations"]
    assert citation["url"] == "https://a.example"
    assert part["text"][citation["start_index"] : citation["end_index"]] == "swim"


def test_searches_name_their_pages_where_the_client_asks() -> None:
    body, stream = SCRIPTS["search"]
    include = {"include": ["web_search_call.action.sources"]}
    search = answered(stream, body=body | include)["output"][0]
    assert search["action"]["sources"] == [{"type": "url", "url": "https://a.example"}]


SEARCHED: list[tuple[str, str, list[str]]] = [
    ("q0", "completed", ["https://0"]),
    ("q1", "failed", []),
    ("q2", "completed", []),
]


SILENT: list[tuple[str, str, list[str]]] = [(f"q{n}", "completed", []) for n in range(3)]


@pytest.mark.parametrize(
    ("results", "told"),
    [
        pytest.param([0, 1], SEARCHED, id="in order"),
        pytest.param([1, 0], [SILENT[0], *SEARCHED[1:]], id="the first comes too late"),
        pytest.param([], SILENT, id="none"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_each_of_several_searches_has_its_own_result(
    results: list[int], told: list[tuple[str, str, list[str]]], streamed: bool
) -> None:
    pages: list[Any] = [
        [{"type": "web_search_result", "url": "https://0"}],
        {"type": "web_search_tool_result_error", "error_code": "unavailable"},
    ]
    use = {"type": "server_tool_use", "name": "web_search"}
    content: list[dict[str, Any]] = [
        *({**use, "id": f"s{n}", "input": {"query": f"q{n}"}} for n in range(3)),
        *(
            {"type": "web_search_tool_result", "tool_use_id": f"s{n}", "content": pages[n]}
            for n in results
        ),
        {"type": "text", "text": "Found."},
    ]
    asked: dict[str, Any] = {
        "tools": [{"type": "web_search"}],
        "include": ["web_search_call.action.sources"],
    }
    if streamed:
        blocks = [block(index, each) for index, each in enumerate(content)]
        response = answered(start(), *blocks, end(), body=asked)
    else:
        message = {"type": "message", "content": content, "stop_reason": "end_turn"}
        response = json.loads(asking(asked).answer(json.dumps(message).encode()))
    *searches, text = response["output"]
    assert text["content"][0]["text"] == "Found."
    assert told == [
        (
            search["action"]["query"],
            search["status"],
            [source["url"] for source in search["action"].get("sources", [])],
        )
        for search in searches
    ]


def test_a_search_that_failed() -> None:
    error = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    response = answered(
        start()
        + block(0, {"type": "server_tool_use", "name": "web_search", "input": {"query": "q"}})
        + block(1, {"type": "web_search_tool_result", "content": error})
        + text_block(2, "Sorry.")
        + end(),
        body={"tools": [{"type": "web_search"}]},
    )
    assert response["output"][0]["status"] == "failed"
    assert response["output"][0]["action"]["query"] == "q"


# ------------------------------------------------------------------------------------------- calls


def test_a_call_without_arguments_has_an_empty_object() -> None:
    response = answered(
        start() + call_block(0, "weather", "") + end("tool_use"), body={"tools": [FUNCTION]}
    )
    assert response["output"][0]["arguments"] == "{}"


def test_parallel_calls_are_items_of_their_own() -> None:
    response = answered(
        start()
        + call_block(0, "weather", '{"city":"A"}')
        + call_block(1, "weather", '{"city":', '"B"}')
        + end("tool_use"),
        body={"tools": [FUNCTION]},
    )
    calls = [(item["call_id"], item["arguments"]) for item in response["output"]]
    assert calls == [("toolu_0", '{"city":"A"}'), ("toolu_1", '{"city":"B"}')]


def test_an_input_that_comes_with_the_block() -> None:
    content = {"type": "tool_use", "id": "toolu_9", "name": "weather", "input": {"city": "Rome"}}
    response = answered(start() + block(0, content) + end("tool_use"), body={"tools": [FUNCTION]})
    assert json.loads(response["output"][0]["arguments"]) == {"city": "Rome"}


def test_tools_come_back_under_the_clients_names() -> None:
    tools = [
        {"type": "custom", "name": "patch"},
        {"type": "namespace", "name": "files", "description": "", "tools": [FUNCTION]},
    ]
    response = answered(
        start()
        + call_block(0, "patch", '{"input": "a\\"b"}')
        + call_block(1, "files__weather", '{"city":"A"}')
        + end("tool_use"),
        body={"tools": tools},
    )
    custom, function = response["output"]
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "patch", 'a"b')
    assert (function["name"], function["namespace"]) == ("weather", "files")


@pytest.mark.parametrize("id_", ["x" * 65])
def test_an_id_that_no_client_takes_is_replaced(id_: str) -> None:
    response = answered(
        start() + call_block(0, "weather", "{}", id_=id_) + end("tool_use"),
        body={"tools": [FUNCTION]},
    )
    assert response["output"][0]["call_id"].startswith("call_")


# ---------------------------------------------------------------------------------------- thinking


def test_thinking_is_a_reasoning_item_with_its_signature_sealed() -> None:
    stream = start() + thinking_block(0, "Let me ", "see.", signature="c2ln") + text_block(1, "So.")
    reasoning, message = answered(stream + end())["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    payload = unseal(reasoning["encrypted_content"], "anthropic", "claude-sonnet-4-5")
    assert payload is not None
    assert json.loads(payload) == {
        "type": "thinking",
        "thinking": "Let me see.",
        "signature": "c2ln",
    }
    assert message["content"][0]["text"] == "So."


def test_each_thinking_block_is_an_item_of_its_own() -> None:
    stream = start() + thinking_block(0, "a") + thinking_block(1, "b") + text_block(2, "c") + end()
    kinds = [item["type"] for item in answered(stream)["output"]]
    assert kinds == ["reasoning", "reasoning", "message"]


def test_thinking_that_is_not_shown_keeps_its_signature() -> None:
    reasoning = answered(start() + thinking_block(0) + text_block(1, "c") + end())["output"][0]
    assert reasoning["summary"] == []
    assert reasoning["encrypted_content"]


def test_thinking_without_a_signature_seals_nothing() -> None:
    stream = start() + thinking_block(0, "a", signature="") + text_block(1, "c") + end()
    assert "encrypted_content" not in answered(stream)["output"][0]


# --------------------------------------------------------------------------------------------- end


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "pause_turn", "of_tomorrow"])
def test_an_answer_that_is_whole(reason: str) -> None:
    response = answered(start() + text_block(0, "a") + end(reason))
    assert (response["status"], response["model"]) == ("completed", "claude-sonnet-4-5-20250929")


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_an_answer_that_is_cut(reason: str) -> None:
    response = answered(start() + text_block(0, "a") + end(reason))
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["total_tokens"] == 29


def test_a_cut_answer_without_any_output() -> None:
    response = answered(start() + end("max_tokens"))
    assert (response["status"], response["output"]) == ("incomplete", [])


def test_a_refusal_is_a_part_of_its_own() -> None:
    body, stream = SCRIPTS["refused"]
    response = answered(stream, body=body)
    assert response["status"] == "completed"
    kinds = [part["type"] for part in response["output"][0]["content"]]
    assert kinds == ["output_text", "refusal"]
    assert response["output"][0]["content"][1]["refusal"] == "Not that."


def test_a_refusal_without_a_word() -> None:
    response = answered(start() + end("refusal"))
    assert response["output"][0]["content"][0]["refusal"]


def test_a_refusal_in_the_middle_of_a_call_leaves_it_incomplete() -> None:
    response = answered(
        start() + call_block(0, "weather", '{"ci', stop=False) + end("refusal"),
        body={"tools": [FUNCTION]},
    )
    assert response["incomplete_details"] == {"reason": "content_filter"}


def test_usage_is_the_last_word_and_includes_the_cache() -> None:
    first = {"input_tokens": 43, "cache_read_input_tokens": 5, "output_tokens": 1}
    last = {
        "input_tokens": 61,
        "cache_creation_input_tokens": 7,
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 11},
    }
    usage = answered(start(first) + text_block(0, "a") + end(usage=last))["usage"]
    assert usage == {
        "input_tokens": 73,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 7},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 11},
        "total_tokens": 103,
    }


@pytest.mark.parametrize(("tier", "told"), [("standard", "default"), ("priority", "priority")])
def test_the_tier_that_was_used(tier: str, told: str) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": tier}
    assert answered(start(usage) + end())["service_tier"] == told


# ----------------------------------------------------------------------------------- what is new


@pytest.mark.parametrize(
    "extra",
    [
        PING,
        b": a comment\n\n",
        b"data: [DONE]\n\n",
        frame({"type": "event_of_tomorrow", "x": [1]}),
        block(7, {"type": "block_of_tomorrow", "x": 1}, {"type": "delta_of_tomorrow", "y": 2}),
        start(),
    ],
)
def test_what_is_unknown_or_repeated_is_skipped(extra: bytes) -> None:
    stream = (
        extra + start() + extra + text_block(0, "a") + extra + text_block(1, "b") + extra + end()
    )
    assert output_texts(answered(stream)) == ["ab"]


def test_a_delta_of_a_block_that_is_not_open_is_an_error() -> None:
    delta = {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "text_delta", "text": "x"},
    }
    made = asking()
    made.feed(start() + text_block(0, "a", stop=False))
    with pytest.raises(UpstreamStreamError, match="not open"):
        made.feed(frame(delta))


def test_an_endless_answer_is_given_up() -> None:
    made = asking()
    made.feed(start() + text_block(0, stop=False))
    much = frame(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "x", "text": "y" * 2**20}}
    )
    with pytest.raises(UpstreamStreamError, match="larger than"):
        made.feed(much * 64)


# ------------------------------------------------------------------- a tool in place of a format

OLD = "claude-3-5-sonnet-20240620"
SCHEMA = {
    "type": "json_schema",
    "name": "n",
    "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}


def test_the_input_of_the_answer_tool_is_the_text() -> None:
    made = asking({"text": {"format": SCHEMA}}, OLD)
    stream = start() + text_block(0, "Here:") + call_block(1, "final_answer", '{"a"', ": 1}")
    events = hear(made, stream + end("tool_use"))
    response = read_stream(event.frame for event in events)
    assert [item["type"] for item in response["output"]] == ["message"]
    assert output_texts(response) == ['{"a": 1}']
    assert sum(event.type == "response.output_text.delta" for event in events) == 2


@pytest.mark.parametrize("fragments", [(), ("",), ("{}",)])
@pytest.mark.parametrize("kind", ["object", "array"])
def test_an_answer_tool_called_without_input_answers_with_an_empty_object(
    fragments: tuple[str, ...], kind: str
) -> None:
    body = {"text": {"format": SCHEMA | {"schema": {"type": kind}}}}
    stream = start() + call_block(0, "final_answer", *fragments) + end("tool_use")
    assert output_texts(answered(stream, body=body, model=OLD)) == ["{}"]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal"])
def test_an_answer_that_was_cut_before_it_began_is_no_empty_object(reason: str) -> None:
    stream = start() + call_block(0, "final_answer") + end(reason)
    response = answered(stream, body={"text": {"format": SCHEMA}}, model=OLD)
    assert "{}" not in output_texts(response)


def test_an_answer_that_is_no_object_is_unwrapped() -> None:
    body, stream = SCRIPTS["schema by a tool"]
    assert output_texts(answered(stream, body=body)) == ["[1, 2]"]


def test_text_without_the_answer_tool_is_not_lost() -> None:
    response = answered(
        start() + text_block(0, "I can't.") + end(), body={"text": {"format": SCHEMA}}, model=OLD
    )
    assert output_texts(response) == ["I can't."]


def test_another_tool_may_come_first() -> None:
    response = answered(
        start() + text_block(0, "Look:") + call_block(1, "weather", "{}") + end("tool_use"),
        body={"text": {"format": SCHEMA}, "tools": [FUNCTION]},
        model=OLD,
    )
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]


def test_the_sealing_names_the_provider_and_the_model() -> None:
    stream = start() + thinking_block(0, "a") + end()
    sealed = answered(stream, model="claude-opus-4-8", of=deployment("claude-opus-4-8"))
    content = sealed["output"][0]["encrypted_content"]
    assert unseal(content, "anthropic", "claude-opus-4-8") is not None
    assert unseal(content, "anthropic", "claude-sonnet-4-5") is None
