"""Texts, images and files of a request, and where its cached prefixes end."""

import base64
from typing import Any

import pytest

from anthropic_wire import FUNCTION, sent, translator
from event_grammar import JsonObject
from sluicegate.model import ApiError

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0....").decode()
GIF = base64.b64encode(b"GIF89a....").decode()
WEBP = base64.b64encode(b"RIFF\x00\x00\x00\x00WEBPVP8 ").decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()


def blocks(*parts: JsonObject) -> list[JsonObject]:
    return sent({"input": [{"role": "user", "content": list(parts)}]})["messages"][0]["content"]


def image(url: str) -> JsonObject:
    return {"type": "input_image", "image_url": url}


def refused(part: JsonObject, role: str = "user") -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": [{"role": role, "content": [part]}]}).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


# ------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        (f"data:image/png;base64,{PNG}", "image/png", PNG),
        (f"data:image/jpg;base64,{JPEG}", "image/jpeg", JPEG),
        (f"data:image/png;base64,{WEBP}", "image/webp", WEBP),
        (f"data:;base64,{GIF}", "image/gif", GIF),
        ("data:image/jpg;base64,AAAA", "image/jpeg", "AAAA"),
        ("DATA:IMAGE/PNG;charset=x;BASE64,AAAA", "image/png", "AAAA"),
        ("data:image/gif,GIF89a%00", "image/gif", base64.b64encode(b"GIF89a\x00").decode()),
    ],
)
def test_images_go_by_what_their_bytes_are(url: str, media_type: str, data: str) -> None:
    source = {"type": "base64", "media_type": media_type, "data": data}
    assert blocks(image(url)) == [{"type": "image", "source": source}]


def test_an_image_by_its_url() -> None:
    url = "https://a.example/b.png?c=d"
    assert blocks(image(url)) == [{"type": "image", "source": {"type": "url", "url": url}}]


@pytest.mark.parametrize(
    ("part", "code", "param"),
    [
        (image("ftp://a.example/b"), "invalid_value", "image_url"),
        (image("data:image/png;base64,"), "invalid_base64_image", "image_url"),
        (image("data:image/tiff;base64,AAAA"), "unsupported_image_media_type", "image_url"),
        ({"type": "input_image", "file_id": "file-1"}, "unsupported_parameter", "file_id"),
        ({"type": "input_image"}, "invalid_value", "image_url"),
    ],
)
def test_images_that_are_refused(part: JsonObject, code: str, param: str) -> None:
    assert refused(part) == (code, f"input[0].content[0].{param}")


# ------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (
            {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
        ),
        (
            {"file_data": PDF, "filename": "a.PDF"},
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
        ),
        (
            {"file_data": "data:application/octet-stream;base64,w6k=", "filename": "n.md"},
            {"type": "text", "media_type": "text/plain", "data": "é"},
        ),
        (
            {"file_data": "data:application/json,%7B%7D"},
            {"type": "text", "media_type": "text/plain", "data": "{}"},
        ),
        (
            {"file_url": "data:text/csv;base64,YSxi"},
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
        (
            {"file_url": "https://a.example/b.pdf"},
            {"type": "url", "url": "https://a.example/b.pdf"},
        ),
    ],
)
def test_files_are_documents(part: JsonObject, source: JsonObject) -> None:
    (block,) = blocks({"type": "input_file", **part})
    assert (block["type"], block["source"]) == ("document", source)
    assert block.get("title") == part.get("filename")


@pytest.mark.parametrize(
    ("part", "code", "param"),
    [
        ({"file_id": "file-1"}, "unsupported_parameter", ".file_id"),
        ({}, "invalid_value", ""),
        ({"file_data": "data:video/mp4;base64,AAAA"}, "unsupported_file", ".file_data"),
        ({"file_data": "AAAA", "filename": "a"}, "unsupported_file", ".file_data"),
        ({"file_data": "data:text/plain;base64,/w=="}, "invalid_value", ".file_data"),
        ({"file_data": "data:text/plain;base64,***"}, "invalid_value", ".file_data"),
        ({"file_url": "file:///etc/passwd"}, "invalid_value", ".file_url"),
    ],
)
def test_files_that_are_refused(part: JsonObject, code: str, param: str) -> None:
    assert refused({"type": "input_file", **part}) == (code, f"input[0].content[0]{param}")


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_only_the_user_shows_images(role: str) -> None:
    part = image(f"data:image/png;base64,{PNG}")
    assert refused(part, role) == ("invalid_value", "input[0].content[0]")


def test_images_in_the_output_of_a_tool() -> None:
    output = [{"type": "input_text", "text": "see"}, image(f"data:image/png;base64,{PNG}")]
    items = [
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": output},
    ]
    result = sent({"input": items})["messages"][-1]["content"][0]
    assert [block["type"] for block in result["content"]] == ["text", "image"]


# ----------------------------------------------------------------------------------------- caching

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def marks(body: dict[str, Any]) -> list[str]:
    """Where the marks are, in the order of the prompt."""
    told = sent(body)
    found = [f"tool {tool['name']}" for tool in told.get("tools", []) if "cache_control" in tool]
    found += [block["text"] for block in told.get("system", []) if "cache_control" in block]
    for message in told["messages"]:
        found += [
            block.get("text", block["type"])
            for block in message["content"]
            if "cache_control" in block
        ]
    return found


def marked(text: str, role: str = "user") -> JsonObject:
    part = {"type": "input_text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"}}
    return {"role": role, "content": [part]}


def test_without_a_hint_nothing_is_marked() -> None:
    assert marks({"input": "hi", "instructions": "i", "tools": [FUNCTION]}) == []


@pytest.mark.parametrize(
    "hint",
    [
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "in_memory"},
        {"prompt_cache_options": {"mode": "implicit"}},
    ],
)
def test_a_hint_marks_the_ends(hint: dict[str, Any]) -> None:
    body = {"input": "hi", "tools": [FUNCTION], **hint}
    assert marks(body) == ["tool weather", "hi"]
    assert marks(body | {"instructions": "i"}) == ["i", "hi"]
    assert sent(body)["tools"][0]["cache_control"] == MARK


def test_the_clients_own_marks() -> None:
    items = [marked("a"), {"role": "user", "content": "b"}, marked("c", "developer")]
    assert marks({"input": items}) == ["c", "a"]
    explicit = {"prompt_cache_options": {"mode": "explicit"}, "prompt_cache_key": "k"}
    assert marks({"input": items, **explicit}) == ["c", "a"]


def test_of_many_marks_the_last_four_count() -> None:
    items = [marked(letter) for letter in "abcdef"]
    assert marks({"input": items}) == ["c", "d", "e", "f"]
    assert marks({"input": items, "tools": [FUNCTION], "prompt_cache_key": "k"}) == [
        "tool weather",
        "d",
        "e",
        "f",
    ]


@pytest.mark.parametrize(
    "hint", [{"prompt_cache_retention": "24h"}, {"prompt_cache_options": {"ttl": "30m"}}]
)
def test_a_longer_lifetime(hint: dict[str, Any]) -> None:
    told = sent({"input": [marked("a")], **hint})
    assert told["messages"][0]["content"][0]["cache_control"] == HOUR


def test_a_tools_result_may_end_a_prefix() -> None:
    items = [
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
    ]
    assert marks({"input": items, "prompt_cache_key": "k"})[-1] == "tool_result"
