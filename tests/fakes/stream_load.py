"""Clients of a gateway that never stop: so many streams open at a time, and short requests beside.

No client retries anything. What went wrong is in `failures`, in a person's words.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from event_grammar import read_stream
from eventually import eventually
from raw_client import Answer, RawClient, request

_PATIENCE = 30.0
_PAUSE = 0.05  # seconds between a client's short requests


@dataclass
class StreamLoad:
    """What has come of them so far."""

    port: int
    key: str = field(repr=False)
    open: int = 0
    streams: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list[str])

    @contextlib.asynccontextmanager
    async def running(
        self, *, streams: int, clients: int, model: str = "story"
    ) -> AsyncGenerator[StreamLoad]:
        """At the end every stream and request that has begun is read to its end.

        `clients`: so many with a connection for each request, and as many that keep theirs.
        """
        ending = asyncio.Event()
        work: list[Callable[[], Awaitable[None]]] = []
        work += [lambda: self._stream(model)] * streams
        work += [self._ask, lambda: self._ask_on(ending)] * clients
        tasks = [asyncio.create_task(self._repeat(one, ending)) for one in work]
        try:
            await eventually(self._is_under_way(streams), _PATIENCE)
            yield self
        finally:
            ending.set()
            await asyncio.gather(*tasks)

    def _is_under_way(self, streams: int) -> Callable[[], Awaitable[bool]]:
        async def under_way() -> bool:
            return self.open >= streams or bool(self.failures)

        return under_way

    async def _repeat(self, one: Callable[[], Awaitable[None]], ending: asyncio.Event) -> None:
        while not ending.is_set():
            try:
                await one()
            except (OSError, EOFError, AssertionError, TimeoutError) as error:
                self.failures.append(repr(error))
                await asyncio.sleep(_PAUSE)

    async def _stream(self, model: str) -> None:
        body = {"model": model, "input": "Go on", "stream": True}
        async with await RawClient.open(self.port) as client:
            client.send(self._request(body))
            status, _ = await client.head()
            assert status == 200, (status, await client.chunk())
            chunks: list[bytes] = []
            self.open += 1
            try:
                while chunk := await client.chunk():
                    chunks.append(chunk)
            finally:
                self.open -= 1
        *frames, done = b"".join(chunks).split(b"\n\n")[:-1]
        assert done == b"data: [DONE]"
        said = read_stream((frame + b"\n\n" for frame in frames), strict=False)
        assert said["status"] == "completed"
        self.streams += 1

    async def _ask(self) -> None:
        async with await RawClient.open(self.port) as client:
            await self._answered(client)

    async def _ask_on(self, ending: asyncio.Event) -> None:
        """On one connection, until the gateway says that it closes it, or has."""
        async with await RawClient.open(self.port) as client:
            while not ending.is_set() and not client.reader.at_eof():
                answer = await self._answered(client)
                if answer.headers.get("connection") == "close":
                    return

    async def _answered(self, client: RawClient) -> Answer:
        client.send(self._request({"model": "echo", "input": "Hello"}))
        answer = await client.answer()
        assert answer.status == 200, answer
        self.requests += 1
        await asyncio.sleep(_PAUSE)
        return answer

    def _request(self, body: object) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}"}
        return request(json.dumps(body).encode(), headers)
