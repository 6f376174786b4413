"""One warning for each failed attempt, in our own words; nothing for those that succeed."""

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme

from gateway_rig import Rig
from responses_wire import answer_body, frames, numbered, prelude, text_events, text_stream
from running_gateway import AUTHORIZED, CLIENT_KEY, RunningGateway, key_entry, openai_entry
from scripted_upstream import answers, breaks_after, hangs, streams
from sluicegate.config import Timeouts

WORDS = "what-the-client-said"
GOOD = f'{{"model":"gpt-test","input":"{WORDS}"}}'.encode()
STREAM = f'{{"model":"gpt-test","stream":true,"input":"{WORDS}"}}'.encode()
SAID = "what-the-upstream-said"
BUSY = f'{{"error":{{"message":"{SAID}","type":"t","code":"{SAID}","param":null}}}}'.encode()
BEGUN = frames(numbered([*prelude(), *text_events(("Hel", "lo"))[:4]]))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The fields of each warning about an attempt."""
    return [
        {**vars(record)["fields"]}
        for record in caplog.records
        if record.getMessage() == "an attempt failed" and record.levelno == logging.WARNING
    ]


async def test_each_failed_attempt_is_a_line(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    gateway, _ = await rig.pool(answers(BUSY, 529), answers(BUSY, 429), answers(answer_body()))
    with caplog.at_level(logging.WARNING, "sluicegate"):
        answer = await gateway.post(GOOD)
    assert answer.status == 200
    common = {"request": answer.headers["x-request-id"], "model": "gpt-test"}
    assert warnings_of(caplog) == [
        {**common, "deployment": "default/number0", "outcome": "server_error", "status": 529},
        {**common, "deployment": "default/number1", "outcome": "rate_limited", "status": 429},
    ]
    told = repr([vars(record) for record in caplog.records])
    for secret in (SAID, WORDS, CLIENT_KEY, "sk-upstream"):
        assert secret not in told


async def test_a_stream_that_breaks_is_a_line(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    gateway, upstream = await rig.serving(breaks_after(*BEGUN))
    with caplog.at_level(logging.WARNING, "sluicegate"):
        answer = await gateway.post(STREAM)
    assert b"response.failed" in answer.body
    (line,) = warnings_of(caplog)
    assert (line["outcome"], line["status"]) == ("broken_stream", None)
    assert line["upstream"] == upstream.base_url.split("/")[2]
    assert b"127.0.0.1" not in answer.body
    assert line["request"] == answer.headers["x-request-id"]


async def nobody(rig: Rig) -> tuple[RunningGateway, str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
    return await rig.gateway(key_entry(), openai_entry(f"http://{where}/v1")), where


async def no_name(rig: Rig) -> tuple[RunningGateway, str]:
    deployment = openai_entry("https://llm.team-a.invalid/v1")
    return await rig.gateway(key_entry(), deployment), "llm.team-a.invalid:443"


async def untrusted(rig: Rig) -> tuple[RunningGateway, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    upstream = await rig.upstream(answers(answer_body()), context)
    where = upstream.base_url.split("/")[2]
    return await rig.gateway(key_entry(), openai_entry(f"https://{where}/v1")), where


async def closing(rig: Rig) -> tuple[RunningGateway, str]:
    gateway, upstream = await rig.serving(breaks_after())
    return gateway, upstream.base_url.split("/")[2]


async def slow(rig: Rig) -> tuple[RunningGateway, str]:
    upstream = await rig.upstream(hangs())
    deployment = openai_entry(upstream.base_url, timeouts=Timeouts(first_byte=0.05))
    return await rig.gateway(key_entry(), deployment), upstream.base_url.split("/")[2]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (nobody, "cannot connect: connection refused"),
        (no_name, "cannot connect: the name does not resolve"),
        (untrusted, "cannot connect: certificate not accepted: "),
        (closing, "the connection was closed before the answer was complete"),
        (slow, "no answer in time"),
    ],
)
@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_only_the_log_says_where_the_upstream_is(
    rig: Rig,
    caplog: pytest.LogCaptureFixture,
    scene: Callable[[Rig], Awaitable[tuple[RunningGateway, str]]],
    reason: str,
    body: bytes,
) -> None:
    """A shared deployment is called by namespaces that are not to know its owner's hosts."""
    gateway, where = await scene(rig)
    with caplog.at_level(logging.WARNING, "sluicegate"):
        answer = await gateway.post(body)
    assert answer.status in (502, 504)
    told = answer.error["message"]
    assert told.startswith(f"Deployment default/primary: {reason}")
    assert told.endswith(".")
    host, _, port = where.partition(":")
    assert host.encode() not in answer.body
    assert port not in told
    (line,) = warnings_of(caplog)
    assert line["upstream"] == where
    assert told == f"Deployment default/primary: {line['reason']}."


async def test_success_logs_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = await rig.serving(answers(answer_body()))
    streamed, _ = await rig.serving(streams(*frames(text_stream())))
    with caplog.at_level(logging.DEBUG, "sluicegate"):
        assert (await whole.post(GOOD)).status == 200
        assert (await streamed.post(STREAM, AUTHORIZED)).status == 200
    assert [record.getMessage() for record in caplog.records] == []
