"""Tokens that nobody counted."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.model import InputTokensDetails, Usage
from sluicegate.pricing.estimate import at_least, input_tokens, output_tokens


def test_a_request_by_its_size() -> None:
    assert input_tokens(b"x" * 400) == 100
    assert input_tokens(b"") == 0


def test_an_attachment_is_not_counted_by_its_bytes() -> None:
    image = "data:image/png;base64," + "A" * 1_000_000
    body = json.dumps({"input": [{"image_url": image}, {"file_data": image}]}).encode()
    assert 2000 < input_tokens(body) < 2100
    assert input_tokens(body[: len(body) // 2]) > 0


def test_what_a_model_wrote() -> None:
    output = [
        {"type": "message", "content": [{"type": "output_text", "text": "x" * 40}]},
        {"type": "function_call", "name": "n" * 1000, "arguments": "y" * 40},
        {"type": "reasoning", "summary": [{"text": "z" * 4}], "encrypted_content": "e" * 1000},
    ]
    whole = {"id": "i" * 1000, "instructions": "text" * 1000, "output": output}
    assert output_tokens(json.dumps(whole).encode()) == 21
    event = {"type": "response.failed", "response": whole}
    assert output_tokens(json.dumps(event).encode()) == 21


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_any_answer(answer: bytes) -> None:
    assert output_tokens(answer) >= 0
    assert input_tokens(answer) >= 0


def test_what_is_known_counts() -> None:
    known = Usage(20, 1, 21, InputTokensDetails(cached_tokens=5))
    assert at_least(known, 500, 9) == Usage(20, 9, 29, InputTokensDetails(cached_tokens=5))
    assert at_least(None, 500, 9) == Usage(500, 9, 509)
    assert at_least(Usage(), 500, 0) == Usage(500, 0, 500)
