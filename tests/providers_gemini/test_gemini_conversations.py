"""Conversations: turns, calls and their results, images and files, signatures that come back."""

import json

import pytest

from event_grammar import JsonObject
from gemini_wire import (
    END,
    FLASH_2,
    FLASH_3,
    FUNCTION,
    NEWEST,
    OLD,
    SCRIPTS,
    SIGNATURE,
    VERTEX,
    answered,
    call,
    deployment,
    dropping,
    said,
    sent,
    text,
    translator,
)
from google_definitions import check_body
from sluicegate.model import ApiError

SKIP = "skip_thought_signature_validator"
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def contents(items: object, model: str = FLASH_3, **body: object) -> list[JsonObject]:
    made = sent({"input": items, **body}, model)
    check_body(made)
    return made["contents"]


def refused(items: object, model: str = FLASH_3) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": items}, model).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


def user(*parts: JsonObject) -> JsonObject:
    return {"role": "user", "content": list(parts)}


def called(call_id: str, arguments: str = "{}", name: str = "weather") -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, value: object = "sunny") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


# ------------------------------------------------------------------------------------------ turns


def test_turns_and_the_systems_words() -> None:
    noted: JsonObject = {"type": "output_text", "text": "c", "annotations": []}
    made = sent(
        {
            "instructions": "First.",
            "input": [
                {"role": "system", "content": "Second."},
                {"role": "user", "content": "a"},
                {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
                {"role": "developer", "content": "Third."},
                {"role": "assistant", "content": ""},
                {
                    "role": "assistant",
                    "content": [
                        noted,
                        {"type": "refusal", "refusal": "d"},
                    ],
                },
                {"role": "user", "content": "e"},
            ],
        }
    )
    check_body(made)
    assert made["systemInstruction"]["parts"] == [
        {"text": "First."},
        {"text": "Second."},
        {"text": "Third."},
    ]
    assert [(c["role"], [p["text"] for p in c["parts"]]) for c in made["contents"]] == [
        ("user", ["a", "b"]),
        ("model", ["c", "d"]),
        ("user", ["e"]),
    ]


@pytest.mark.parametrize("items", [[], "", [{"role": "system", "content": "s"}]])
def test_a_conversation_needs_a_beginning(items: object) -> None:
    (only,) = contents(items)
    assert only["role"] == "user"


def test_the_models_own_words_first_and_last() -> None:
    items = [{"role": "assistant", "content": "Once upon"}]
    assert [c["role"] for c in contents(items)] == ["user", "model"]
    assert [c["role"] for c in contents(items, NEWEST)] == ["user", "model", "user"]


# ------------------------------------------------------------------------------------------ calls


def test_results_stand_together_right_after_their_calls() -> None:
    items = [
        {"role": "user", "content": "weather?"},
        called("a", '{"city": "Rome"}'),
        called("b"),
        {"role": "user", "content": "quick"},
        output("b", "rain"),
        output("a", [{"type": "input_text", "text": "sun"}, {"type": "input_text", "text": "!"}]),
    ]
    made = contents(items, FLASH_2)
    assert [c["role"] for c in made] == ["user", "model", "user", "user"]
    assert made[1]["parts"] == [
        {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
        {"functionCall": {"name": "weather", "args": {}}},
    ]
    assert made[2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"output": ["sun", "!"]}}},
        {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
    ]


def test_ids_go_to_models_that_have_them() -> None:
    made = contents([called("a"), output("a")])
    assert made[1]["parts"][0]["functionCall"]["id"] == "a"
    assert made[2]["parts"][0]["functionResponse"]["id"] == "a"
    elsewhere = sent({"input": [called("a"), output("a")]}, of=deployment(VERTEX))["contents"]
    assert "id" not in elsewhere[1]["parts"][0]["functionCall"]


def test_steps_of_one_turn_stay_steps() -> None:
    items = [called("a"), output("a"), called("b"), output("b")]
    made = contents(items)
    assert [c["role"] for c in made] == ["user", "model", "user", "model", "user"]
    signatures = [p["thoughtSignature"] for c in made for p in c["parts"] if "functionCall" in p]
    assert signatures == [SKIP, SKIP]


def test_custom_tools_and_tools_of_a_namespace() -> None:
    items = [
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "x\n"},
        {**called("b", name="run"), "namespace": "shell"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
        output("b"),
    ]
    made = contents(items, FLASH_2)
    assert made[1]["parts"] == [
        {"functionCall": {"name": "patch", "args": {"input": "x\n"}}},
        {"functionCall": {"name": "shell__run", "args": {}}},
    ]


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_no_arguments(arguments: str) -> None:
    made = contents([called("a", arguments), output("a")])
    assert made[1]["parts"][0]["functionCall"]["args"] == {}


def test_a_second_output_of_a_call() -> None:
    assert refused([called("a"), output("a"), output("a")]) == (
        "invalid_value",
        "input[2].call_id",
    )


def test_items_that_nobody_here_can_read() -> None:
    item = {"type": "computer_call", "id": "x"}
    assert refused([item]) == ("unsupported_parameter", "input[0]")
    made = translator({"input": ["x", item][1:]}, of=dropping())
    made.request()
    assert made.dropped == ("input[0]",)
    assert contents([{"type": "web_search_call", "id": "ws_1"}, user()])


# ------------------------------------------------------------------------------- images and files


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (
            {"type": "input_image", "image_url": f"data:image/jpg;base64,{PNG}"},
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
        ),
        (
            {"type": "input_image", "image_url": "data:image/heic;base64,AAAA"},
            {"inlineData": {"mimeType": "image/heic", "data": "AAAA"}},
        ),
        (
            {"type": "input_image", "image_url": "https://a.example/b.webp?c=d"},
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://a.example/b.webp?c=d"}},
        ),
        (
            {"type": "input_image", "image_url": "https://a.example/b"},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/b"}},
        ),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"},
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        ),
        (
            {"type": "input_file", "filename": "a.md", "file_data": "AA AA\n"},
            {"inlineData": {"mimeType": "text/plain", "data": "AAAA"}},
        ),
        (
            {"type": "input_file", "file_url": "data:text/csv,a%2Cb"},
            {"inlineData": {"mimeType": "text/plain", "data": "YSxi"}},
        ),
        (
            {"type": "input_file", "file_url": "https://a.example/b"},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.example/b"}},
        ),
    ],
)
def test_images_and_files(part: JsonObject, wire: JsonObject) -> None:
    assert contents([user(part)])[0]["parts"] == [wire]


@pytest.mark.parametrize(
    ("part", "code", "param"),
    [
        ({"type": "input_image", "file_id": "f"}, "unsupported_parameter", ".file_id"),
        ({"type": "input_image"}, "invalid_value", ".image_url"),
        ({"type": "input_image", "image_url": "gs://b/c.png"}, "invalid_value", ".image_url"),
        (
            {"type": "input_image", "image_url": "data:text/plain;base64,AAAA"},
            "unsupported_image_media_type",
            ".image_url",
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,é"},
            "invalid_base64_image",
            ".image_url",
        ),
        ({"type": "input_file"}, "invalid_value", ""),
        ({"type": "input_file", "file_id": "f"}, "unsupported_parameter", ".file_id"),
        ({"type": "input_file", "file_data": "AAAA"}, "unsupported_file", ".file_data"),
        ({"type": "input_file", "file_url": "ftp://a"}, "invalid_value", ".file_url"),
    ],
)
def test_parts_that_can_not_be_said(part: JsonObject, code: str, param: str) -> None:
    assert refused([user(part)]) == (code, f"input[0].content[0]{param}")


def test_images_belong_to_the_user() -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    for role in ("assistant", "system"):
        assert refused([{"role": role, "content": [image]}])[0] == "invalid_value"


def test_only_some_fetch_by_address() -> None:
    image = {"type": "input_image", "image_url": "https://a.example/b.png"}
    assert refused([user(image)], OLD) == (
        "unsupported_parameter",
        "input[0].content[0].image_url",
    )
    made = sent({"input": [user(image)]}, OLD, deployment(VERTEX))
    assert "fileData" in made["contents"][0]["parts"][0]


def test_images_of_a_tool() -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    items = [called("a"), output("a", [{"type": "input_text", "text": "see"}, image])]
    wire = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    inside = contents(items)[-1]["parts"][0]["functionResponse"]
    assert (inside["response"], inside["parts"]) == ({"output": "see"}, [wire])
    beside = contents(items, FLASH_2)
    assert "parts" not in beside[-2]["parts"][0]["functionResponse"]
    assert beside[-1]["parts"] == [wire]


# ------------------------------------------------------------------------------------- signatures


def turned(name: str, model: str = FLASH_3) -> tuple[JsonObject, list[JsonObject]]:
    """The request of a script, and its answer as the next request's history."""
    body, stream = SCRIPTS[name]
    response = answered(stream, body=body, model=model)
    items = [{"role": "user", "content": "weather?"}, *response["output"]]
    items += [
        output(item["call_id"])
        for item in response["output"]
        if item["type"] in {"function_call", "custom_tool_call"}
    ]
    return body, items


def test_a_calls_signature_comes_back_on_its_call() -> None:
    body, items = turned("thoughts, text, calls")
    made = contents(items, tools=body["tools"])
    parts = [part for part in made[1]["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in parts] == [SIGNATURE, None, None]
    assert parts[0]["functionCall"] == {"name": "weather", "args": {"city": "Paris"}, "id": "up1"}


@pytest.mark.parametrize(
    "parts", [[call("weather", {}, "")], [text("Hello", "")], [text("Hel"), text("", "")]]
)
def test_an_empty_signature_is_none(parts: list[JsonObject]) -> None:
    body: JsonObject = {"tools": [FUNCTION], "include": ["reasoning.encrypted_content"]}
    response = answered(said(*parts, finish="STOP"), body=body)
    assert [item["type"] for item in response["output"]] in (["function_call"], ["message"])


def test_even_where_the_client_has_moved_the_items() -> None:
    body, items = turned("thoughts, text, calls")
    reasoning = [item for item in items if item.get("type") == "reasoning"]
    moved = [*reasoning, *[item for item in items if item not in reasoning]]
    made = contents(moved, tools=body["tools"])
    parts = [p for c in made for p in c["parts"] if "functionCall" in p]
    assert [part.get("thoughtSignature") for part in parts] == [SIGNATURE, None, None]


def test_a_client_that_drops_reasoning_gets_on() -> None:
    _, items = turned("thoughts, text, calls")
    made = contents([item for item in items if item.get("type") != "reasoning"])
    parts = [p for c in made for p in c["parts"] if "functionCall" in p]
    assert [part.get("thoughtSignature") for part in parts] == [SKIP, None, None]


@pytest.mark.parametrize("change", ["model", "provider", "noise"])
def test_signatures_of_others_are_left_out(change: str) -> None:
    _, items = turned("thoughts, text, calls")
    model, of = FLASH_3, None
    if change == "model":
        model = "gemini-3.1-pro-preview"
    elif change == "provider":
        of = deployment(VERTEX)
    else:
        for item in items:
            if item.get("type") == "reasoning":
                item["encrypted_content"] = "sg1.bm9pc2U=.bm9pc2U="
    made = sent({"input": items}, model, of)
    parts = [p for c in made["contents"] for p in c["parts"] if "functionCall" in p]
    assert parts[0]["thoughtSignature"] == SKIP


def test_older_models_get_no_made_up_signature() -> None:
    made = contents([called("a"), output("a")], FLASH_2)
    assert "thoughtSignature" not in made[1]["parts"][0]


def test_a_texts_signature_before_and_behind_it() -> None:
    _, items = turned("text in one chunk")
    assert contents(items)[1]["parts"] == [{"text": "Hello", "thoughtSignature": SIGNATURE}]
    _, items = turned("a signature behind the text")
    assert contents(items)[1]["parts"] == [
        {"text": "Hello"},
        {"text": "", "thoughtSignature": SIGNATURE},
    ]


def test_the_empty_text_behind_calls_keeps_its_signature() -> None:
    stream = said(call("weather", {}, SIGNATURE)) + said(text("", "c2Vjb25k"), finish="STOP")
    body = {"tools": [FUNCTION], "include": ["reasoning.encrypted_content"]}
    response = answered(stream, body=body)
    items = [*response["output"], output(response["output"][1]["call_id"])]
    parts = contents(items)[1]["parts"]
    assert parts[0]["thoughtSignature"] == SIGNATURE
    assert parts[1] == {"text": "", "thoughtSignature": "c2Vjb25k"}


def test_parts_of_the_apis_own_tools_come_back_as_they_were() -> None:
    _, items = turned("tools of its own")
    parts = contents(items)[1]["parts"]
    assert parts[:2] == [
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}, "thoughtSignature": "c2ln"},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1"}},
    ]
    assert parts[2]["thoughtSignature"] == SIGNATURE


def test_two_signatures_in_a_row_are_two_items() -> None:
    thought: JsonObject = {"text": "Hm.", "thought": True, "thoughtSignature": "b25l"}
    stream = said(thought) + said(call("weather", {}, SIGNATURE)) + END
    response = answered(stream, body={"tools": [FUNCTION]})
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["reasoning", "reasoning", "function_call"]
    assert json.dumps(response).count("encrypted_content") == 2
