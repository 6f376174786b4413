"""Answers that are not streamed, and refusals of Google's APIs in the words of this one."""

import json

import pytest

from event_grammar import JsonObject, check_answer
from gemini_wire import END, FUNCTION, SCRIPTS, SECRET, answered, asking, call, chunk, text, whole
from sluicegate.model import ApiError, UpstreamStreamError


def refusal(
    status: int, name: str, message: str = "No.", *details: JsonObject, listed: bool = False
) -> bytes:
    error = {"code": status, "message": message, "status": name, "details": list(details)}
    return json.dumps([{"error": error}] if listed else {"error": error}).encode()


def heard(status: int, body: bytes, headers: dict[str, str] | None = None) -> ApiError:
    return asking().error(status, headers or {}, body)


# ----------------------------------------------------------------------------------------- answers


def test_a_whole_answer() -> None:
    answer = chunk(text("Hello"), call("weather", {"city": "Rome"}), finish="STOP")
    response = whole(answer, {"tools": [FUNCTION]})
    check_answer(response)
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert response["model"] == "gemini-3-flash-001"
    assert response["store"] is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"<html>",
        b'{"candidates":[]}',
        b'{"candidates":[{"content":{"parts":[{"text":"no end"}]}}]}',
        b'{"candidates":[{"content":5,"finishReason":"STOP"}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":5}}]}}]}',
        b"[" * 100_000,
        b'{"candidates":[{"finishReason":"\xff"}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamStreamError):
        asking({"stream": False}).answer(body)


def test_an_error_in_a_whole_answer() -> None:
    with pytest.raises(ApiError) as caught:
        asking({"stream": False}).answer(refusal(503, "UNAVAILABLE", "Busy"))
    assert caught.value.status == 503


@pytest.mark.parametrize("content", [{}, {"role": "model"}, None, {"parts": None}])
def test_content_that_is_not_there(content: JsonObject | None) -> None:
    response = whole({"candidates": [{"content": content, "finishReason": "STOP"}]})
    assert (response["status"], response["output"], response["usage"]) == ("completed", [], None)


def test_parts_of_tomorrow_are_skipped() -> None:
    parts: list[JsonObject] = [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"somethingNew": [1]},
        text("Hello"),
    ]
    response = whole(chunk(*parts, finish="STOP"))
    assert [item["type"] for item in response["output"]] == ["message"]


def test_numbers_keep_their_spelling() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"n": 1e400}}}'
    body += b']},"finishReason":"STOP"}]}'
    response = json.loads(asking({"stream": False}).answer(body))
    assert response["output"][0]["arguments"] == '{"n":1e400}'


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("status", "name", "client_status", "code"),
    [
        (400, "INVALID_ARGUMENT", 400, None),
        (400, "FAILED_PRECONDITION", 400, None),
        (404, "NOT_FOUND", 404, "model_not_found"),
        (408, "", 504, "server_error"),
        (413, "", 413, "request_too_large"),
        (429, "RESOURCE_EXHAUSTED", 429, "rate_limit_exceeded"),
        (499, "CANCELLED", 502, "server_error"),
        (500, "INTERNAL", 500, "server_error"),
        (503, "UNAVAILABLE", 503, "server_overloaded"),
        (504, "DEADLINE_EXCEEDED", 504, "server_error"),
        (302, "", 502, "server_error"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_statuses(
    status: int, name: str, client_status: int, code: str | None, listed: bool
) -> None:
    error = heard(status, refusal(status, name, "Because.", listed=listed))
    assert (error.status, error.error.code, error.error.message) == (
        client_status,
        code,
        "Because.",
    )


@pytest.mark.parametrize(
    ("status", "details"),
    [
        (401, []),
        (403, []),
        (400, [{"@type": "x/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
    ],
)
def test_a_bad_credential_is_the_gateways_fault(status: int, details: list[JsonObject]) -> None:
    body = refusal(status, "INVALID_ARGUMENT", f"API key {SECRET} not valid.", *details)
    error = heard(status, body)
    assert (error.status, error.error.code) == (502, "upstream_credential")
    assert (error.should_retry, "team/google" in error.error.message) == (False, True)
    assert SECRET not in error.error.message


def test_a_message_that_repeats_the_key_is_not_shown() -> None:
    error = heard(400, refusal(400, "INVALID_ARGUMENT", f"What is {SECRET}?"))
    assert SECRET not in error.error.message


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (9).",
            "context_length_exceeded",
            "input",
        ),
        ("Request payload size exceeds the limit: 20971520 bytes.", "request_too_large", "input"),
        ("* GenerateContentRequest.generation_config.top_p: too large", None, "top_p"),
        ("Unable to submit request because maxOutputTokens is 99", None, "max_output_tokens"),
        ("Thinking level is not supported for this model.", None, "reasoning.effort"),
        ("Something else.", None, None),
    ],
)
def test_what_a_refusal_is_about(message: str, code: str | None, param: str | None) -> None:
    error = heard(400, refusal(400, "INVALID_ARGUMENT", message))
    assert (error.error.code, error.error.param) == (code, param)


def test_a_violation_names_its_field() -> None:
    detail = {"fieldViolations": [{"field": "contents[0].parts[0]", "description": "bad"}]}
    assert heard(400, refusal(400, "INVALID_ARGUMENT", "x", detail)).error.param == "input"


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("34.4s", 34.4),
        ("7s", 7.0),
        ("0s", 0.0),
        ("s", 5.0),
        ("-1s", 5.0),
        ("1e9s", 5.0),
        (7, 5.0),
        ("9999999999s", 86_400),
    ],
)
def test_how_long_to_wait(delay: object, seconds: float) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    body = refusal(429, "RESOURCE_EXHAUSTED", "Slow.", {"reason": "x"}, detail)
    assert heard(429, body, {"retry-after": "5"}).retry_after == seconds


@pytest.mark.parametrize("name", ["nan", "inf", "-1", "Wed, 99 Oct 2026"])
def test_a_wait_that_is_no_number(name: str) -> None:
    assert heard(503, b"", {"retry-after": name}).retry_after is None


def test_an_error_inside_a_stream_that_is_about_the_key() -> None:
    stream = b'data: {"error":{"code":403,"status":"PERMISSION_DENIED","message":"x"}}\r\n\r\n'
    response = answered(stream)
    assert response["error"]["code"] == "server_error"
    assert "credential" in response["error"]["message"]


def test_an_answer_may_go_on_after_a_ping() -> None:
    response = answered(b": ping\r\n\r\n", SCRIPTS["text"][1], b"data: [DONE]\r\n\r\n")
    assert response["status"] == "completed"
    assert answered(END)["output"] == []
