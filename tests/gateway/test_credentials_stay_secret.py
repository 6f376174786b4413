"""No key of a client and no credential of an upstream leaves the gateway by any way out."""

import json
import logging
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import (
    Json,
    answer_body,
    frames,
    numbered,
    prelude,
    response,
    text_events,
)
from running_gateway import (
    AUTHORIZED,
    CLIENT_KEY,
    UPSTREAM_KEY,
    RunningGateway,
    config_of,
    key_entry,
    openai_entry,
)
from scripted_upstream import Call, Script, answers, breaks_after, streams
from sluicegate.auth.authenticate import KeyIndex
from sluicegate.config import OpenAIUpstream

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
SECRETS = (CLIENT_KEY, UPSTREAM_KEY)


def leaks(text: str | bytes) -> bool:
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return any(secret in text for secret in SECRETS)


def shown(answer: Answer) -> str:
    return f"{answer.status} {answer.headers} {answer.body!r}"


async def everything_told(gateway: RunningGateway) -> str:
    """What the gateway says of itself."""
    paths = ("/metrics", "/config", "/readyz", "/healthz")
    said = [shown(await gateway.admin(path)) for path in paths]
    store = gateway.source.store
    said += [repr(store.current), repr(store.current.snapshot), repr(store.current.keys)]
    targets = store.current.snapshot.targets.values()
    said += [f"{target!r} {target.deployment!r} {target.connector!r}" for target in targets]
    said += [repr(gateway.source), repr(gateway)]
    return "\n".join(said)


def echoing(status: int, member: str) -> Script:
    """An upstream that tells in its error what it was sent, in `member` and in its headers."""

    async def script(call: Call) -> None:
        authorization = call.header("authorization") or ""
        error = {"message": "No.", "type": "t", "code": "c", "param": "p"}
        error[member] = f"You sent {authorization}, that is {UPSTREAM_KEY}."
        body = json.dumps({"error": error}).encode()
        call.answer(body, status, [("X-Echo", authorization), ("Retry-After", UPSTREAM_KEY)])

    return script


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("member", ["message", "type", "code", "param"])
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_an_upstream_that_repeats_its_credential(
    rig: Rig, status: int, member: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, _ = await rig.serving(echoing(status, member))
    with caplog.at_level(logging.DEBUG):
        answer = await gateway.post(body)
    assert answer.error["message"]
    assert not leaks(shown(answer))
    assert not leaks(caplog.text)
    assert not leaks(await everything_told(gateway))


async def test_no_part_of_a_credential_is_left_by_shortening(rig: Rig) -> None:
    for length in range(1960, 2001, 4):
        message = "x" * length + UPSTREAM_KEY
        gateway, _ = await rig.serving(
            answers(json.dumps({"error": {"message": message}}).encode(), 400)
        )
        assert UPSTREAM_KEY[:8] not in (await gateway.post(GOOD)).body.decode()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_the_gateways_fault_and_names_the_deployment(
    rig: Rig, status: int
) -> None:
    said = {"error": {"message": f"Incorrect API key provided: {UPSTREAM_KEY}", "type": "t"}}
    gateway, _ = await rig.serving(answers(json.dumps(said).encode(), status))
    answer = await gateway.post(GOOD)
    assert answer.status == 502
    assert answer.error["code"] == "upstream_credential"
    assert answer.error["type"] == "server_error"
    assert "default/primary" in answer.error["message"]
    assert answer.headers["x-should-retry"] == "false"


def saying(form: str) -> Json:
    said = {"code": "server_error", "message": f"Bad key {UPSTREAM_KEY}", "param": UPSTREAM_KEY}
    if form == "failed":
        failed = response(status="failed", more={"error": said})
        return {"type": "response.failed", "response": failed}
    return {"type": "error", **(said if form == "flat" else {"error": said})}


@pytest.mark.parametrize("form", ["failed", "nested", "flat"])
@pytest.mark.parametrize("output", [(), ("Hel", "lo")], ids=["early", "late"])
async def test_a_stream_that_repeats_its_credential(
    rig: Rig, form: str, output: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    middle: list[dict[str, Any]] = text_events(output)[:4] if output else []
    events = numbered([*prelude(), *middle, saying(form)])
    for script in (streams(*frames(events)), breaks_after(*frames(events))):
        gateway, _ = await rig.serving(script)
        answer = await gateway.post(STREAM)
        assert answer.status == (200 if output else 500)
        assert b"Bad key" in answer.body
        assert not leaks(shown(answer))
        assert not leaks(caplog.text)


async def test_azures_header_is_a_credential_too(rig: Rig) -> None:
    async def script(call: Call) -> None:
        assert call.header("authorization") is None
        said = {"error": {"message": f"Access denied for {call.header('api-key')}"}}
        call.answer(json.dumps(said).encode(), 400)

    upstream = await rig.upstream(script)
    azure = OpenAIUpstream(model="gpt-real", base_url=upstream.base_url, auth="ApiKey")
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url, upstream=azure))
    answer = await gateway.post(GOOD)
    assert answer.error["message"].startswith("Access denied for ")
    assert not leaks(answer.body)


async def test_good_traffic_leaves_no_key_in_what_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    with caplog.at_level(logging.DEBUG):
        for headers in (AUTHORIZED, {"api-key": CLIENT_KEY}, {"Authorization": CLIENT_KEY}, {}):
            assert not leaks(shown(await gateway.post(GOOD, headers)))
        assert not leaks(shown(await gateway.get("/v1/models")))
        answer = await gateway.get(f"/v1/{CLIENT_KEY}?key={CLIENT_KEY}", {})
        assert answer.status == 404  # who puts a key into the path gets it back, and nobody else
    assert not leaks(caplog.text)
    assert not leaks(await everything_told(gateway))


async def test_a_failure_inside_the_gateway_logs_no_key(
    rig: Rig, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log shows a traceback of our own, and tracebacks show no values."""
    gateway, _ = await rig.serving(answers(answer_body()))
    broken = gateway.source.store.current
    object.__setattr__(broken, "keys", _BrokenIndex())
    answer = await gateway.post(GOOD)
    assert answer.status == 500
    assert answer.error["code"] == "server_error"
    assert "inside the gateway" in caplog.text
    assert "RuntimeError: a defect" in caplog.text
    assert not leaks(caplog.text + "".join(capsys.readouterr()))
    assert not leaks(shown(answer))


class _BrokenIndex(KeyIndex):
    def find(self, key_digest: bytes) -> NoReturn:
        raise RuntimeError(f"a defect, found by {len(key_digest)} bytes")


def test_values_that_hold_secrets_do_not_show_them() -> None:
    config = config_of(key_entry(), openai_entry("http://127.0.0.1:9/v1"))
    assert not leaks(repr(config))
    assert not leaks("".join(map(repr, config.entries.values())))
