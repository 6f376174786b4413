"""What a deployment that speaks Responses says of a failure, in a stream and in a whole answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.partial import stream_error
from sluicegate.framing import sse
from sluicegate.model import ApiError, Event
from sluicegate.providers.contract import UpstreamCall, UpstreamStreamError
from sluicegate.providers.openai.events import PassthroughTranslator

KEY = "sk-abc/DEF+012=="


def translator(key: str = KEY) -> PassthroughTranslator:
    headers = ((b"authorization", b"Bearer " + key.encode()),)
    call = UpstreamCall("http://127.0.0.1", "POST", "/v1/responses", headers, b"{}")
    return PassthroughTranslator(call, "default/primary")


def refusal(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        translator().answer(body)
    return caught.value


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


SPELLINGS = [
    KEY,
    KEY.replace("/", "\\/"),
    escaped(KEY),
    escaped(KEY).upper().replace("\\U", "\\u"),
    escaped(KEY[:5]) + KEY[5:],
    "\\n\\\\" + KEY.replace("/", "\\/") + '\\"',
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "form",
    [
        '{"type":"error","message":"Bad %s","param":"\\n"}',
        '{"type":"error","error":{"message":"a\\nb","param":["%s"]}}',
        '{"type":"error","message":"x","%s":1}',
        '{"type":"response.failed","response":{"error":{"message":"%s"}}}',
    ],
)
@pytest.mark.parametrize("name", ["event: %s\n", 'event: %s\nid: "\n', ""])
def test_a_failure_repeats_no_key_however_it_is_spelled(
    form: str, spelling: str, name: str
) -> None:
    type_ = json.loads(form)["type"]
    head = name % type_ if name else ""
    frame = f"{head}data: {form % spelling}\n\n".encode()
    (event,) = translator().feed(frame)
    data = sse.parse_frame(event.frame).data
    assert KEY not in json.dumps(json.loads(data), ensure_ascii=False)
    assert "[redacted]" in json.dumps(json.loads(data))


@given(st.text(), st.booleans())
def test_a_failure_without_the_key_passes_byte_for_byte(text: str, ascii_only: bool) -> None:
    said = json.dumps({"type": "error", "message": text, "k\\/": [text]}, ensure_ascii=ascii_only)
    frame = b"event: error\ndata: %b\n\n" % said.encode("utf-8", "replace")
    assert translator().feed(frame) == [Event("error", frame)]
    assert translator("").feed(frame) == [Event("error", frame)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_error_body_repeats_no_key_however_it_is_spelled(spelling: str) -> None:
    body = b'{"error":{"message":"Bad %b","code":"%b"}}' % ((spelling.encode(),) * 2)
    error = translator().error(400, {}, body).error
    assert KEY not in error.message
    assert "[redacted]" in error.message
    assert KEY not in (error.code or "")


def test_an_error_without_a_type_is_one() -> None:
    said = {"error": {"message": f"Bad {KEY}", "type": "server_error", "code": 503}}
    frame = b"data: %b\n\n" % json.dumps(said).encode()
    (event,) = translator().feed(frame)
    assert event == Event("error", frame.replace(KEY.encode(), b"[redacted]"))
    nothing = b'data: {"error":null,"delta":"x"}\n\n'
    assert translator().feed(nothing) == [Event("message", nothing)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"code": "rate_limit_exceeded", "message": "Slow down."}, 429),
        ({"code": "invalid_prompt", "message": "No."}, 400),
        ({"code": "server_error", "message": "Overloaded."}, 500),
        ({"code": None, "message": f"Bad {KEY}"}, 500),
        ({"code": 7}, 500),
        ({"code": 429, "message": "Slow down."}, 429),
        ({"code": {}, "type": [], "message": "Odd."}, 500),
        ("words", 500),
        (None, 500),
    ],
)
def test_a_whole_answer_that_failed_is_the_failure_that_a_stream_tells(
    said: dict[str, object] | str | None, status: int, indent: int | None
) -> None:
    response = {"id": "resp_1", "object": "response", "status": "failed", "error": said}
    error = refusal(json.dumps(response, indent=indent).encode())
    assert error.status == status
    assert error.error.message
    assert KEY not in error.error.message
    payload = json.dumps({"type": "response.failed", "response": response}).encode()
    (event,) = translator().feed(sse.encode("response.failed", payload))
    told = stream_error(event)
    if told is not None:
        assert (told.status, told.error) == (error.status, error.error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"no such model","type":"t"}}',
        b'{"error":"words"}',
        b'{"object":"error","message":"no such model","code":404}',
    ],
)
def test_an_error_under_a_status_of_success_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamStreamError):
        translator().answer(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"resp_1","object":"response","status":"completed","error":null,"output":[]}',
        b'{"object":"response","status":"incomplete","error":null}',
        b'{ "id" : "resp_1" , "error" : null , "status" : 7 }',
        b'{"object":"response","status":"queued"}',
    ],
)
def test_any_other_answer_passes_unchanged(body: bytes) -> None:
    assert translator().answer(body) is body
