"""Credentials that take a look-up or a signature, for callers with and without an event loop.

The gateway's own Authorizer does it, on an event loop of its own in a thread: so a token is found
once per process, whichever loops and threads ask for it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future

from sluicegate.auth.upstream import Authorizer
from sluicegate.providers.contract import UpstreamCall

_Headers = tuple[tuple[bytes, bytes], ...]


class Credentials:
    """The thread starts with the first call that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._authorizer = Authorizer()

    def headers(self, call: UpstreamCall) -> _Headers:
        """The headers that `call` lacks. Raises CredentialFailed."""
        if call.authorization is None:
            return ()
        future = self._ask(call)
        try:
            return future.result()
        finally:
            future.cancel()

    async def headers_async(self, call: UpstreamCall) -> _Headers:
        """The same, without blocking the caller's loop. Raises CredentialFailed."""
        if call.authorization is None:
            return ()
        return await asyncio.wrap_future(self._ask(call))

    def _ask(self, call: UpstreamCall) -> Future[_Headers]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=self._loop.run_forever, name="sluicegate-credentials", daemon=True
                )
                thread.start()
            return asyncio.run_coroutine_threadsafe(self._authorizer.headers(call), self._loop)


class _Shared:
    def __init__(self) -> None:
        self.credentials = Credentials()

    def renew(self) -> None:
        self.credentials = Credentials()


_shared = _Shared()
os.register_at_fork(after_in_child=_shared.renew)  # a fork has no copy of the thread


def shared_credentials() -> Credentials:
    """Those of this process."""
    return _shared.credentials
