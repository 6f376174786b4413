"""Input items as messages of a chat completion."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_params import check_params
from chat_wire import (
    COMPATIBLE,
    DROPPING,
    FUNCTION,
    MODEL,
    OPENAI,
    answered,
    call,
    end,
    sent,
    start,
    thoughts,
    translator,
)
from sluicegate.api.sealed import seal
from sluicegate.config import Deployment
from sluicegate.model import ApiError

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
USER: dict[str, Any] = {"role": "user", "content": "weather?"}


def messages(*items: dict[str, Any], of: Deployment = COMPATIBLE, **body: object) -> list[Any]:
    made = sent({"input": list(items), **body}, of)
    check_params(made)
    return made["messages"]


def function_call(call_id: str, arguments: str = "{}", **more: str) -> dict[str, Any]:
    made = {"type": "function_call", "call_id": call_id, "name": "weather", "arguments": arguments}
    return made | more


def output(call_id: str, said: object = "sunny") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def said_call(call_id: str, arguments: str = "{}", name: str = "weather") -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def refused(*items: dict[str, Any], of: Deployment = COMPATIBLE) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": list(items)}, of).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


# -------------------------------------------------------------------------------------------- words


def test_what_the_system_says_first_is_one_message() -> None:
    told = messages(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        USER,
        {"role": "developer", "content": "later"},
        instructions="i",
    )
    assert told == [
        {"role": "system", "content": "i\n\ns\n\nd"},
        USER,
        {"role": "system", "content": "later"},
    ]


def test_turns() -> None:
    told = messages(
        {"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "input_text", "text": "two"}]},
        {"type": "message", "role": "assistant", "content": "three"},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "four", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"role": "user", "content": "five"},
    )
    assert told == [
        {"role": "user", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "three\n\nfour\n\nno"},
        {"role": "user", "content": "five"},
    ]


def test_nothing_is_said_by_empty_messages() -> None:
    told = messages(
        {"role": "system", "content": ""},
        {"role": "user", "content": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": ""}]},
        USER,
        instructions="",
    )
    assert told == [USER]


# ------------------------------------------------------------------------------- images and files


def test_images() -> None:
    content = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
    ]
    assert messages({"role": "user", "content": content})[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
    ]


@pytest.mark.parametrize(("of", "detail"), [(COMPATIBLE, "high"), (OPENAI, "original")])
def test_the_newest_detail_is_for_openai(of: Deployment, detail: str) -> None:
    content = [{"type": "input_image", "image_url": PNG, "detail": "original"}]
    (part,) = messages({"role": "user", "content": content}, of=of)[0]["content"]
    assert part["image_url"]["detail"] == detail


@pytest.mark.parametrize(
    ("part", "file"),
    [
        (
            {"file_data": PDF, "filename": "a.pdf"},
            {"file_data": PDF, "filename": "a.pdf"},
        ),
        (
            {"file_data": "JVBERi0=", "filename": "a.pdf"},
            {"file_data": PDF, "filename": "a.pdf"},
        ),
        (
            {"file_data": "AAAA"},
            {"file_data": "data:application/octet-stream;base64,AAAA"},
        ),
        ({"file_url": PDF}, {"file_data": PDF}),
    ],
)
def test_files(part: dict[str, Any], file: dict[str, Any]) -> None:
    content = [{"type": "input_file", **part}]
    assert messages({"role": "user", "content": content})[0]["content"] == [
        {"type": "file", "file": file}
    ]


@pytest.mark.parametrize(
    ("part", "code", "where"),
    [
        ({"type": "input_image", "file_id": "file_1"}, "unsupported_parameter", ".file_id"),
        ({"type": "input_file", "file_id": "file_1"}, "unsupported_parameter", ".file_id"),
        (
            {"type": "input_file", "file_url": "https://a.example/b.pdf"},
            "unsupported_parameter",
            ".file_url",
        ),
        ({"type": "input_image", "image_url": "ftp://a"}, "invalid_value", ".image_url"),
        (
            {"type": "input_image", "image_url": "data:text/plain;base64,AAAA"},
            "unsupported_image_media_type",
            ".image_url",
        ),
        ({"type": "input_image"}, "invalid_value", ".image_url"),
        ({"type": "input_file"}, "invalid_value", ""),
        ({"type": "input_file", "file_data": "%%"}, "invalid_value", ".file_data"),
    ],
)
def test_what_can_not_be_read(part: dict[str, Any], code: str, where: str) -> None:
    item = {"role": "user", "content": [part]}
    assert refused(item) == (code, f"input[0].content[0]{where}")
    assert refused(item, of=DROPPING)[0] == code  # what was said is never dropped


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
def test_only_the_user_has_images(role: str) -> None:
    item = {"role": role, "content": [{"type": "input_image", "image_url": PNG}]}
    assert refused(item) == ("invalid_value", "input[0].content[0]")


# ------------------------------------------------------------------------------------------- calls


def test_calls_and_results() -> None:
    told = messages(
        USER,
        {"role": "assistant", "content": "I look."},
        function_call("c1", '{"city":"A"}'),
        function_call("c2", ""),
        output("c2", "rainy"),
        output("c1", [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]),
        {"role": "user", "content": "and?"},
    )
    assert told == [
        USER,
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [said_call("c1", '{"city":"A"}'), said_call("c2")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a\n\nb"},
        {"role": "tool", "tool_call_id": "c2", "content": "rainy"},
        {"role": "user", "content": "and?"},
    ]


def test_one_call_after_the_other() -> None:
    told = messages(USER, function_call("c1"), output("c1"), function_call("c2"), output("c2", ""))
    assert [message["role"] for message in told] == ["user", *["assistant", "tool"] * 2]
    assert told[1]["content"] is None
    assert told[4]["content"] == ""


def test_ids_may_come_again() -> None:
    told = messages(
        USER,
        function_call("c"),
        output("c", "first"),
        {"role": "user", "content": "again"},
        function_call("c"),
        output("c", "second"),
    )
    assert [m["content"] for m in told if m["role"] == "tool"] == ["first", "second"]


def test_calls_of_other_tools() -> None:
    told = messages(
        USER,
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        function_call("c2", namespace="crm"),
        output("c2"),
        function_call("c3", name="odd.name"),
        output("c3"),
    )
    called = [one for m in told for one in m.get("tool_calls", ())]
    assert json.loads(called[0]["function"]["arguments"]) == {"input": 'a "b"'}
    assert [one["function"]["name"] for one in called] == ["patch", "crm__weather", "odd_name"]


def test_an_image_in_a_result_follows_in_a_message_of_the_user() -> None:
    told = messages(
        USER,
        function_call("c1"),
        function_call("c2"),
        output(
            "c1", [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": PNG}]
        ),
        output("c2"),
        {"role": "user", "content": "and?"},
    )
    assert [m["role"] for m in told] == ["user", "assistant", "tool", "tool", "user"]
    assert told[2]["content"].startswith("t\n\n(")
    assert told[4]["content"] == [
        {"type": "text", "text": "Output of the call c1:"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "text", "text": "and?"},
    ]


def test_an_output_too_many() -> None:
    item = (USER, function_call("c1"), output("c1"), output("c1"))
    assert refused(*item) == ("invalid_value", "input[3].call_id")


def test_other_items() -> None:
    told = messages({"type": "web_search_call", "id": "ws_1", "status": "completed"}, USER)
    assert told == [USER]
    opaque = {"type": "computer_call", "call_id": "c"}
    assert refused(opaque, USER) == ("unsupported_parameter", "input[0]")
    made = translator({"input": [opaque, USER]}, DROPPING)
    assert json.loads(made.request().body)["messages"] == [USER]
    assert made.dropped == ("input[0]",)


# --------------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_reasoning_goes_back_while_tools_are_called(member: str) -> None:
    response = answered(
        start()
        + thoughts("Let me ", "see.", member=member)
        + call(0, "weather", "{}", id_="c1")
        + end("tool_calls"),
        body={"tools": [FUNCTION]},
    )
    reasoning, called = response["output"]
    turn = (USER, reasoning, called, output("c1"))
    told = messages(*turn)
    assert told[1][member] == "Let me see."
    assert told[1]["tool_calls"] == [said_call("c1")]
    # An answered question's reasoning is of no use to the next one.
    after = messages(*turn, {"role": "assistant", "content": "Sunny."}, USER)
    assert not any(member in message for message in after)
    without_content = {k: v for k, v in reasoning.items() if k != "content"}
    assert messages(USER, without_content, called, output("c1")) == told


@pytest.mark.parametrize(
    "sealed",
    [
        None,
        "gAAAA",
        seal("openai", "another", b'["reasoning","x"]'),
        seal("anthropic", MODEL, b'["reasoning","x"]'),
        seal("openai", MODEL, b"{"),
        seal("openai", MODEL, b'["elsewhere","x"]'),
    ],
)
def test_reasoning_of_others_is_left_out(sealed: str | None) -> None:
    item: dict[str, Any] = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": sealed,
    }
    told = messages(USER, item, function_call("c1"), output("c1"))
    assert told[1].keys() == {"role", "content", "tool_calls"}


def test_reasoning_about_text_is_left_out() -> None:
    item: dict[str, Any] = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal("openai", MODEL, b'["reasoning","x"]'),
    }
    told = messages(USER, item, {"role": "assistant", "content": "Sunny."})
    assert told == [USER, {"role": "assistant", "content": "Sunny."}]


# ------------------------------------------------------------------------------------ any history

ITEMS = st.lists(
    st.one_of(
        st.sampled_from(["user", "assistant", "system", "developer"]).map(
            lambda role: {"role": role, "content": "word"}
        ),
        st.integers(0, 4).map(lambda n: function_call(f"c{n}")),
        st.integers(0, 4).map(lambda n: output(f"c{n}")),
        st.just({"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}),
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(items=ITEMS)
def test_results_follow_their_calls_in_any_history(items: list[dict[str, Any]]) -> None:
    try:
        told = messages(*items)
    except ApiError:  # an output too many, a call without one
        return
    open_calls: list[str] = []
    for message in told:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0)
            continue
        assert open_calls == []
        open_calls = [one["id"] for one in message.get("tool_calls", ())]
    assert open_calls == []
    roles = [message["role"] for message in told]
    assert not any(a == b != "tool" for a, b in itertools.pairwise(roles) if a != "assistant")
