"""What accounting learns from the end of an answer, whoever wrote it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.outcome import Outcome, answer_outcome, terminal_outcome
from sluicegate.framing import sse
from sluicegate.model import InputTokensDetails, OutputTokensDetails, Usage

RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "status": "completed",
    "model": "gpt-x-2026",
    "service_tier": "default",
    "output": [{"type": "message", "status": "completed", "id": "msg_1"}],
    "error": None,
    "incomplete_details": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 2},
    },
}
USAGE = Usage(10, 5, 15, InputTokensDetails(4, 1), OutputTokensDetails(2))


def both(response: object, event: str = "response.completed") -> Outcome:
    """The outcome of an event and of a body, which must agree."""
    data = {"type": event, "sequence_number": 9, "response": response}
    frame = sse.encode(event, json.dumps(data).encode())
    outcome = answer_outcome(json.dumps(response).encode())
    streamed = terminal_outcome(frame)
    assert streamed == outcome._replace(status=outcome.status or event.removeprefix("response."))
    return streamed


def test_a_whole_answer() -> None:
    expected = Outcome("completed", "resp_1", "gpt-x-2026", "default", USAGE)
    assert both(RESPONSE) == expected


def test_a_failed_answer() -> None:
    error = {"code": "server_error", "message": "it broke"}
    outcome = both(RESPONSE | {"status": "failed", "error": error, "usage": None})
    assert (outcome.status, outcome.usage) == ("failed", None)
    assert (outcome.error_code, outcome.error_message) == ("server_error", "it broke")


def test_an_incomplete_answer() -> None:
    details = {"reason": "max_output_tokens"}
    outcome = both(RESPONSE | {"status": "incomplete", "incomplete_details": details})
    assert (outcome.status, outcome.incomplete_reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, Usage()),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4, 7)),
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": None}, Usage(3, 4, 7)),
        (
            {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": None},
            Usage(3, 4, 7),
        ),
        (
            {
                "input_tokens": 3,
                "output_tokens": 4,
                "input_tokens_details": {"cached_tokens": None},
            },
            Usage(3, 4, 7),
        ),
        ({"input_tokens": 3, "output_tokens": 4, "later": {"a": 1}}, Usage(3, 4, 7)),
        ({"input_tokens": "many"}, None),
        ([], None),
        ("none", None),
    ],
)
def test_usage_of_servers_that_leave_things_out(usage: object, expected: Usage | None) -> None:
    outcome = both(RESPONSE | {"usage": usage})
    assert outcome.usage == expected
    assert (outcome.status, outcome.model) == ("completed", "gpt-x-2026")


@pytest.mark.parametrize("key", ["id", "model", "service_tier", "error", "incomplete_details"])
def test_one_odd_field_hides_no_other(key: str) -> None:
    outcome = both(RESPONSE | {key: 5})
    assert (outcome.status, outcome.usage) == ("completed", USAGE)


def test_codes_may_be_numbers() -> None:
    assert both(RESPONSE | {"error": {"code": 429, "message": "m"}}).error_code == "429"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"response":5}', b"\xff"])
def test_what_can_not_be_read_is_unknown_and_no_error(data: bytes) -> None:
    assert terminal_outcome(sse.encode("response.failed", data)) == Outcome("failed")
    assert answer_outcome(data) == Outcome("")


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_error(data: bytes) -> None:
    terminal_outcome(data)
    answer_outcome(data)
    answer_outcome(b"[" * 100_000)
