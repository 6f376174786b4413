"""Whatever a provider tells, what comes out is a Responses stream; strict clients agree."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from event_grammar import check_answer, output_texts, read_frames, read_stream
from sluicegate.api.answer import Echo, echo
from sluicegate.api.outcome import answer_outcome, terminal_outcome
from sluicegate.api.output import FileCitation, LogProb, TopLogProb, UrlCitation
from sluicegate.api.output_image import NO_IMAGE, MadeImage
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.model import ApiError, Event, InputTokensDetails, OutputTokensDetails, Usage

USAGE = Usage(10, 5, 15, InputTokensDetails(4, 1), OutputTokensDetails(2))
FAILURE = ApiError(502, "The upstream went away.", type="server_error", code="upstream_lost")
_events: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def echoed(**fields: object) -> Echo:
    body = json.dumps({"model": "m", **fields}).encode()
    return echo(decode_parameters(decode_request(body)), store=False)


def stream(**fields: object) -> ResponseStream:
    return ResponseStream(echoed(**fields), "upstream-model", clock=lambda: 1_800_000_000.5)


def judged(events: list[Event]) -> dict[str, Any]:
    """The answer of a whole stream, after every judge has seen it."""
    response = read_stream(event.frame for event in events)
    assert [event.type for event in events] == [
        data["type"] for data in read_frames(event.frame for event in events)
    ]
    if response["status"] != "failed":
        whole = json.loads(fold(events[-1]))
        assert whole == response
    outcome = terminal_outcome(events[-1].frame)
    assert outcome.status == response["status"]
    assert outcome.response_id == response["id"]
    assert (outcome.usage is None) == (response["usage"] is None)
    return response


def as_the_sdk_accumulates(events: list[Event]) -> list[Any]:
    """What openai-python's stream helper has put together of the deltas before the last event."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for data in read_frames(event.frame for event in events):
        state.handle_event(_events.validate_python(data))
    items = state._output_items  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - shown only at the end
    return said([items[index].model_dump(mode="json") for index in sorted(items)])


def said(output: list[dict[str, Any]]) -> list[Any]:
    """Of each item its kind, its id and its words, as far as the helper gathers them."""
    return [
        (
            item["type"],
            item["id"],
            item["arguments"] if item["type"] == "function_call" else None,
            [part.get("text") for part in item["content"]] if item["type"] == "message" else None,
        )
        for item in output
    ]


def test_plain_text_in_the_recorded_order() -> None:
    building = stream()
    events = building.created()
    events += building.in_progress()
    events += building.text("Good")
    events += building.text(" day")
    events += building.finish(USAGE)
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    response = judged(events)
    assert output_texts(response) == ["Good day"]
    assert response["completed_at"] == 1_800_000_000
    assert response["model"] == "upstream-model"
    assert response["usage"]["input_tokens_details"] == {
        "cached_tokens": 4,
        "cache_write_tokens": 1,
    }


def test_the_prelude_comes_by_itself_and_once() -> None:
    building = stream()
    events = building.text("a")
    assert building.created() == building.in_progress() == []
    judged(events + building.finish(None))


def test_every_kind_of_output() -> None:
    building = stream()
    steps: list[Callable[[], list[Event]]] = [
        lambda: building.reasoning_summary("first"),
        building.end_summary,
        lambda: building.reasoning_summary("second"),
        lambda: building.reasoning_text("raw"),
        lambda: building.encrypted_reasoning("sealed"),
        lambda: building.text("a"),
        lambda: building.annotation(UrlCitation("https://e.example", "t", 0, 1)),
        lambda: building.annotation(FileCitation("file_1", "f.pdf", 1)),
        lambda: building.text("b", [LogProb("b", -0.5, (98,), (TopLogProb("b", -0.5, (98,)),))]),
        lambda: building.refusal("no"),
        lambda: building.function_call("call_1", "f"),
        lambda: building.call_delta('{"a":'),
        lambda: building.call_delta("1}"),
        lambda: building.function_call("call_2", "g", "space"),
        lambda: building.custom_tool_call("call_3", "c"),
        lambda: building.call_delta("any text"),
        lambda: building.image(MadeImage("iVBORw0KGgo=")),
        lambda: building.text("end"),
        lambda: building.finish(USAGE, service_tier="priority", model="resolved"),
    ]
    events = [event for step in steps for event in step()]
    response = judged(events)
    reasoning, message, first, second, custom, image, last = response["output"]
    assert [part["text"] for part in reasoning["summary"]] == ["first", "second"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "raw"}]
    assert reasoning["encrypted_content"] == "sealed"
    assert "status" not in reasoning
    text, refusal = message["content"]
    assert (text["text"], refusal["refusal"]) == ("ab", "no")
    assert [entry["type"] for entry in text["annotations"]] == ["url_citation", "file_citation"]
    assert text["logprobs"][0]["top_logprobs"] == [{"token": "b", "logprob": -0.5, "bytes": [98]}]
    assert (first["arguments"], first["call_id"]) == ('{"a":1}', "call_1")
    assert (second["arguments"], second["namespace"]) == ("{}", "space")
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "any text")
    assert (image["status"], image["result"]) == ("completed", "iVBORw0KGgo=")
    assert last["content"][0]["text"] == "end"
    assert (response["service_tier"], response["model"]) == ("priority", "resolved")
    assert as_the_sdk_accumulates(events) == said(response["output"])


def test_an_answer_without_output() -> None:
    building = stream()
    assert judged(building.finish(USAGE))["output"] == []
    assert judged(stream().finish(None, incomplete="content_filter"))["output"] == []


def test_empty_deltas_open_nothing() -> None:
    building = stream()
    for told in (building.text, building.refusal, building.reasoning_summary):
        assert told("") == []
    assert building.reasoning_text("") == building.call_delta("") == []


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_incomplete_answer_ends_with_the_incomplete_item(reason: Any) -> None:  # noqa: ANN401 - a literal
    building = stream()
    events = building.text("whole") + building.end_item() + building.text("cut")
    events += building.finish(USAGE, incomplete=reason)
    response = judged(events)
    assert response["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_a_cut_call_is_not_completed_with_braces() -> None:
    building = stream()
    events = building.function_call("call_1", "f")
    response = judged(events + building.finish(None, incomplete="max_output_tokens"))
    assert response["output"][0]["arguments"] == ""


def test_a_failure_keeps_what_had_come() -> None:
    building = stream()
    events = building.text("whole") + building.end_item()
    events += building.reasoning_summary("thou")
    events += building.fail(FAILURE, USAGE)
    response = judged(events)
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert response["error"] == {"code": "server_error", "message": "The upstream went away."}
    assert response["usage"]["total_tokens"] == 15
    message, reasoning = response["output"]
    assert message["status"] == "completed"
    assert reasoning["summary"] == [{"type": "summary_text", "text": "thou"}]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (ApiError(429, "m", code="insufficient_quota"), "rate_limit_exceeded", 429),
        (ApiError(400, "m", code="x"), "invalid_prompt", 400),
        (ApiError(503, "m"), "server_error", 500),
        (ApiError(400, "m", code="invalid_base64_image"), "invalid_base64_image", 400),
    ],
)
def test_a_failed_answer_that_is_not_streamed(error: ApiError, code: str, status: int) -> None:
    events = stream().fail(error)
    assert judged(events)["error"]["code"] == code
    with pytest.raises(ApiError) as caught:
        fold(events[-1])
    assert (caught.value.status, caught.value.error.code) == (status, code)


def test_the_error_event_has_both_forms() -> None:
    error = ApiError(429, "slow down", code="rate_limit_exceeded", param="p", type="requests")
    event = stream().fail(error)[-2]
    (data,) = read_frames([event.frame])
    assert data["error"] == {
        "message": "slow down",
        "type": "requests",
        "param": "p",
        "code": "rate_limit_exceeded",
    }
    assert {**data, "type": "requests"} == {**data["error"], **data, "type": "requests"}


def test_nothing_follows_the_terminal_event() -> None:
    for failed in (False, True):
        building = stream()
        assert building.fail(FAILURE) if failed else building.finish(None)
        assert building.finish(None) == building.fail(FAILURE) == building.in_progress() == []
        assert building.text("x") == building.refusal("x") == building.reasoning_text("x") == []
        assert building.function_call("c", "f") == building.call_delta("x") == []
        assert building.reasoning() == building.end_item() == building.end_summary() == []
        assert building.encrypted_reasoning("x") == building.reasoning_summary("x") == []
        assert building.annotation(FileCitation("f", "f", 0)) == []
        assert building.custom_tool_call("c", "f") == building.image(NO_IMAGE) == []


def test_arguments_need_a_call() -> None:
    with pytest.raises(ValueError, match="without a call"):
        stream().call_delta("{}")


def test_ids_are_unlike_each_other() -> None:
    made = [stream() for _ in range(50)]
    answers = [judged(building.text("x") + building.finish(None)) for building in made]
    ids = {answer["id"] for answer in answers} | {answer["output"][0]["id"] for answer in answers}
    assert len(ids) == 100
    assert {len(name.partition("_")[2]) for name in ids} == {48}
    assert len({made[0].new_call_id() for _ in range(50)}) == 50


# ------------------------------------------------------------------------------------------- echo


def test_the_echo_of_a_bare_request() -> None:
    response = judged(stream().finish(None))
    assert response["store"] is False
    assert response["tools"] == []
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert response["reasoning"] == {"effort": None, "summary": None}
    assert (response["temperature"], response["top_p"]) == (1.0, 1.0)
    assert (response["tool_choice"], response["truncation"]) == ("auto", "disabled")
    assert (response["user"], response["metadata"]) == (None, {})


def test_the_echo_of_a_full_request() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "minimum": 1.5}}}
    tools = [
        {"type": "function", "name": "f", "parameters": schema, "strict": True},
        {"type": "function", "name": "bare"},
        {"type": "custom", "name": "c", "description": "d"},
        {
            "type": "namespace",
            "name": "n",
            "description": "",
            "tools": [{"type": "function", "name": "g"}],
        },
        {"type": "web_search", "filters": {"allowed_domains": ["e.example"]}},
    ]
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    response = judged(
        stream(
            tools=tools,
            tool_choice={"type": "function", "name": "f"},
            text={"format": form, "verbosity": "low"},
            reasoning={"effort": "low", "summary": "auto"},
            instructions="be kind",
            temperature=0,
            top_p=0.5,
            parallel_tool_calls=False,
            max_output_tokens=100,
            metadata={"k": "v"},
            user="u",
            safety_identifier="s",
            prompt_cache_key="p",
            store=True,
            truncation="auto",
        ).finish(None)
    )
    function, bare, custom, namespace, hosted = response["tools"]
    assert function == tools[0] | {"description": None}
    assert bare == tools[1] | {"description": None, "parameters": None, "strict": None}
    assert custom == tools[2] | {"format": {"type": "text"}}
    assert namespace["tools"][0]["name"] == "g"
    assert hosted == tools[4]
    assert response["text"] == {"format": form, "verbosity": "low"}
    assert response["reasoning"] == {"effort": "low", "summary": "auto"}
    assert response["tool_choice"] == {"type": "function", "name": "f"}
    assert (response["temperature"], response["top_p"]) == (0, 0.5)
    assert response["parallel_tool_calls"] is False
    assert response["store"] is False, "it says what is done"
    assert (response["instructions"], response["metadata"]) == ("be kind", {"k": "v"})
    assert (response["user"], response["safety_identifier"]) == ("u", "s")
    assert (response["prompt_cache_key"], response["truncation"]) == ("p", "auto")


def test_a_pretty_printed_request_stays_on_one_line_of_data() -> None:
    fields = {
        "model": "m",
        "tools": [{"type": "web_search", "user_location": {"type": "approximate", "city": "a\nb"}}],
        "tool_choice": {"type": "web_search_preview"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    }
    body = json.dumps(fields, indent=2).replace("\n", "\r\n").encode()
    made = ResponseStream(echo(decode_parameters(decode_request(body)), store=False), "m")
    response = judged(made.finish(None))
    assert response["tools"] == fields["tools"]
    assert response["tool_choice"] == fields["tool_choice"]


@pytest.mark.parametrize("tier", [None, "auto", "default", "flex", "scale", "priority"])
def test_the_tier_is_what_was_asked_until_it_is_known(tier: str | None) -> None:
    events = stream(service_tier=tier).finish(None)
    begun, ended = read_frames([events[0].frame, events[-1].frame])
    assert begun["response"]["service_tier"] == (tier or "auto")
    assert ended["response"]["service_tier"] == "default"


def test_an_answer_is_judged_as_a_whole_too() -> None:
    building = stream()
    events = building.text("x") + building.finish(USAGE)
    body = fold(events[-1])
    check_answer(json.loads(body))
    assert answer_outcome(body).usage == USAGE


# ------------------------------------------------------------------------------------- properties

_text = st.text(max_size=6)
_steps = st.one_of(
    st.tuples(st.just("text"), _text),
    st.tuples(st.just("refusal"), _text),
    st.tuples(st.just("reasoning_summary"), _text),
    st.tuples(st.just("reasoning_text"), _text),
    st.tuples(st.just("encrypted_reasoning"), _text),
    st.tuples(st.sampled_from(["end_item", "end_summary", "reasoning", "created", "annotation"])),
    st.tuples(st.sampled_from(["function_call", "custom_tool_call"]), _text),
    st.tuples(st.just("call_delta"), _text.map(lambda text: json.dumps({"text": text}))),
)
_endings = st.sampled_from(["completed", "incomplete", "failed"])


def perform(building: ResponseStream, steps: list[tuple[str, ...]]) -> Iterator[Event]:
    calling = False
    for count, (name, *arguments) in enumerate(steps):
        if name == "annotation":
            yield from building.annotation(FileCitation("f", "f", count))
        elif name in {"function_call", "custom_tool_call"}:
            yield from getattr(building, name)(f"call_{count}", *arguments)
        elif name != "call_delta" or calling:
            yield from getattr(building, name)(*arguments)
        calling = name in {"function_call", "custom_tool_call"}


@given(st.lists(_steps, max_size=12), _endings)
def test_any_order_of_telling_is_a_whole_stream(steps: list[tuple[str, ...]], ending: str) -> None:
    building = stream()
    events = list(perform(building, steps))
    if ending == "failed":
        events += building.fail(FAILURE)
    elif ending == "incomplete":
        events += building.finish(USAGE, incomplete="max_output_tokens")
    else:
        events += building.finish(USAGE)
    response = judged(events)
    told = [step[1] for step in steps if step[0] == "text"]
    assert "".join(output_texts(response)) == "".join(told)
    if ending == "completed":
        assert as_the_sdk_accumulates(events) == said(response["output"])
