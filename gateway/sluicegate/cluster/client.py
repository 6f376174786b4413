"""Requests to the Kubernetes API: one call is one request, typed answers, typed errors.

Nothing is retried here but a 401 with a token that has rotated; who asks knows what to do instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import aiohttp
import msgspec

from sluicegate.cluster.access import Access
from sluicegate.cluster.errors import ClusterUnreachable, GarbledAnswer, status_error
from sluicegate.cluster.shallow import elements, members, metadata_of
from sluicegate.cluster.values import Metadata, ResourceType

T = TypeVar("T")

CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
# A page of a list is read in one piece: its size bounds memory and how long that takes. How large
# its objects are is known only after the first.
FIRST_PAGE = 32  # objects
PAGE_BYTES = 1024 * 1024

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"

# A peer that has vanished without a word (a partition, a node that died) is noticed after about
# 20 s; TCP alone would wait for minutes.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}


class Page(msgspec.Struct, frozen=True):
    """A part of a list: each object's JSON, and the version that the whole list is of."""

    items: tuple[bytes, ...]
    resource_version: str


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    next: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a type are listed and watched, and how much of each.

    `namespace=None` is all of them, or a type that has none. `metadata_only` brings
    PartialObjectMetadata: what else an object holds never leaves the server.
    """

    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    def query(self) -> dict[str, str]:
        """The selectors as parameters."""
        given = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in given.items() if value}

    def accept(self, suffix: str) -> str:
        """The media type to ask for; `suffix` is "List" for a list."""
        return _METADATA.format(suffix) if self.metadata_only else _JSON


class Lines:
    """Whole lines out of a stream of chunks."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end within this chunk, without their line feeds and without empty ones."""
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join((*self._begun, ended[0]))
            self._begun = []
        if rest:
            self._begun.append(rest)
        return [line for line in ended if line]


class ClusterClient:
    """An identity's connections to one API server; make it in the event loop that uses it.

    Every method raises ClusterUnreachable when there is no answer and ApiStatusError (or one of its
    kinds) when the server refuses. `namespace=None` is for types without namespaces, and for lists
    of all namespaces.
    """

    def __init__(self, access: Access, *, timeout: float = 30.0) -> None:
        """`timeout` is in seconds and covers a whole request, but not a watch."""
        self.access = access
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        self._sockets = weakref.WeakSet[socket.socket]()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=access.tls if access.tls is not None else True, socket_factory=self._socket
            ),
            # Within a cluster, packing costs both sides more than it saves.
            headers={"User-Agent": "sluicegate", "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; watches end with ClusterUnreachable.

        What was left before its end says farewell in TLS, and a server that is busy or gone owes
        its own for 30 s. No event loop of uvloop can be closed meanwhile, so it is not waited for.
        """
        await self._session.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):  # long closed
                one.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while any(one.fileno() >= 0 for one in self._sockets):  # noqa: ASYNC110 -- no event
                    await asyncio.sleep(0.001)

    async def get(
        self, resource: ResourceType, name: str, as_type: type[T], *, namespace: str | None = None
    ) -> T:
        """One object, as the server holds it now (a consistent read)."""
        return await self._object("GET", resource.path(namespace, name), as_type)

    async def create(
        self,
        resource: ResourceType,
        manifest: object,
        as_type: type[T],
        *,
        namespace: str | None = None,
        name: str = "",
        subresource: str = "",
    ) -> T:
        """POST to the collection, or to a subresource of `name` (a token, an eviction)."""
        path = resource.path(namespace, name, subresource)
        return await self._object("POST", path, as_type, body=manifest)

    async def apply(
        self,
        resource: ResourceType,
        name: str,
        manifest: object,
        as_type: type[T],
        *,
        manager: str,
        namespace: str | None = None,
        force: bool = True,
        subresource: str = "",
    ) -> T:
        """Server-side apply; a resourceVersion in the manifest's metadata fences it (Conflict)."""
        return await self._object(
            "PATCH",
            resource.path(namespace, name, subresource),
            as_type,
            query={"fieldManager": manager, "force": "true" if force else "false"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    async def patch(
        self,
        resource: ResourceType,
        name: str,
        patch: object,
        as_type: type[T],
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """Merge patch (RFC 7396); a resourceVersion in its metadata fences it (Conflict)."""
        path = resource.path(namespace, name, subresource)
        content_type = "application/merge-patch+json"
        return await self._object("PATCH", path, as_type, body=patch, content_type=content_type)

    async def replace(
        self,
        resource: ResourceType,
        name: str,
        manifest: object,
        as_type: type[T],
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """PUT; a resourceVersion in the manifest's metadata fences it (Conflict)."""
        path = resource.path(namespace, name, subresource)
        return await self._object("PUT", path, as_type, body=manifest)

    async def delete(
        self,
        resource: ResourceType,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete it, if given only while it is this very object at this version (Conflict)."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in wanted.items() if value is not None}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            **({"preconditions": preconditions} if preconditions else {}),
        }
        await self._request("DELETE", resource.path(namespace, name), body=options)

    async def pages(
        self, resource: ResourceType, selection: Selection, *, first: int = FIRST_PAGE
    ) -> AsyncGenerator[Page]:
        """The list, page by page: a consistent read, never from a cache that lags behind.

        The first page has at most `first` objects, the others as many as make about PAGE_BYTES.
        Raises Gone where it took so long that the server no longer knows that version.
        """
        path = resource.path(selection.namespace)
        query = selection.query()
        limit = first
        while True:
            query["limit"] = str(limit)
            body = await self._request("GET", path, query=query, accept=selection.accept("List"))
            with _reading(f"GET {path}"):
                page = _as_list(body)
            yield Page(tuple(map(bytes, page.items or ())), page.metadata.resource_version)
            if not page.metadata.next:
                return
            query["continue"] = page.metadata.next
            limit = max(1, min(2 * limit, limit * PAGE_BYTES // len(body)))

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: ResourceType,
        selection: Selection,
        resource_version: str,
        *,
        seconds: int,
        idle: float,
    ) -> AsyncGenerator[AsyncGenerator[list[bytes]]]:
        """The lines of a watch from a version on, as many at a time as have arrived.

        The server ends it after `seconds`. ClusterUnreachable after `idle` seconds without a byte:
        bookmarks come about once a minute.
        """
        path = resource.path(selection.namespace)
        query = selection.query() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle)
        with _telling(f"watch {path}"):
            response = await self._send("GET", path, query, timeout, accept=selection.accept(""))
        async with response:
            if response.status != 200:
                with _telling(f"watch {path}"):
                    raise status_error(await response.read(), response.status, _wait(response))
            async with contextlib.aclosing(_lines(response, path)) as lines:
                yield lines

    async def _object(
        self,
        method: str,
        path: str,
        as_type: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = _JSON,
    ) -> T:
        """A request that is answered with one object; of which, if that will do, only metadata."""
        accept = _METADATA.format("") if as_type is Metadata else _JSON
        answer = await self._request(
            method, path, query=query, body=body, content_type=content_type, accept=accept
        )
        with _reading(f"{method} {path}"):
            try:
                return msgspec.json.decode(answer, type=as_type)
            except RecursionError:
                if accept == _JSON:
                    raise
                return msgspec.json.decode(b'{"metadata":%s}' % metadata_of(answer), type=as_type)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        with _telling(f"{method} {path}"):
            response = await self._send(
                method,
                path,
                query or {},
                self._timeout,
                accept=accept,
                content=content,
                content_type=content_type,
            )
            async with response:
                answer = await response.read()
        if response.status >= 300:
            raise status_error(answer, response.status, _wait(response))
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own kind
        *,
        accept: str,
        content: bytes | None = None,
        content_type: str = _JSON,
    ) -> aiohttp.ClientResponse:
        token = self.access.token
        bearer = await token.current()
        while True:
            headers = {"Accept": accept, "Content-Type": content_type}
            if bearer:
                headers["Authorization"] = f"Bearer {bearer}"
            response = await self._session.request(
                method,
                self.access.server + path,
                params=query,
                data=content,
                headers=headers,
                timeout=timeout,
                server_hostname=self.access.server_name,
                allow_redirects=False,
            )
            if response.status != 401 or not token.rotates:
                return response
            newer = await token.current(fresh=True)
            if newer == bearer:
                return response
            response.release()
            bearer = newer

    def _socket(self, address: tuple[int, int, int, str, object]) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            option = getattr(socket, name, None)  # not every system has each of them
            if option is not None:
                made.setsockopt(socket.IPPROTO_TCP, option, value)
        self._sockets.add(made)
        return made


@contextlib.contextmanager
def _telling(what: str) -> Generator[None]:
    """Make one error of all that keeps an answer from coming."""
    try:
        yield
    except TimeoutError:
        raise ClusterUnreachable(f"{what}: no answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ClusterUnreachable(f"{what}: {type(error).__name__}: {error}") from None


@contextlib.contextmanager
def _reading(what: str) -> Generator[None]:
    """Say of what is answered, and is not what was asked for, to what it is an answer."""
    try:
        yield
    except (msgspec.DecodeError, RecursionError, KeyError) as error:
        raise GarbledAnswer(f"{what}: that is no answer of Kubernetes: {error}") from None


async def _lines(response: aiohttp.ClientResponse, path: str) -> AsyncGenerator[list[bytes]]:
    lines = Lines()
    while True:
        with _telling(f"watch {path}"):
            chunk = await response.content.readany()
        if not chunk:
            return
        yield lines.feed(chunk)


def _as_list(content: bytes) -> _List:
    try:
        return msgspec.json.decode(content, type=_List)
    except RecursionError:
        found = members(content)
        return _List(
            msgspec.json.decode(found["metadata"], type=_ListMeta),
            [msgspec.Raw(one) for one in elements(found["items"])],
        )


def _wait(response: aiohttp.ClientResponse) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3); the API server writes no dates there."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
