"""Connections to the server that gateways share: a Valkey or a Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

PATIENCE = 0.25  # seconds for one round trip; a server that takes longer is taken for gone
RETRY = 0.5  # seconds between looks for a server that is away


def client_of(url: str) -> Redis:
    """A client that has not connected yet.

    Raises ValueError for what is not a Redis URL, or where the client is not installed; its words
    hold no part of the URL.
    """
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 -- loaded where it is used only
        from redis.asyncio.retry import Retry  # noqa: PLC0415 -- as above
        from redis.backoff import NoBackoff  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise ValueError("Limits in Valkey need the package sluicegate[redis].") from error
    try:
        # Nothing is sent twice but by us: a reservation would count twice.
        return Redis.from_url(  # pyright: ignore[reportUnknownMemberType] -- its keywords have no types
            url,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            driver_info=None,  # it would read its version from the disk for each connection
        )
    except ValueError:  # whose words may hold a part of the password
        raise ValueError(
            "The URL of the store of limits is not of the form "
            "redis://[user:password@]host[:port][/database] (or rediss://, unix://)."
        ) from None


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Redis]:
    """A client for as long as it works; its connections are closed after."""
    client = client_of(url)
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await client.aclose()


def losses() -> tuple[type[Exception], ...]:
    """What is raised where a connection is lost, or the server does not do what it is asked."""
    from redis.exceptions import RedisError  # noqa: PLC0415 -- loaded where it is used only

    # RuntimeError: uvloop's, of a connection that is closed
    return RedisError, OSError, TimeoutError, RuntimeError


async def stay_connected(
    url: str, serve: Callable[[Redis], Awaitable[None]], lost: Callable[[Exception], None]
) -> None:
    """`serve` over one connection after the other, until cancelled; `lost` hears why one ended."""
    while not cancelled():
        try:
            async with connected(url) as client:
                await serve(client)
        except losses() as error:
            lost(error)
        if not cancelled():
            await asyncio.sleep(RETRY)


def cancelled() -> bool:
    """Whether this task is to end, though the exception for it may be lost.

    The client reads with a time-out of 0, and asyncio takes a cancellation that arrives just then
    for that time-out's own.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
