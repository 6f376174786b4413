"""`sluicegate serve --manifests DIR` as a process: its folder, its signals, its log."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from eventually import eventually
from gateway_rig import Rig
from raw_client import Answer, RawClient
from responses_wire import answer_body, frames, text_stream
from running_gateway import AUTHORIZED, CLIENT_KEY, UPSTREAM_KEY
from scripted_upstream import waits
from served_folder import (
    ServedFolder,
    echo_manifest,
    key_manifest,
    openai_manifest,
    served_folder,
)

ECHO = b'{"model":"echo","input":"hi"}'


WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"


def told(answer: Answer) -> str:
    return answer.json()["output"][0]["content"][0]["text"]


Condition = Callable[[], Awaitable[bool]]


def says(served: ServedFolder, text: str) -> Condition:
    async def condition() -> bool:
        return told(await served.post(ECHO)) == text

    return condition


def refuses(served: ServedFolder) -> Condition:
    async def condition() -> bool:
        return (await served.post(ECHO)).status == 401

    return condition


def is_degraded(served: ServedFolder) -> Condition:
    async def condition() -> bool:
        return (await served.admin("/readyz")).json()["status"] == "degraded"

    return condition


def is_unready(served: ServedFolder) -> Condition:
    async def condition() -> bool:
        return (await served.admin("/readyz")).status == 503

    return condition


def is_busy(served: ServedFolder) -> Condition:
    async def condition() -> bool:
        return b"sluicegate_requests_in_flight 1.0" in (await served.admin("/metrics")).body

    return condition


async def test_a_folder_is_served_and_followed(tmp_path: Path) -> None:
    other = "sk-other-0123456789abcdef"
    manifests = {"keys.yaml": key_manifest(), "echo.yaml": echo_manifest(text="first")}
    async with served_folder(tmp_path, manifests) as served:
        assert told(await served.post(ECHO)) == "first"
        served.write("echo.yaml", echo_manifest(text="second"))
        await eventually(says(served, "second"))
        # A mistake keeps what was good, and says where it is.
        served.write(
            "echo.yaml", echo_manifest(text="third").replace("echo: {", "echo: {dalay: 1s, ")
        )
        await eventually(is_degraded(served))
        ready = (await served.admin("/readyz")).json()
        assert ready["status"] == "degraded"
        assert any("echo.yaml:4" in problem for problem in ready["config"]["problems"]), ready
        assert told(await served.post(ECHO)) == "second"
        # A deleted key is refused.
        served.write("keys.yaml", key_manifest(other, name="other"))
        await eventually(refuses(served))
        assert (await served.post(ECHO, {"Authorization": f"Bearer {other}"})).status == 200
        served.signal()
        assert await served.exit_code() == 0
    assert not any(CLIENT_KEY in line or other in line for line in served.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains(rig: Rig, tmp_path: Path, number: signal.Signals) -> None:
    go_on = asyncio.Event()
    upstream = await rig.upstream(waits(go_on, *frames(text_stream()), whole=answer_body()))
    gpt = openai_manifest(upstream.base_url, UPSTREAM_KEY)
    manifests = {"keys.yaml": key_manifest(), "gpt.yaml": gpt}
    async with served_folder(tmp_path, manifests) as served:
        async with await RawClient.open(served.port) as client:
            client.post(b'{"model":"gpt-test","input":"hi","stream":true}', AUTHORIZED)
            await client.head()
            received = await client.chunk()
            served.signal(number)
            await eventually(is_unready(served))
            ready = await served.admin("/readyz")
            assert (ready.status, ready.json()["status"]) == (503, "draining")
            with pytest.raises(ConnectionRefusedError):
                await RawClient.open(served.port)
            go_on.set()
            while chunk := await client.chunk():
                received += chunk
        assert received == WHOLE
        assert await served.exit_code() == 0
    ended = json.loads(served.log[-1])
    assert (ended["message"], ended["requests_cut_off"]) == ("stopped", 0)


@pytest.mark.parametrize("twice", [True, False], ids=["second signal", "drain timeout"])
async def test_a_drain_has_an_end(tmp_path: Path, twice: bool) -> None:
    endless = echo_manifest(text="one two three", chunk_delay="60s")
    manifests = {"keys.yaml": key_manifest(), "echo.yaml": endless}
    options = () if twice else ("--drain-timeout", "0.3")
    async with served_folder(tmp_path, manifests, *options) as served:
        client = await RawClient.open(served.port)
        client.post(b'{"model":"echo","input":"hi","stream":true}', AUTHORIZED)
        await eventually(is_busy(served))
        served.signal()
        if twice:
            await eventually(is_unready(served))
            served.signal()
        assert await served.exit_code() == 0
        client.leave()
    assert json.loads(served.log[-1])["requests_cut_off"] == 1


async def test_thirty_changes_under_load(rig: Rig, tmp_path: Path) -> None:
    """No request fails, and a stream that began before all of them completes."""
    go_on = asyncio.Event()

    upstream = await rig.upstream(waits(go_on, *frames(text_stream()), whole=answer_body()))
    manifests = {
        "keys.yaml": key_manifest(),
        "gpt.yaml": openai_manifest(upstream.base_url, UPSTREAM_KEY),
        "echo.yaml": echo_manifest(),
    }
    over = asyncio.Event()

    async def load(served: ServedFolder) -> list[Answer]:
        answers: list[Answer] = []
        async with await RawClient.open(served.port) as client:
            while not over.is_set():
                client.post(b'{"model":"gpt-test","input":"hi"}', AUTHORIZED)
                answers.append(await client.answer())
                await asyncio.sleep(0.002)
        return answers

    async with served_folder(tmp_path, manifests) as served:
        async with await RawClient.open(served.port) as client:
            client.post(b'{"model":"gpt-test","input":"hi","stream":true}', AUTHORIZED)
            await client.head()
            received = await client.chunk()
            loads = [asyncio.create_task(load(served)) for _ in range(3)]
            for number in range(30):
                served.write(f"extra-{number % 7}.yaml", echo_manifest(f"extra-{number}"))
                served.write("echo.yaml", echo_manifest(text=f"number {number}"))
                await asyncio.sleep(0.05)
                if number % 5 == 4:  # of those in between some are passed over
                    await eventually(says(served, f"number {number}"))
            over.set()
            answers = [answer for one in loads for answer in await one]
            go_on.set()
            while chunk := await client.chunk():
                received += chunk
        assert received == WHOLE
        assert {answer.status for answer in answers} == {200}
        assert len({answer.headers["x-sluicegate-config"] for answer in answers}) > 3
        config = (await served.admin("/config")).body
        assert UPSTREAM_KEY.encode() not in config
    assert not any(UPSTREAM_KEY in line or CLIENT_KEY in line for line in served.log)


async def test_every_line_of_the_log_is_json_but_the_greeting(tmp_path: Path) -> None:
    manifests = {"keys.yaml": key_manifest(), "echo.yaml": echo_manifest()}
    async with served_folder(tmp_path, manifests, "--log-level", "debug") as served:
        for headers in (AUTHORIZED, {}, {"Authorization": "Bearer sk-wrong-0123456789"}):
            await served.post(ECHO, headers)
            await served.post(b"{", headers)
        async with await RawClient.open(served.port) as client:
            client.send(b"\x16\x03\x01 nonsense\r\n\r\n")
            await client.closed()
        served.signal()
        assert await served.exit_code() == 0
    lines = [line for line in served.log if not line.startswith("sluicegate serves ")]
    assert len(served.log) - len(lines) == 1
    for line in lines:
        assert {"time", "level", "message"} <= set(json.loads(line)), line
        assert "sk-" not in line
