"""One warning for each failed attempt, in our own words; nothing for those that succeed."""

import logging

import pytest

from gateway_rig import Rig
from responses_wire import answer_body, frames, numbered, prelude, text_events, text_stream
from running_gateway import AUTHORIZED, CLIENT_KEY
from scripted_upstream import answers, breaks_after, streams

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
    gateway, _ = await rig.serving(breaks_after(*BEGUN))
    with caplog.at_level(logging.WARNING, "sluicegate"):
        answer = await gateway.post(STREAM)
    assert b"response.failed" in answer.body
    (line,) = warnings_of(caplog)
    assert (line["outcome"], line["status"]) == ("broken_stream", None)
    assert line["request"] == answer.headers["x-request-id"]


async def test_success_logs_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = await rig.serving(answers(answer_body()))
    streamed, _ = await rig.serving(streams(*frames(text_stream())))
    with caplog.at_level(logging.DEBUG, "sluicegate"):
        assert (await whole.post(GOOD)).status == 200
        assert (await streamed.post(STREAM, AUTHORIZED)).status == 200
    assert [record.getMessage() for record in caplog.records] == []
