"""The client's side of one request, as the pipeline sees it.

The server implements it over its sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]


class ClientGone(Exception):
    """The client closed its connection, or took too long to read."""


class Exchange(Protocol):
    """One request and the way to answer it. Exactly one of `send` or `begin` … `end` is called."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers; names are found in any case."""
        ...

    async def read_body(self) -> bytes:
        """The whole body.

        Raises ApiError where it is too large, too slow or of the wrong type; ClientGone.
        """
        ...

    def send(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """A whole JSON answer."""
        ...

    def begin(self, headers: Iterable[Header]) -> None:
        """The head of an event stream with status 200; it goes out with the first bytes."""
        ...

    def write(self, data: bytes) -> None:
        """Bytes of the stream; never blocks, so `drain` must follow."""
        ...

    async def drain(self) -> None:
        """Wait until the client has room for more. Raises ClientGone."""
        ...

    def end(self, data: bytes) -> None:
        """The last bytes of the stream."""
        ...
