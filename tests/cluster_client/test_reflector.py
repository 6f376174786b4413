"""The reflector against a server that misbehaves: it ends equal to it and asks no more than due."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator

import pytest

from eventually import eventually
from scripted_api_server import ScriptedApiServer, event, query, refuses, status
from scripted_upstream import Call, Script, answers
from sluicegate.cluster import (
    SECRETS,
    Access,
    ApiStatusError,
    ClusterClient,
    ClusterUnreachable,
    ObjectKey,
    Reflector,
    Timing,
)

FAST = Timing(backoff=0.001, most_backoff=0.01)


class Followed:
    """A reflector and each batch that it has told."""

    def __init__(self, client: ClusterClient, timing: Timing, *, metadata_only: bool) -> None:
        self.batches: list[set[str]] = []
        self._told = asyncio.Event()
        self.reflector: Reflector[object] = Reflector(
            client,
            SECRETS,
            lambda content: json.loads(content)["value"],
            on_change=self._on_change,
            namespace="ns",
            metadata_only=metadata_only,
            timing=timing,
        )

    def _on_change(self, keys: frozenset[ObjectKey]) -> None:
        assert {key.namespace for key in keys} <= {"ns"}
        self.batches.append({key.name for key in keys})
        self._told.set()

    @property
    def values(self) -> dict[str, object]:
        return {key.name: value for key, value in self.reflector.objects.items()}

    async def holds(self, **values: object) -> None:
        """Wait until exactly these are held; only what is told wakes it."""
        async with asyncio.timeout(10):
            await self.reflector.wait_synced()
            while self.values != values:
                self._told.clear()
                await self._told.wait()


@contextlib.asynccontextmanager
async def following(
    client: ClusterClient, timing: Timing = FAST, *, metadata_only: bool = False
) -> AsyncGenerator[Followed]:
    followed = Followed(client, timing, metadata_only=metadata_only)
    running = asyncio.create_task(followed.reflector.run())
    try:
        yield followed
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_changes_are_told_in_batches(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    server.put("a", 1)
    async with following(client) as followed:
        watch = await server.watched()
        await followed.holds(a=1)
        watch.send(server.put("b", 2), server.put("c", 3), server.remove("a"))
        await followed.holds(b=2, c=3)
    assert followed.batches == [{"a"}, {"a", "b", "c"}]
    assert watch.version == "2"


async def test_an_empty_first_list_is_told(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client) as followed:
        await followed.reflector.wait_synced()
        await server.watched()
    assert followed.batches == [set()]


async def test_a_long_list_comes_in_pages(server: ScriptedApiServer, client: ClusterClient) -> None:
    values = {f"s{number}": number for number in range(600)}
    for name, value in values.items():
        server.put(name, value)
    async with following(client) as followed:
        await followed.holds(**values)
    assert [query(call)["limit"] for call in server.list_calls] == ["32", "64", "128", "256", "512"]
    assert followed.batches == [set(values)]


async def test_a_page_of_large_objects_has_few(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    values = {f"s{number}": "x" * 200_000 for number in range(50)}
    for name, value in values.items():
        server.put(name, value)
    async with following(client) as followed:
        await followed.holds(**values)
    limits = [int(query(call)["limit"]) for call in server.list_calls]
    assert limits == [32, 5, 5, 5, 5]


@pytest.mark.parametrize("code", [410, 500])
async def test_a_list_that_breaks_off_is_not_half_taken(
    server: ScriptedApiServer, client: ClusterClient, code: int
) -> None:
    values = {f"s{number}": number for number in range(300)}
    for name, value in values.items():
        server.put(name, value)
    async with following(client) as followed:
        (await server.watched()).call.reset()
        server.next_lists.extend((server.list, refuses(code)))
        server.remove("s7")
        await followed.holds(**{name: value for name, value in values.items() if name != "s7"})
    assert followed.batches == [set(values), {"s7"}]


def in_stream(code: int) -> Script:
    async def script(call: Call) -> None:
        call.begin()
        call.chunk(event("ERROR", status(code)) + b"\n")
        call.end()

    return script


async def breaks_in_a_line(call: Call) -> None:
    call.begin()
    call.chunk(b'{"type":"MODIFIED","obj')
    await asyncio.sleep(0.01)
    call.reset()


async def ends_at_once(call: Call) -> None:
    call.begin()
    call.end()


async def resets(call: Call) -> None:
    call.reset()


FAULTS = {
    **{f"in-stream {code}": in_stream(code) for code in (410, 429, 500, 504)},
    **{f"HTTP {code}": refuses(code) for code in (401, 403, 404, 410, 429, 500, 503)},
    "reset in a line": breaks_in_a_line,
    "reset at once": resets,
    "ends at once": ends_at_once,
    "another server's page": answers(b"<html>", headers=[("X", "y")]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_a_broken_watch_missed_is_mended(
    server: ScriptedApiServer, client: ClusterClient, fault: Script
) -> None:
    server.put("a", 1)
    server.put("b", 2)
    server.next_watches.extend([fault] * 3)
    async with following(client) as followed:
        await followed.reflector.wait_synced()
        server.remove("a")  # nobody tells
        server.put("b", 3)
        await followed.holds(b=3)
        watch = await server.watched()
        watch.send(server.put("c", 4))
        await followed.holds(b=3, c=4)
        assert followed.reflector.failure is None
    # A server that is in trouble is not asked in a tight loop, and one that is not is asked once.
    assert server.watches == 4
    assert server.lists <= 4


@pytest.mark.parametrize(
    "fault",
    [*(refuses(code) for code in (403, 404, 410, 429, 500)), resets, answers(b"<html>")],
)
async def test_a_list_that_fails_leaves_all_as_it_is(
    server: ScriptedApiServer, client: ClusterClient, fault: Script
) -> None:
    server.put("a", 1)
    server.next_lists.extend([fault] * 2)
    async with following(client) as followed:
        await followed.holds(a=1)
        watch = await server.watched()
        server.next_lists.extend([fault] * 3)
        watch.call.reset()
        await eventually(lambda: is_true(followed.reflector.failure is not None))
        assert followed.values == {"a": 1}
        watch = await server.watched()
        watch.send(server.put("a", 2))
        await followed.holds(a=2)
        assert followed.reflector.failure is None
    assert followed.batches == [{"a"}, {"a"}]


async def is_true(value: bool) -> bool:
    return value


async def test_a_clean_end_is_followed_by_a_list(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    """The server that takes over may have been restored from a backup."""
    async with following(client) as followed:
        first = await server.watched()
        first.send(server.put("a", 1))
        await followed.holds(a=1)
        server.objects.clear()
        server.version = 5
        first.call.end()
        await followed.holds()
        second = await server.watched()
    assert second.version == "5"
    assert server.lists == 2


async def test_a_silent_watch_is_left(server: ScriptedApiServer, client: ClusterClient) -> None:
    async with following(client, Timing(idle=0.1, backoff=0.001)) as followed:
        await server.watched()
        server.put("a", 1)  # never told
        await followed.holds(a=1)
        assert server.lists > 1


async def test_bookmarks_are_a_sign_of_life(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client) as followed:
        watch = await server.watched()
        before = followed.reflector.last_sign_of_life
        watch.bookmark(5)
        await eventually(lambda: is_true(followed.reflector.last_sign_of_life > before))


async def test_it_lists_again_after_a_while(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client, Timing(relist=0.1)) as followed:
        watch = await server.watched()
        watch.bookmark(1)
        server.put("a", 1)  # lost by the server, as it were
        await followed.holds(a=1)
    assert 0 < int(query(watch.call)["timeoutSeconds"]) <= 2


async def test_a_relist_sees_what_was_there_when_it_was_asked_for(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client) as followed:
        for round_ in range(3):
            await server.watched()
            server.put("a", round_)
            await asyncio.gather(*(followed.reflector.relist() for _ in range(2)))
            assert followed.values == {"a": round_}
    assert server.lists == 4
    assert all("resourceVersion" not in query(call) for call in server.list_calls)


async def test_a_relist_during_a_list_waits_for_the_next(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        content = server.list_body(call)
        await go_on.wait()
        call.answer(content)

    server.next_lists.append(slow)
    async with following(client) as followed:
        await server.upstream.called()
        server.put("a", 1)
        asked = asyncio.create_task(followed.reflector.relist())
        await asyncio.sleep(0)
        go_on.set()
        await asked
        assert followed.values == {"a": 1}


async def test_a_relist_that_fails_says_so(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client) as followed:
        await server.watched()
        server.next_lists.append(refuses(403, "Forbidden"))
        with pytest.raises(ApiStatusError, match="Forbidden"):
            await followed.reflector.relist()
        await followed.reflector.relist()


async def test_a_relist_ends_with_the_reflector(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async def never(call: Call) -> None:
        await call.gone.wait()

    server.next_lists.append(never)
    async with following(client) as followed:
        asked = asyncio.create_task(followed.reflector.relist())
        await server.upstream.called()
    with pytest.raises(asyncio.CancelledError):
        await asked


@pytest.mark.parametrize("error", [TimeoutError, OSError, KeyError])
async def test_only_a_faulty_callback_ends_it(
    server: ScriptedApiServer, client: ClusterClient, error: type[Exception]
) -> None:
    def fail(keys: frozenset[ObjectKey]) -> None:
        if keys:
            raise error("a callback's")

    reflector = Reflector(client, SECRETS, bytes, on_change=fail, namespace="ns", timing=FAST)
    running = asyncio.create_task(reflector.run())
    watch = await server.watched()
    watch.send(server.put("a", 1))
    with pytest.raises(error, match="a callback's"):
        await asyncio.wait_for(running, 10)


async def test_a_line_may_come_in_any_pieces(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client) as followed:
        watch = await server.watched()
        lines = server.put("a", "x" * 900_000) + b"\n" + server.put("b", 2) + b"\n"
        for start in range(0, len(lines), 70_001):
            watch.call.chunk(lines[start : start + 70_001])
            await asyncio.sleep(0)
        await followed.holds(a="x" * 900_000, b=2)


async def test_metadata_alone_is_asked_for(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    async with following(client, metadata_only=True):
        watch = await server.watched()
    kinds = [call.header("accept") for call in (server.list_calls[0], watch.call)]
    assert kinds == [
        f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"
        for suffix in ("List", "")
    ]


async def test_trouble_is_logged_once_and_its_end_too(
    server: ScriptedApiServer, client: ClusterClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.next_lists.extend([refuses(500, "InternalError")] * 5)
    async with following(client):
        await server.watched()
        await eventually(lambda: is_true(len(caplog.messages) > 1))
    assert caplog.messages == [
        "secrets: 500 InternalError: as scripted",
        "secrets: the API server answers again",
    ]


async def test_nobody_listens() -> None:
    unused = Access("http://127.0.0.1:1", "ns")
    async with ClusterClient(unused) as client, following(client) as followed:
        await eventually(lambda: is_true(followed.reflector.failure is not None))
        with pytest.raises(ClusterUnreachable):
            await followed.reflector.relist()
        assert not followed.reflector.synced
