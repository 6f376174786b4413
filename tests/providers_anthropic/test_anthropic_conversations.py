"""Input items as turns of the Messages API."""

import json

import msgspec
import pytest

from anthropic_wire import (
    SONNET,
    answered,
    call_block,
    deployment,
    end,
    sent,
    start,
    text_block,
    thinking_block,
    translator,
)
from event_grammar import JsonObject
from sluicegate.api.sealed import seal
from sluicegate.model import ApiError

OPUS = "claude-opus-5"
DROPPING = msgspec.structs.replace(deployment(), unsupported_parameters="Drop")


def call(call_id: str, name: str = "f", arguments: str = "{}") -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def result(call_id: str, output: str = "ok") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(role: str, text: str) -> JsonObject:
    return {"role": role, "content": text}


def turns(*items: JsonObject, model: str = SONNET) -> list[tuple[str, list[str]]]:
    """Role and blocks of each turn, each block in a word or two."""
    body = sent({"input": list(items)}, model)
    return [
        (message["role"], [shown(block) for block in message["content"]])
        for message in body["messages"]
    ]


def shown(block: JsonObject) -> str:
    match block["type"]:
        case "tool_use":
            return f"call {block['id']}"
        case "tool_result":
            return f"result {block['tool_use_id']}"
        case "thinking" | "redacted_thinking":
            return block["type"]
        case kind:
            return block[kind]


def refused(*items: JsonObject) -> str | None:
    with pytest.raises(ApiError) as caught:
        translator({"input": list(items)}).request()
    assert caught.value.status == 400
    return caught.value.error.param


# --------------------------------------------------------------------------------------- the order


def test_one_role_twice_is_one_turn() -> None:
    assert turns(said("user", "a"), said("user", "b"), said("assistant", "c")) == [
        ("user", ["a", "b"]),
        ("assistant", ["c"]),
    ]


def test_parallel_calls_and_their_results_are_one_turn_each() -> None:
    assert turns(said("user", "q"), call("1"), call("2"), result("1"), result("2")) == [
        ("user", ["q"]),
        ("assistant", ["call 1", "call 2"]),
        ("user", ["result 1", "result 2"]),
    ]


def test_results_come_in_the_order_of_the_calls_and_before_any_text() -> None:
    items = (
        said("user", "q"),
        call("1"),
        call("2"),
        said("user", "and?"),
        result("2"),
        result("1"),
    )
    assert turns(*items)[2:] == [("user", ["result 1", "result 2", "and?"])]


def test_an_output_may_stand_before_its_call() -> None:
    assert turns(result("1"), said("user", "q"), call("1"))[1:] == [
        ("assistant", ["call 1"]),
        ("user", ["result 1"]),
    ]


def test_calls_one_after_another_are_turns_of_their_own() -> None:
    items = (said("user", "q"), call("1"), result("1"), call("2"), result("2"))
    assert [role for role, _ in turns(*items)] == ["user", "assistant", "user", "assistant", "user"]


def test_text_before_a_call_stays_in_its_turn() -> None:
    items = (said("user", "q"), said("assistant", "I look."), call("1"), result("1"))
    assert turns(*items)[1] == ("assistant", ["I look.", "call 1"])


def test_ids_are_of_the_characters_that_the_api_takes_and_of_one_call_each() -> None:
    items = (call("a.b"), call("a_b"), call("a_b"), result("a.b"), result("a_b", "2"))
    assert turns(said("user", "q"), *items, result("a_b", "3"))[1:] == [
        ("assistant", ["call a_b", "call a_b_2", "call a_b_3"]),
        ("user", ["result a_b", "result a_b_2", "result a_b_3"]),
    ]


def test_a_call_with_two_outputs_is_refused() -> None:
    assert refused(said("user", "q"), call("1"), result("1"), result("1")) == "input[3].call_id"


def test_two_calls_with_one_output_are_refused() -> None:
    assert refused(said("user", "q"), call("1"), call("1"), result("1")) == "input"


def test_arguments_pass_as_they_are() -> None:
    arguments = '{"n": 1.0, "big": 12345678901234567890123, "s": "\\u00e9"}'
    made = translator({"input": [said("user", "q"), call("1", arguments=arguments), result("1")]})
    assert arguments.encode() in made.request().body


def test_blank_texts_are_left_out() -> None:
    assert turns(said("user", "a"), said("assistant", " \n"), said("user", "")) == [("user", ["a"])]


@pytest.mark.parametrize(
    "items", [[], [said("assistant", "Hello!")], [said("developer", "d")], [said("user", " ")]]
)
def test_a_conversation_begins_with_the_user(items: list[JsonObject]) -> None:
    assert turns(*items)[0] == ("user", ["(The conversation begins.)"])


def test_an_answer_that_is_to_go_on_does_not_end_in_white_space() -> None:
    assert turns(said("user", "q"), said("assistant", "Well, "))[-1] == ("assistant", ["Well,"])


# -------------------------------------------------------------------------------------- the system


def test_the_systems_first_words_go_to_the_system() -> None:
    body = sent({"input": [said("system", "a"), said("developer", "b"), said("user", "c")]})
    assert [block["text"] for block in body["system"]] == ["a", "b"]


def test_later_words_stay_where_they_are_if_the_model_takes_them_there() -> None:
    items = (said("user", "a"), said("developer", "b"), said("assistant", "c"), said("user", "d"))
    assert turns(*items, model=OPUS) == [
        ("user", ["a"]),
        ("system", ["b"]),
        ("assistant", ["c"]),
        ("user", ["d"]),
    ]
    assert turns(*items) == [("user", ["a"]), ("assistant", ["c"]), ("user", ["d"])]


@pytest.mark.parametrize("after", ["user", "assistant"])
def test_later_words_that_stand_elsewhere_move_up(after: str) -> None:
    items = [said("user", "a"), said("assistant", "b"), said("system", "s"), said(after, "c")]
    body = sent({"input": items, "instructions": "i"}, OPUS)
    assert [block["text"] for block in body["system"]] == ["i", "s"]
    assert [message["role"] for message in body["messages"]] == (
        ["user", "assistant", "user"] if after == "user" else ["user", "assistant"]
    )


def test_words_between_a_call_and_its_result_follow_the_result() -> None:
    items = (said("user", "q"), call("1"), said("developer", "d"), result("1"))
    assert turns(*items, model=OPUS)[1:] == [
        ("assistant", ["call 1"]),
        ("user", ["result 1"]),
        ("system", ["d"]),
    ]


# --------------------------------------------------------------------------------------- reasoning


def reasoning(content: str | None) -> JsonObject:
    return {"type": "reasoning", "summary": [], "encrypted_content": content}


def sealed(model: str = SONNET, provider: str = "anthropic", signature: str = "c2ln") -> str:
    block = {"type": "thinking", "thinking": "t", "signature": signature}
    return seal(provider, model, json.dumps(block).encode())


THINKING = {"reasoning": {"effort": "low"}}


def test_what_a_client_sends_back_is_what_the_api_said() -> None:
    stream = (
        start()
        + thinking_block(0, "Let me ", "see.", signature="c2ln")
        + text_block(1, "I look.")
        + call_block(2, "f", '{"a": 1}')
        + end("tool_use")
    )
    output = answered(stream, body={"tools": [{"type": "function", "name": "f"}]} | THINKING)[
        "output"
    ]
    body = sent({"input": [said("user", "q"), *output, result("toolu_2", "done")], **THINKING})
    assert body["thinking"]["type"] == "enabled"
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_2", "content": "done"}],
        },
    ]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "gAAAAfernet",
        sealed(model="claude-opus-5"),
        sealed(provider="bedrock"),
        sealed(signature=""),
        seal("anthropic", SONNET, b"{"),
        seal("anthropic", SONNET, b'{"type":"text","text":"t"}'),
    ],
)
def test_foreign_and_unsigned_reasoning_is_left_out(content: str | None) -> None:
    items = [said("user", "q"), reasoning(content), said("assistant", "a"), said("user", "r")]
    body = sent({"input": items, **THINKING})
    assert body["messages"][1]["content"] == [{"type": "text", "text": "a"}]


def test_thinking_does_not_end_a_turn() -> None:
    items = [said("user", "q"), reasoning(sealed()), said("user", "r")]
    body = sent({"input": items, **THINKING})
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_a_model_that_does_not_think_now_gets_no_thinking() -> None:
    items = [said("user", "q"), reasoning(sealed()), said("assistant", "a"), said("user", "r")]
    assert "thinking" not in json.dumps(sent({"input": items}))


def test_a_tool_turn_without_its_thinking_goes_on_without() -> None:
    items = [said("user", "q"), call("1"), result("1")]
    made = translator({"input": items, **THINKING})
    assert "thinking" not in json.loads(made.request().body)
    assert made.dropped == ("reasoning.effort",)
    signed = [said("user", "q"), reasoning(sealed()), call("1"), result("1")]
    assert "thinking" in sent({"input": signed, **THINKING})
    adaptive = translator({"input": items, **THINKING}, "claude-opus-4-6")
    assert "thinking" in json.loads(adaptive.request().body)
    assert adaptive.dropped == ()


# ------------------------------------------------------------------------------------- other items


def test_searches_in_the_history_are_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert turns(said("user", "a"), search, said("assistant", "b")) == [
        ("user", ["a"]),
        ("assistant", ["b"]),
    ]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "computer_call", "id": "cu_1"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "compaction_trigger"},
    ],
)
def test_items_that_the_api_does_not_have(item: JsonObject) -> None:
    assert refused(said("user", "a"), item) == "input[1]"
    made = translator({"input": [said("user", "a"), item]}, of=DROPPING)
    made.request()
    assert made.dropped == ("input[1]",)


def test_calls_of_custom_and_namespaced_tools() -> None:
    items = [
        said("user", "q"),
        {"type": "custom_tool_call", "call_id": "1", "name": "patch", "input": 'a"b'},
        call("2", "f") | {"namespace": "files"},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "done"},
        result("2"),
    ]
    first, second = sent({"input": items})["messages"][1]["content"]
    assert (first["name"], first["input"]) == ("patch", {"input": 'a"b'})
    assert second["name"] == "files__f"


def test_a_history_of_calls_has_tools_that_may_not_be_called() -> None:
    items = [said("user", "q"), call("1", "f g"), result("1")]
    body = sent({"input": items})
    assert body["tools"] == [{"name": "f_g", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
