"""A Kubernetes API server of one collection, for what no real one can be made to do on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from scripted_upstream import Call, Script, ScriptedUpstream
from sluicegate.cluster import Access, Token


def item(name: str, version: int, value: object = None) -> bytes:
    """One object's JSON."""
    metadata = {"name": name, "namespace": "ns", "resourceVersion": str(version)}
    return json.dumps({"metadata": metadata, "value": value}).encode()


def event(kind: str, content: bytes) -> bytes:
    """One line of a watch, without its line feed."""
    return b'{"type":"%s","object":%s}' % (kind.encode(), content)


def status(code: int, reason: str = "Expired", message: str = "as scripted") -> bytes:
    return json.dumps(
        {"kind": "Status", "code": code, "reason": reason, "message": message}
    ).encode()


def refuses(code: int, reason: str = "Expired", **headers: str) -> Script:
    """A refusal, as a `Status`."""

    async def script(call: Call) -> None:
        call.answer(status(code, reason), code, headers.items())

    return script


def query(call: Call) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(call.target).query).items()}


@dataclass
class OpenWatch:
    """A watch that the client has open, and the way to tell it things."""

    call: Call

    @property
    def version(self) -> str:
        return query(self.call)["resourceVersion"]

    def send(self, *lines: bytes) -> None:
        self.call.chunk(b"".join(line + b"\n" for line in lines))

    def bookmark(self, version: int) -> None:
        content = json.dumps({"metadata": {"resourceVersion": str(version)}})
        self.send(event("BOOKMARK", content.encode()))


@dataclass
class ScriptedApiServer:
    """Lists `objects` as of `version`; hands each watch to the test.

    `next_lists` and `next_watches` answer the requests that come next in another way.
    """

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    version: int = 1
    next_lists: deque[Script] = field(default_factory=deque[Script])
    next_watches: deque[Script] = field(default_factory=deque[Script])
    lists: int = 0
    watches: int = 0
    upstream: ScriptedUpstream = field(init=False)
    _open: asyncio.Queue[OpenWatch] = field(default_factory=asyncio.Queue[OpenWatch])

    def __post_init__(self) -> None:
        self.upstream = ScriptedUpstream(self._answer)

    def put(self, name: str, value: object = None) -> bytes:
        """Write an object; the event that a watch would tell."""
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = item(name, self.version, value)
        return event(kind, self.objects[name])

    def remove(self, name: str) -> bytes:
        self.version += 1
        del self.objects[name]
        return event("DELETED", item(name, self.version))

    async def watched(self) -> OpenWatch:
        """The next watch that the client opens, or has opened."""
        async with asyncio.timeout(60):
            return await self._open.get()

    def access(self, token: Token | None = None) -> Access:
        return Access(f"http://127.0.0.1:{self.upstream.port}", "ns", token=token or Token())

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[ScriptedApiServer]:
        async with self.upstream.listening():
            yield self

    @property
    def list_calls(self) -> list[Call]:
        return [call for call in self.upstream.calls if "watch" not in query(call)]

    async def _answer(self, call: Call) -> None:
        asked = query(call)
        if "watch" in asked:
            self.watches += 1
            script = self.next_watches.popleft() if self.next_watches else self._watch
        else:
            self.lists += 1
            script = self.next_lists.popleft() if self.next_lists else self.list
        await script(call)

    async def list(self, call: Call) -> None:
        """The page that is asked for, of what is there now."""
        call.answer(self.list_body(call))

    def list_body(self, call: Call) -> bytes:
        asked = query(call)
        start, limit = int(asked.get("continue", "0")), int(asked["limit"])
        items = list(self.objects.values())
        meta: dict[str, str] = {"resourceVersion": str(self.version)}
        if start + limit < len(items):
            meta["continue"] = str(start + limit)
        page = b",".join(items[start : start + limit])
        return b'{"metadata":%s,"items":[%s]}' % (json.dumps(meta).encode(), page)

    async def _watch(self, call: Call) -> None:
        call.begin()
        self._open.put_nowait(OpenWatch(call))
        await call.gone.wait()
