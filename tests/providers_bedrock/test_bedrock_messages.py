"""What a model behind Bedrock is told: messages, content and reasoning that the service accepts."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_calls import (
    CLAUDE_4,
    CLAUDE_45,
    LLAMA,
    MISTRAL,
    PNG,
    WEATHER,
    call,
    refused,
    result,
    sealed,
    sent,
    text,
    translator,
    user,
)
from event_grammar import JsonObject
from sluicegate.api.sealed import seal

# -------------------------------------------------------------------------------------- messages


def test_a_string_is_one_user_message() -> None:
    assert sent({"input": "hello"}) == {
        "messages": [{"role": "user", "content": [{"text": "hello"}]}]
    }


def test_instructions_and_system_items_are_the_system_prompt_in_order() -> None:
    items = [
        {"role": "system", "content": "one"},
        user(text("hello")),
        {"role": "developer", "content": [text("two")]},
    ]
    body = sent({"instructions": "zero", "input": items})
    assert [block["text"] for block in body["system"]] == ["zero", "one", "two"]
    assert len(body["messages"]) == 1


def test_roles_alternate_and_blank_texts_are_left_out() -> None:
    items = [
        user(text("a"), text("  "), text("b")),
        user(text("c")),
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [{"type": "output_text", "text": "d"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "e"}]},
        user(text("f")),
    ]
    messages = sent({"input": items})["messages"]
    shown = [(m["role"], [block["text"] for block in m["content"]]) for m in messages]
    assert shown == [("user", ["a", "b", "c"]), ("assistant", ["d", "e"]), ("user", ["f"])]


@pytest.mark.parametrize(
    "items", [[], [{"role": "system", "content": "s"}], [{"role": "assistant", "content": "a"}]]
)
def test_the_user_begins_even_where_nobody_did(items: list[JsonObject]) -> None:
    assert sent({"input": items})["messages"][0]["role"] == "user"


@pytest.mark.parametrize(("model", "end"), [(CLAUDE_4, "Well,"), (LLAMA, "Well, \n")])
@pytest.mark.parametrize("more", [{}, {"prompt_cache_breakpoint": {"mode": "explicit"}}])
def test_claude_goes_on_with_no_answer_that_ends_in_white_space(
    model: str, end: str, more: JsonObject
) -> None:
    part = text("Well, \n") | more
    items = [user(text("q ")), {"role": "assistant", "content": [part]}]
    messages = sent({"input": items}, model)["messages"]
    assert messages[0]["content"][0]["text"] == "q "
    assert messages[-1]["content"][0]["text"] == end
    assert len(messages[-1]["content"]) == (2 if more and model == CLAUDE_4 else 1)


def test_parallel_results_come_together_right_after_their_calls() -> None:
    items = [
        user(text("weather?")),
        call("c1", '{"city": "Rome"}'),
        call("c2"),
        user(text("be quick")),
        result("c2", "rain"),
        result("c1", "sun"),
        {"role": "assistant", "content": "done"},
        call("c3", ""),
        result(
            "c3",
            [text("cold"), {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}],
        ),
    ]
    messages = sent({"input": items, "tools": [WEATHER]})["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[1]["content"][0]["toolUse"]["input"] == {"city": "Rome"}
    assert [next(iter(block)) for block in messages[2]["content"]] == [
        "toolResult",
        "toolResult",
        "text",
    ]
    assert messages[2]["content"][0]["toolResult"]["content"] == [{"text": "sun"}]
    assert messages[3]["content"][1]["toolUse"]["input"] == {}
    last = messages[4]["content"][0]["toolResult"]["content"]
    assert [next(iter(block)) for block in last] == ["text", "image"]


@given(order=st.permutations(["c1", "c2", "c3", "o1", "o2", "o3", "u1", "a1"]))
def test_any_order_of_calls_and_results_is_accepted(order: list[str]) -> None:
    made: dict[str, JsonObject] = {
        **{f"c{number}": call(f"id{number}") for number in (1, 2, 3)},
        **{f"o{number}": result(f"id{number}") for number in (1, 2, 3)},
        "u1": user(text("words")),
        "a1": {"role": "assistant", "content": "words"},
    }
    sent({"input": [made[name] for name in order], "tools": [WEATHER]})


def test_history_with_calls_but_without_tools_becomes_text() -> None:
    """Tool blocks without a toolConfig are refused, and nobody offers a tool to be called."""
    items = [user(text("?")), call("c", '{"city":"Rome"}'), result("c", "sunny"), user(text("ok"))]
    for fields in ({}, {"tools": [WEATHER], "tool_choice": "none"}):
        body = sent({"input": items, **fields})
        assert "toolConfig" not in body
        said = json.dumps(body["messages"])
        assert "Rome" in said
        assert "sunny" in said


def test_ids_that_bedrock_would_refuse_are_replaced_alike_on_both_sides() -> None:
    items = [call("call|1 é"), result("call|1 é"), call("plain"), result("plain")]
    messages = sent({"input": items, "tools": [WEATHER]})["messages"]
    assert messages[3]["content"][0]["toolUse"]["toolUseId"] == "plain"
    sent({"input": items, "tools": [WEATHER]}, MISTRAL)


@pytest.mark.parametrize("model", [CLAUDE_4, MISTRAL])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("call_id", ["call_0", "a|b", "abcdefghi", "x" * 64])
def test_an_id_that_several_calls_have_is_of_one_call_each(
    model: str, call_id: str, *, apart: bool
) -> None:
    calls = [call(call_id), call(call_id, '{"city":"Rome"}'), call("call_0_2")]
    results = [result(call_id, "one"), result(call_id, "two"), result("call_0_2", "three")]
    items = [*calls, *results]
    if apart:
        items = [item for pair in zip(calls, results, strict=True) for item in pair]
    blocks = [
        block
        for message in sent({"input": items, "tools": [WEATHER]}, model)["messages"]
        for block in message["content"]
    ]
    used = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    answers = [block["toolResult"] for block in blocks if "toolResult" in block]
    assert len(set(used)) == 3
    assert [(answer["toolUseId"], answer["content"][0]["text"]) for answer in answers] == list(
        zip(used, ["one", "two", "three"], strict=True)
    )


@pytest.mark.parametrize("tools", [[WEATHER], []])
def test_as_many_outputs_as_calls_have_an_id(tools: list[JsonObject]) -> None:
    more = {"input": [call("c"), result("c"), result("c")], "tools": tools}
    assert refused(more).error.param == "input[2].call_id"
    fewer = {"input": [call("c"), call("c"), result("c")], "tools": tools}
    assert refused(fewer).error.param == "input"


def test_names_in_a_history_that_no_tool_could_have_are_made_legal() -> None:
    items = [call("c", name="functions.get weather" + "x" * 100), result("c")]
    sent({"input": items, "tools": [WEATHER]})


def test_custom_and_namespace_calls_come_back_under_their_upstream_names() -> None:
    items = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'say "hi"'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        call("c2", namespace="mail"),
        result("c2"),
    ]
    tools = [
        {"type": "custom", "name": "patch"},
        {"type": "namespace", "name": "mail", "tools": [WEATHER]},
    ]
    body = sent({"input": items, "tools": tools})
    uses = [
        block["toolUse"]
        for message in body["messages"]
        for block in message["content"]
        if "toolUse" in block
    ]
    assert (uses[0]["name"], uses[0]["input"]) == ("patch", {"input": 'say "hi"'})
    assert uses[1]["name"] == "mail__weather"
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == [
        "patch",
        "mail__weather",
    ]


# --------------------------------------------------------------------------------------- content


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (f"data:image/png;base64,{PNG}", "png"),
        (f"data:image/jpeg;base64,{PNG}", "png"),  # the bytes are right, the label is not
        ("data:image/jpg;base64,AAAA", "jpeg"),
        ("DATA:image/GIF;charset=x;base64,AAAA", "gif"),
        ("data:image/webp;base64,AA%3D%3D", "webp"),
    ],
)
def test_images(data: str, kind: str) -> None:
    body = sent({"input": [user({"type": "input_image", "image_url": data, "detail": "low"})]})
    assert body["messages"][0]["content"][0]["image"]["format"] == kind


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image", "image_url": "https://example.com/a.png"}, "image_url"),
        ({"type": "input_image", "image_url": "s3://bucket/key.png"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,é"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/tiff;base64,AAAA"}, "image_url"),
        ({"type": "input_image", "file_id": "file-1"}, "file_id"),
        ({"type": "input_file", "file_id": "file-1"}, "file_id"),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "file_url"),
        ({"type": "input_file", "file_data": "AAAA"}, "file_data"),
        ({"type": "input_file", "file_data": "data:text/plain,"}, "file_data"),
        ({"type": "input_file", "file_data": "!", "filename": "a.pdf"}, "file_data"),
    ],
)
def test_content_that_would_have_to_be_fetched_or_guessed_is_refused(
    part: JsonObject, param: str
) -> None:
    assert refused({"input": [user(part)]}, drop=True).error.param == f"input[0].content[0].{param}"


def test_documents_have_safe_names_each_once_and_a_text_beside_them() -> None:
    pdf = "data:application/pdf;base64,JVBERi0="
    octets = "data:application/octet-stream;base64,AA=="
    parts = [
        {"type": "input_file", "file_data": pdf, "filename": "../re_port  v1.pdf"},
        {"type": "input_file", "file_data": pdf, "filename": "re_port v1.pdf"},
        {"type": "input_file", "file_data": "JVBERi0=", "filename": "x.MD"},
        {"type": "input_file", "file_data": octets, "filename": "n.md"},
        {"type": "input_file", "file_url": "data:text/csv,a,b"},
        {"type": "input_file", "file_data": "data:text/x-python;base64,AAAA", "filename": "é"},
    ]
    content = sent({"input": [user(*parts)]})["messages"][0]["content"]
    documents = [block["document"] for block in content if "document" in block]
    assert [document["name"] for document in documents] == [
        "re port v1",
        "re port v1 [2]",
        "x",
        "n",
        "document",
        "document [2]",
    ]
    assert [document["format"] for document in documents] == [
        "pdf",
        "pdf",
        "md",
        "md",
        "csv",
        "txt",
    ]
    assert base64.b64decode(documents[4]["source"]["bytes"]) == b"a,b"


def test_cache_breakpoints_are_cache_points_where_the_model_has_them() -> None:
    marked = text("long") | {"prompt_cache_breakpoint": {"mode": "explicit"}}
    fields = {
        "input": [{"role": "system", "content": [marked]}, user(*[marked] * 6)],
        "prompt_cache_retention": "24h",
    }
    body = sent(fields)
    points = [b["cachePoint"] for b in body["messages"][0]["content"] if "cachePoint" in b]
    assert points == [{"type": "default", "ttl": "1h"}] * 4
    assert body["system"] == [{"text": "long"}]
    assert "cachePoint" not in json.dumps(sent(fields, LLAMA))


def test_items_without_a_form_here_are_refused_or_dropped_by_name() -> None:
    fields = {"input": [user(text("hi")), {"type": "shell_call", "id": "sh_1"}]}
    assert refused(fields).error.param == "input[1]"
    made = translator(fields, drop=True)
    made.request()
    assert made.dropped == ("input[1]",)
    compaction = {"input": [{"type": "compaction", "encrypted_content": "x"}]}
    assert refused(compaction, drop=True).error.param == "input[0]"


def test_a_search_in_the_history_is_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    fields: JsonObject = {"input": [user(text("hi")), search, user(text("and now?"))]}
    told = sent(fields)["messages"]
    assert told == [{"role": "user", "content": [{"text": "hi"}, {"text": "and now?"}]}]


# ------------------------------------------------------------------------------------- reasoning


def test_reasoning_comes_back_to_the_model_that_signed_it() -> None:
    items: list[JsonObject] = [
        user(text("hi")),
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "shortened"}],
            "encrypted_content": sealed({"text": "all of it", "signature": "sig"}),
        },
        {"type": "reasoning", "summary": [], "encrypted_content": sealed({"redacted": "AAAA"})},
        call("c"),
        result("c"),
    ]
    fields = {"input": items, "tools": [WEATHER], "reasoning": {"effort": "low"}}
    body = sent(fields)
    assert body["messages"][1]["content"][:2] == [
        {"reasoningContent": {"reasoningText": {"text": "all of it", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
    ]
    assert "thinking" in body["additionalModelRequestFields"]
    # The same model under another geography's profile reads its own signature, another does not.
    assert "reasoningContent" in json.dumps(sent(fields, CLAUDE_4.replace("us.", "eu.")))
    assert "reasoningContent" not in json.dumps(sent(fields, CLAUDE_45))


@pytest.mark.parametrize(
    "content",
    [
        None,
        "gAAAA-from-openai",
        seal("anthropic", "anthropic.claude-sonnet-4-20250514-v1:0", b"{}"),
        sealed({"text": "unsigned"}),
        seal("bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", b"not json"),
    ],
)
def test_foreign_or_unsigned_reasoning_is_left_out(content: str | None) -> None:
    reasoning: JsonObject = {"type": "reasoning", "summary": [], "encrypted_content": content}
    body = sent({"input": [user(text("hi")), reasoning, user(text("again"))]})
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}, {"text": "again"}]}]


def test_reasoning_that_led_to_nothing_is_left_out() -> None:
    reasoning: JsonObject = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": sealed({"text": "t", "signature": "s"}),
    }
    body = sent({"input": [user(text("hi")), reasoning, user(text("again"))]})
    assert len(body["messages"]) == 1
