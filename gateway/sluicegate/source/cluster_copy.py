"""The last good bundle in a file of this machine, for a start while the API server is away.

`<state>/<namespace>.<config name>.bundle`, mode 0600: the data of the index Secret with all shards
inside, as MessagePack. Whatever else it may have become is found out when it is read, as with the
Secrets themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from sluicegate.bundle import Bundle
from sluicegate.source.private_files import (
    NotAFile,
    clear_unfinished,
    make_private_folder,
    read_private,
    replace_private,
)

_MOST = 32 * 1024 * 1024  # octets; sixteen shards of the largest size are 8 MiB

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


class CopyUnusable(Exception):
    """Why there is no copy to be had. The message holds nothing of its content."""


class BundleCopy:
    """The file of one config. `tell` is told what keeps it from being written, None: nothing.

    A write takes place in a thread; of bundles that come meanwhile the last one is kept.
    """

    def __init__(
        self, state_dir: Path, namespace: str, config_name: str, tell: Callable[[str | None], None]
    ) -> None:
        self._path = state_dir / f"{namespace}.{config_name}.bundle"
        self._tell = tell
        self._next: Bundle | None = None
        self._news = asyncio.Event()

    async def read(self) -> dict[str, bytes] | None:
        """The data that was kept, not verified yet; None without any. Raises CopyUnusable."""
        try:
            data = await asyncio.to_thread(self._read)
            return None if data is None else _decoder.decode(data)
        except NotAFile as error:
            raise CopyUnusable(str(error)) from None
        except OSError as error:
            raise CopyUnusable(f"{self._path}: {error.strerror}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CopyUnusable(f"{self._path} is damaged") from None

    def note(self, bundle: Bundle) -> None:
        """This one serves now, and is to be kept."""
        self._next = bundle
        self._news.set()

    async def keep(self) -> None:
        """Write what is noted, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            bundle, self._next = self._next, None
            if bundle is not None:
                self._tell(await asyncio.to_thread(self._write, bundle))

    def _read(self) -> bytes | None:
        clear_unfinished(self._path)
        return read_private(self._path, _MOST)

    def _write(self, bundle: Bundle) -> str | None:
        """Why it can't be written; None when it is."""
        try:
            make_private_folder(self._path.parent)
            replace_private(self._path, _encoder.encode(bundle.data()))
        except OSError as error:
            return (
                f"the bundle can't be kept for a start without the API server: {self._path}: "
                f"{error.strerror}; choose a directory that can be written with "
                "SLUICEGATE_STATE_DIR"
            )
        return None
