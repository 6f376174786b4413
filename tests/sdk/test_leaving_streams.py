"""A stream that is left early: the upstream sees its connection close, whichever way it was."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

import sluicegate
from responses_wire import Json, frame
from scripted_upstream import Call, Script, hangs
from served_upstream import Served
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"
BEGUN = responses_stream("o1-pro", events=5)  # up to the first delta


def never_ending() -> Script:
    """Deltas for ever: what a reader's buffer hides from a hanging one."""

    async def script(call: Call) -> None:
        call.begin()
        for piece in BEGUN:
            call.chunk(piece)
        number = len(BEGUN)
        while not call.gone.is_set():
            delta: Json = {
                "type": "response.output_text.delta",
                "sequence_number": number,
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
                "delta": "and on ",
                "logprobs": [],
            }
            call.chunk(frame(delta))
            number += 1
            await asyncio.sleep(0.001)

    return script


@pytest.fixture(params=["silent", "talking"])
def served(upstream: Served, request: pytest.FixtureRequest) -> Served:
    upstream.says(hangs(*BEGUN) if request.param == "silent" else never_ending())
    return upstream


def opened(upstream: Served) -> sluicegate.ResponseStream:
    return sluicegate.responses(
        MODEL, "hi", stream=True, api_key="k", base_url=f"{upstream.origin}/v1"
    )


async def opened_async(upstream: Served) -> sluicegate.AsyncResponseStream:
    return await sluicegate.aresponses(
        MODEL, "hi", stream=True, api_key="k", base_url=f"{upstream.origin}/v1"
    )


async def closed(upstream: Served) -> None:
    await asyncio.to_thread(upstream.closed)


def test_break(served: Served) -> None:
    stream = opened(served)
    for event in stream:
        assert event.type == "response.created"
        break
    served.closed()
    assert list(stream) == []
    assert stream.final is None


def test_close(served: Served) -> None:
    stream = opened(served)
    next(stream)
    stream.close()
    served.closed()
    assert list(stream) == []
    stream.close()  # once more does nothing


def test_leaving_a_with_block(served: Served) -> None:
    with opened(served) as stream:
        next(stream)
    served.closed()


def test_an_exception_in_the_loop(served: Served) -> None:
    stream = opened(served)

    def stumble() -> None:
        for _ in stream:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    served.closed()


def test_a_stream_that_nobody_reads(served: Served) -> None:
    stream = opened(served)
    assert stream.final is None
    del stream
    gc.collect()
    served.closed()


def test_close_while_another_thread_reads(served: Served) -> None:
    stream = opened(served)
    begun = threading.Event()
    ended = threading.Event()

    def read() -> None:
        for event in stream:
            if event.type == "response.output_text.delta":
                begun.set()
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(10)
    threading.Event().wait(0.1)  # now it waits for more
    stream.close()
    served.closed()
    reader.join(10)
    assert ended.is_set()


async def test_close_while_another_task_reads(served: Served) -> None:
    stream = await opened_async(served)
    begun = asyncio.Event()

    async def read() -> None:
        async for event in stream:
            if event.type == "response.output_text.delta":
                begun.set()

    reader = asyncio.create_task(read())
    await begun.wait()
    await asyncio.sleep(0.05)
    await stream.close()
    await closed(served)
    await reader


async def test_break_async(served: Served) -> None:
    stream = await opened_async(served)
    async for event in stream:
        assert event.type == "response.created"
        break
    await closed(served)
    assert [event async for event in stream] == []


async def test_close_async(served: Served) -> None:
    stream = await opened_async(served)
    await anext(stream)
    await stream.close()
    await closed(served)
    await stream.close()


async def test_leaving_an_async_with_block(served: Served) -> None:
    async with await opened_async(served) as stream:
        await anext(stream)
    await closed(served)


async def test_cancelling_the_reader(served: Served) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async for event in await opened_async(served):
            if event.type == "response.output_text.delta":
                reading.set()

    reader = asyncio.create_task(read())
    await reading.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await closed(served)


async def test_an_async_stream_that_nobody_reads(served: Served) -> None:
    stream = await opened_async(served)
    del stream
    gc.collect()
    await closed(served)


async def test_cancelling_a_call_that_waits(upstream: Served) -> None:
    upstream.says(hangs())
    waiting = asyncio.create_task(opened_async(upstream))
    call = await asyncio.to_thread(upstream.called)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(upstream.closed, call)


def test_an_event_loop_that_ends(served: Served) -> None:
    async def leave() -> None:
        stream = await opened_async(served)
        await anext(stream)

    asyncio.run(leave())
    served.closed()


# --- interrupts -----------------------------------------------------------------------------------


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGUSR1 stands for Ctrl-C; the test runner keeps SIGINT and SIGALRM for itself."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupt_when_read(upstream: Served, frames: int) -> threading.Thread:
    """Once the reader has had time to fall asleep, as a person would."""

    def later() -> None:
        upstream.called()
        threading.Event().wait(0.1 * (1 + bool(frames)))
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=later)
    thread.start()
    return thread


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_in_a_stream(upstream: Served) -> None:
    upstream.says(hangs(*BEGUN))
    thread = interrupt_when_read(upstream, len(BEGUN))
    seen: list[str] = []
    stream = opened(upstream)
    with pytest.raises(KeyboardInterrupt):
        seen.extend(event.type for event in stream)
    thread.join(10)
    assert len(seen) == len(BEGUN)
    upstream.closed()
    assert list(stream) == []


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_before_an_answer(upstream: Served) -> None:
    upstream.says(hangs())
    thread = interrupt_when_read(upstream, 0)
    with pytest.raises(KeyboardInterrupt):
        sluicegate.responses(MODEL, "hi", api_key="k", base_url=f"{upstream.origin}/v1")
    thread.join(10)
    upstream.closed()
    assert len(upstream.calls) == 1
