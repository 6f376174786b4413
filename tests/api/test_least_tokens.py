"""A bound below the tokens of any request, whatever its text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.length import BYTES_PER_TOKEN, least_tokens
from sluicegate.api.request import decode_request


def least(input_: object, **more: object) -> int:
    return least_tokens(
        decode_request(json.dumps({"model": "m", "input": input_, **more}).encode())
    )


WORDS = "The quick brown fox jumps over the lazy dog. " * 1000  # 10,000 tokens of any tokenizer


@pytest.mark.parametrize(
    "input_",
    [
        WORDS,
        [{"role": "user", "content": WORDS}],
        [{"role": "user", "content": [{"type": "input_text", "text": WORDS}]}],
        [{"type": "function_call_output", "call_id": "c", "output": WORDS}],
        [{"type": "function_call", "name": "f", "call_id": "c", "arguments": WORDS}],
        [{"type": "custom_tool_call", "name": "f", "call_id": "c", "input": WORDS}],
    ],
)
def test_texts_count_wherever_they_are(input_: object) -> None:
    assert 3_000 < least(input_) < 10_000
    assert least(input_, instructions=WORDS) == 2 * least(input_)


def test_what_is_no_text_counts_for_nothing() -> None:
    image: dict[str, object] = {
        "type": "input_image",
        "image_url": "data:image/png;base64," + "A" * 100_000,
    }
    file: dict[str, object] = {"type": "input_file", "file_data": "B" * 100_000, "filename": "f"}
    sealed: dict[str, object] = {
        "type": "reasoning",
        "id": "rs",
        "summary": [],
        "encrypted_content": "C" * 100_000,
    }
    assert least([{"role": "user", "content": [image, file]}, sealed]) == 0


def test_spaces_and_lines_count_for_nothing() -> None:
    assert least(" \n\t=====-----" * 10_000) == 0


@pytest.mark.parametrize("input_", [None, [7], ["text"], [{"content": 7}], [[]], [{"content": {}}]])
def test_what_can_not_be_read_is_for_the_upstream_to_judge(input_: object) -> None:
    assert least(input_) == 0


@given(st.text(max_size=2000))
def test_it_is_never_more_than_a_token_for_so_many_bytes(text: str) -> None:
    assert least(text) <= len(text.encode()) // BYTES_PER_TOKEN
