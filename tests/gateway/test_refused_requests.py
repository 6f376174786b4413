"""What a bad request gets: always the OpenAI envelope, with status, code and param to build on."""

import json
import time

import msgspec
import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import answer_body
from running_gateway import (
    AUTHORIZED,
    CLIENT_KEY,
    echo_entry,
    key_entry,
    openai_entry,
)
from scripted_upstream import answers
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.process import ServerSettings

GOOD = b'{"model":"gpt-test","input":"hi"}'
BEARER = "Bearer "


def refused(answer: Answer, status: int, code: str | None, param: str | None) -> str:
    """Check an answer against the table; gives the message."""
    assert answer.status == status, (answer, answer.body)
    error = answer.error
    assert (error["code"], error["param"]) == (code, param), error
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    assert answer.headers["x-request-id"].startswith("req_")
    return error["message"]


BODIES: dict[str, tuple[bytes, str | None, str | None]] = {
    "empty": (b"", None, None),
    "white space": (b" \n", None, None),
    "not JSON": (b"hello", None, None),
    "cut off": (b'{"model":"gpt-test","input":"h', None, None),
    "trailing bytes": (GOOD + b"x", None, None),
    "trailing comma": (b'{"model":"gpt-test",}', None, None),
    "single quotes": (b"{'model':'gpt-test'}", None, None),
    "a comment": (b'{"model":"gpt-test"/**/}', None, None),
    "NaN": (b'{"model":"gpt-test","temperature":NaN}', None, None),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, None, None),
    "UTF-16": (GOOD.decode().encode("utf-16"), None, None),
    "an array": (b"[]", None, None),
    "a string": (b'"gpt-test"', None, None),
    "null": (b"null", None, None),
    "a number": (b"1", None, None),
    "invalid UTF-8 in a value": (b'{"model":"gpt-test","input":"\xff"}', None, None),
    "invalid UTF-8 in an unknown value": (b'{"model":"gpt-test","x":"\xc3("}', None, None),
    "overlong UTF-8": (b'{"model":"gpt-test","input":"\xc0\xaf"}', None, None),
    "a surrogate in UTF-8": (b'{"model":"gpt-test","input":"\xed\xa0\x80"}', None, None),
    "a raw line feed in a string": (b'{"model":"gpt-test","input":"a\nb"}', None, None),
    "deep arrays": (b'{"model":"gpt-test","input":' + b"[" * 100_000, None, None),
    "deep closed arrays": (
        b'{"model":"gpt-test","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        None,
        None,
    ),
    "deep objects": (
        b'{"model":"gpt-test","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        None,
        None,
    ),
    "no model": (b'{"input":"hi"}', "missing_required_parameter", "model"),
    "model null": (b'{"model":null}', "missing_required_parameter", "model"),
    "model a number": (b'{"model":1}', "invalid_type", "model"),
    "model a list": (b'{"model":["gpt-test"]}', "invalid_type", "model"),
    "input a number": (b'{"model":"gpt-test","input":1}', "invalid_type", "input"),
    "input an object": (b'{"model":"gpt-test","input":{}}', "invalid_type", "input"),
    "stream a string": (b'{"model":"gpt-test","stream":"yes"}', "invalid_type", "stream"),
    "stream a number": (b'{"model":"gpt-test","stream":1}', "invalid_type", "stream"),
    "temperature a string": (
        b'{"model":"gpt-test","temperature":"1"}',
        "invalid_type",
        "temperature",
    ),
    "tools an object": (b'{"model":"gpt-test","tools":{}}', "invalid_type", "tools"),
    "metadata of numbers": (
        b'{"model":"gpt-test","metadata":{"a":1}}',
        "invalid_type",
        "metadata.a",
    ),
    "model twice": (
        b'{"model":"gpt-test","input":"x","model":"gpt-real"}',
        "duplicate_parameter",
        "model",
    ),
    "model twice, once escaped": (
        b'{"model":"gpt-test","\\u006dodel":"gpt-real"}',
        "duplicate_parameter",
        "model",
    ),
    "an unknown member twice": (
        b'{"x":1,"model":"gpt-test","x":1}',
        "duplicate_parameter",
        "x",
    ),
    "unknown model": (b'{"model":"gpt-nobody"}', "model_not_found", "model"),
    "empty model": (b'{"model":""}', "model_not_found", "model"),
    "model with control characters": (
        b'{"model":"a\\u0000\\r\\nb: c"}',
        "model_not_found",
        "model",
    ),
    "model of another namespace": (b'{"model":"gpt-test@other"}', "model_not_found", "model"),
    "model with many @": (b'{"model":"' + b"@" * 1000 + b'"}', "model_not_found", "model"),
}


@pytest.mark.parametrize(("body", "code", "param"), BODIES.values(), ids=BODIES.keys())
async def test_bad_bodies(rig: Rig, body: bytes, code: str | None, param: str | None) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    refused(await gateway.post(body), 400, code, param)
    refused(await gateway.post(body, path="/responses"), 400, code, param)
    assert not upstream.calls


async def test_a_lone_surrogate_is_no_model(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.post(b'{"model":"\\ud800"}')
    assert answer.status == 400
    assert answer.error


async def test_an_enormous_model_name_is_not_repeated_whole(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.post(b'{"model":"' + b"m" * 1_000_000 + b'"}')
    refused(answer, 400, "model_not_found", "model")
    assert len(answer.body) < 2000


# Keys.

OTHER_KEY = "sk-other-0123456789abcdef"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": BEARER},
        {"Authorization": CLIENT_KEY},
        {"Authorization": f"Basic {CLIENT_KEY}"},
        {"Authorization": BEARER + OTHER_KEY},
        {"Authorization": BEARER + CLIENT_KEY[:-1]},
        {"Authorization": BEARER + CLIENT_KEY.upper()},
        {"Authorization": BEARER + CLIENT_KEY + ", " + CLIENT_KEY},
        {"Authorization": BEARER + "\xe9" * 20},
        {"Authorization": BEARER + "x" * 5000},
        {"Authorization": BEARER + OTHER_KEY, "api-key": CLIENT_KEY},
        {"api-key": OTHER_KEY},
        {"Cookie": CLIENT_KEY},
    ],
)
async def test_a_missing_or_unknown_key(rig: Rig, headers: dict[str, str]) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    for answer in (await gateway.post(GOOD, headers), await gateway.get("/v1/models", headers)):
        message = refused(answer, 401, "invalid_api_key", None)
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert OTHER_KEY not in message
        assert CLIENT_KEY[:-1] not in message
    assert not upstream.calls


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"bearer   {CLIENT_KEY}"},
        {"AUTHORIZATION": f"BEARER {CLIENT_KEY} "},
        {"api-key": CLIENT_KEY},
        {"Api-Key": f" {CLIENT_KEY}"},
    ],
)
async def test_a_good_key_in_any_spelling(rig: Rig, headers: dict[str, str]) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    assert (await gateway.post(GOOD, headers)).status == 200


async def test_revoked_and_expired_keys_say_so(rig: Rig) -> None:
    expired, revoked = "sk-expired-0123456789", "sk-revoked-0123456789"
    replace = msgspec.structs.replace
    gateway = await rig.gateway(
        replace(key_entry(expired, name="old", key_id="old1"), expires_at=int(time.time()) - 1),
        replace(key_entry(revoked, name="gone", key_id="gone1"), revoked=True),
        echo_entry(),
        settings=ServerSettings(port=0, admin_port=0, allow_anonymous=True),
    )
    body = b'{"model":"echo","input":"hi"}'
    for key, word in ((expired, "expired"), (revoked, "revoked")):
        answer = await gateway.post(body, {"Authorization": BEARER + key})
        message = refused(answer, 401, "invalid_api_key", None)
        assert word in message
        assert key not in message


async def test_without_any_key_the_answer_says_how_to_make_one(rig: Rig) -> None:
    gateway = await rig.gateway(echo_entry())
    for headers in ({}, AUTHORIZED):
        message = refused(await gateway.post(GOOD, headers), 401, "invalid_api_key", None)
        assert "ApiKey" in message
        assert "--allow-anonymous" in message


async def test_a_key_without_that_model(rig: Rig) -> None:
    upstream = await rig.upstream(answers(answer_body()))
    key = msgspec.structs.replace(key_entry(), models=("gpt-other", "claude-*"))
    gateway = await rig.gateway(key, openai_entry(upstream.base_url))
    refused(await gateway.post(GOOD), 403, "model_not_found", "model")
    assert not upstream.calls


async def test_a_model_without_any_usable_deployment(rig: Rig) -> None:
    suspended = msgspec.structs.replace(openai_entry("http://127.0.0.1:9/v1"), suspended=True)
    gateway = await rig.gateway(key_entry(), suspended)
    message = refused(await gateway.post(GOOD), 503, "model_unavailable", "model")
    assert "default/primary is suspended" in message


# Paths, methods, sizes, types.


@pytest.mark.parametrize(
    "path", ["/responses", "/v1/responses", "/v1/models", "/v1/models/gpt-test"]
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "GET", "POST"])
async def test_a_wrong_method(rig: Rig, path: str, method: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    if (method == "POST") == path.endswith("/responses") and method in ("GET", "POST"):
        return
    answer = await gateway.get(path, method=method)
    refused(answer, 405, "method_not_allowed", None)
    assert answer.headers["allow"] == ("POST" if path.endswith("/responses") else "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v2/responses",
        "/v1/responses/",
        "/v1/v1/responses",
        "//v1/responses",
        "/v1/Responses",
        "/v1responses",
        "/v1/chat/completions",
        "/metrics",
        "/config",
        "/v1/../config",
        "/%2e%2e/config",
        "/v1/responses%00",
        "/%ff",
        "/v1/responses;x=1",
        "/" + "a" * 5000,
    ],
)
async def test_an_unknown_path(rig: Rig, path: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    for method in ("GET", "POST"):
        answer = await gateway.get(path, method=method)
        refused(answer, 404, "unknown_url", None)
        assert len(answer.body) < 2000


async def test_a_query_changes_nothing(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    assert (await gateway.post(GOOD, path="/v1/responses?api-version=1&x=%00")).status == 200
    assert upstream.last.target == "/v1/responses"


@pytest.mark.parametrize(
    "type_",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "json",
        "application",
        "\x80\xff",
        "application/json, text/plain",
    ],
)
async def test_a_wrong_content_type(rig: Rig, type_: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.post(GOOD, AUTHORIZED | {"Content-Type": type_})
    refused(answer, 415, "unsupported_content_type", None)


@pytest.mark.parametrize(
    "type_",
    ["application/json; charset=utf-8", "Application/JSON ;x=y", "application/merge-patch+json"],
)
async def test_a_content_type_that_is_json(rig: Rig, type_: str) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    assert (await gateway.post(GOOD, AUTHORIZED | {"Content-Type": type_})).status == 200
    assert upstream.last.header("content-type") == "application/json"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
async def test_an_encoded_body(rig: Rig, encoding: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.post(GOOD, AUTHORIZED | {"Content-Encoding": encoding})
    refused(answer, 415, "unsupported_content_encoding", None)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Authorization", BEARER + CLIENT_KEY, BEARER + OTHER_KEY),
        ("api-key", CLIENT_KEY, CLIENT_KEY),
        ("x-sluicegate-timeout", "1", "100"),
    ],
)
async def test_a_deciding_header_twice(rig: Rig, name: str, first: str, second: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    lines = [f"{name}: {first}", f"{name.upper()}: {second}", f"Content-Length: {len(GOOD)}"]
    head = "\r\n".join(["POST /v1/responses HTTP/1.1", "Host: x", *lines]) + "\r\n\r\n"
    message = refused(await gateway.ask(head.encode() + GOOD), 400, "duplicate_header", None)
    assert CLIENT_KEY not in message


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "1e999", "1s", "soon", "0x1"])
async def test_a_timeout_that_is_none(rig: Rig, value: str) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    answer = await gateway.post(GOOD, AUTHORIZED | {"x-sluicegate-timeout": value})
    refused(answer, 400, "invalid_value", "x-sluicegate-timeout")
    assert not upstream.calls


SMALL = ServerSettings(port=0, admin_port=0, limits=ExchangeLimits(body_bytes=1000))


async def test_a_body_that_is_declared_too_large_is_not_read(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=SMALL)
    async with await gateway.connect() as client:
        client.send(
            b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"
            b"Expect: 100-continue\r\nAuthorization: Bearer " + CLIENT_KEY.encode() + b"\r\n\r\n"
        )
        answer = await client.answer()  # and nothing of the body has been sent
        message = refused(answer, 413, "request_too_large", None)
        assert answer.interim == ()
        assert "1000 bytes" in message
        assert answer.headers["connection"] == "close"


async def test_a_chunked_body_that_grows_too_large(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=SMALL)
    head = (
        b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Authorization: Bearer " + CLIENT_KEY.encode() + b"\r\n\r\n"
    )
    async with await gateway.connect() as client:
        client.send(head + b"258\r\n" + b" " * 0x258 + b"\r\n")
        client.send(b"258\r\n" + b" " * 0x258 + b"\r\n")
        refused(await client.answer(), 413, "request_too_large", None)


async def test_a_body_of_just_the_limit_passes(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()), settings=SMALL)
    assert (await gateway.post(GOOD.ljust(1000))).status == 200
    refused(await gateway.post(GOOD.ljust(1001)), 413, "request_too_large", None)


async def test_eight_megabytes_of_input_pass(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    body = json.dumps({"model": "gpt-test", "input": "x" * 8_000_000}).encode()
    assert (await gateway.post(body)).status == 200
    assert len(upstream.last.body) == len(body)


async def test_more_than_the_default_limit_is_refused(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    refused(await gateway.post(b" " * (20 * 1024 * 1024 + 1)), 413, "request_too_large", None)
    assert not upstream.calls


async def test_refusals_are_counted_by_their_code(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    await gateway.post(GOOD, {})
    await gateway.post(b"{")
    await gateway.get("/nowhere")
    assert await gateway.metric("sluicegate_refused_total", code="invalid_api_key") == 1
    assert await gateway.metric("sluicegate_refused_total", code="unknown_url") == 1
    assert await gateway.metric("sluicegate_refused_total", code="400") == 1


async def test_anonymous_callers_are_served_where_that_is_allowed(rig: Rig) -> None:
    elsewhere = msgspec.structs.replace(echo_entry(model="hidden", name="h"), namespace="other")
    gateway = await rig.gateway(
        key_entry(),
        echo_entry(),
        elsewhere,
        settings=ServerSettings(port=0, admin_port=0, allow_anonymous=True),
    )
    body = b'{"model":"echo","input":"hi"}'
    for headers in ({}, {"Authorization": BEARER + OTHER_KEY}, AUTHORIZED):
        assert (await gateway.post(body, headers)).status == 200
        answer = await gateway.post(b'{"model":"hidden","input":"hi"}', headers)
        refused(answer, 400, "model_not_found", "model")
