"""Client keys that the gateway has minted for itself, in files of the state directory.

`<state>/keys/<namespace>/<secretName>` holds the key and a newline. Beside it,
`.<secretName>.json` says which ApiKey it was minted for and, after a rotation, which key it
replaced and until when that one serves. Files have mode 0600, folders 0700. They outlive the
ApiKey: deleting it ends the key's rights at once, and applying it again brings the same key back.

Blocking I/O, made to run in a thread. Several gateways may share a state directory: a lock on
`<state>/keys` lets one of them mint and the others read what it minted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from sluicegate.auth.keys import is_admissible, key_id, mint
from sluicegate.compile import WantedKey
from sluicegate.source.private_files import (
    NotAFile,
    make_private_folder,
    read_private,
    replace_private,
)
from sluicegate.telemetry.logs import log

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_MAX_BYTES = 4096


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """`$SLUICEGATE_STATE_DIR`, else `sluicegate` in the user's state folder (XDG)."""
    chosen = environ.get("SLUICEGATE_STATE_DIR")
    if chosen:
        return Path(chosen)
    xdg = environ.get("XDG_STATE_HOME", "")
    if xdg.startswith("/"):  # a relative one is to be ignored, says the specification
        return Path(xdg) / "sluicegate"
    home = environ.get("HOME")
    return Path(home) / ".local/state/sluicegate" if home else Path("/var/lib/sluicegate")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A minted key. `name` is the ApiKey that it was minted for."""

    namespace: str
    secret_name: str
    name: str
    key: str
    requested_at: int | None
    previous_key: str | None
    previous_not_after: int | None

    def __repr__(self) -> str:
        return f"StoredKey({self.namespace}/{self.secret_name})"


class KeyRefused(NamedTuple):
    """Why there is no key. The message is safe to show."""

    message: str


class _Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the file beside a key says. Times are Unix seconds."""

    api_key: str
    requested_at: int | None = None
    previous_key: str | None = None
    previous_not_after: int | None = None

    def __repr__(self) -> str:
        return f"_Record({self.api_key!r})"


class _DamagedError(Exception):
    """A file of the store is not what was written there."""


class KeyStore:
    """The minted keys below one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._keys = state_dir / "keys"

    def obtain(self, wanted: Sequence[WantedKey], now: float) -> list[StoredKey | KeyRefused]:
        """For each wanted key the stored one, minted or rotated first where that is due.

        `now` is in Unix seconds. Raises nothing: what a file system refuses is a KeyRefused.
        """
        try:
            with self._locked():
                return [self._obtain(one, now) for one in wanted]
        except OSError as error:
            return [self._refused(error)] * len(wanted)

    def path(self, namespace: str, secret_name: str) -> Path:
        """The file of a key."""
        return self._keys / namespace / secret_name

    def _obtain(self, wanted: WantedKey, now: float) -> StoredKey | KeyRefused:
        for name in (wanted.namespace, wanted.secret_name):
            if _NAME.fullmatch(name) is None or ".." in name:
                return KeyRefused(f"{name!r} is no name that a key's file can have")
        path = self.path(wanted.namespace, wanted.secret_name)
        try:
            return self._stored(wanted, path, now)
        except (NotAFile, _DamagedError) as error:
            return KeyRefused(f"{error}; delete the file to have a new key minted")
        except OSError as error:
            return self._refused(error)

    def _stored(self, wanted: WantedKey, path: Path, now: float) -> StoredKey:
        rotation = wanted.rotation
        requested = wanted.requested_at(now)
        key, record = _read_key(path), _read_record(path)
        if key is None:
            record = _Record(wanted.name, requested_at=requested)
            key = _write_new_key(path, record, wanted, "minted")
        elif record is None:  # minted, but not yet recorded, when the process ended
            record = _Record(wanted.name, requested_at=requested)
            replace_private(_record_path(path), msgspec.json.encode(record))
        elif (
            rotation is not None
            and rotation.is_due(record.requested_at, now)
            and record.api_key == wanted.name
        ):
            record = _Record(
                wanted.name,
                requested_at=rotation.requested_at,
                previous_key=key,
                previous_not_after=int(now + rotation.overlap),
            )
            key = _write_new_key(path, record, wanted, "rotated")
        elif record.previous_key == key:  # the process ended in the middle of a rotation
            key = _write_new_key(path, record, wanted, "rotated")
        return StoredKey(
            namespace=wanted.namespace,
            secret_name=wanted.secret_name,
            name=record.api_key,
            key=key,
            requested_at=record.requested_at,
            previous_key=record.previous_key,
            previous_not_after=record.previous_not_after,
        )

    @contextmanager
    def _locked(self) -> Generator[None, None, None]:
        make_private_folder(self._keys)
        descriptor = os.open(self._keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _refused(self, error: OSError) -> KeyRefused:
        place = error.filename if isinstance(error.filename, str) else str(self._keys)
        return KeyRefused(
            f"{place}: {error.strerror or type(error).__name__}; choose a directory that can be "
            "written with SLUICEGATE_STATE_DIR"
        )


def _write_new_key(path: Path, record: _Record, wanted: WantedKey, what: str) -> str:
    # The record goes first. Should the process end between the two, a first key is minted next
    # time, and a rotation is known to be half done by the old key that stands in both files.
    make_private_folder(path.parent)
    replace_private(_record_path(path), msgspec.json.encode(record))
    key = mint()
    replace_private(path, f"{key}\n".encode("ascii"))
    log(
        logging.INFO,
        f"client key {what}: {path}",
        {
            "object": f"ApiKey {wanted.namespace}/{wanted.name}",
            "path": str(path),
            "key_id": key_id(key),
        },
    )
    return key


def _record_path(path: Path) -> Path:
    # No object's name begins with a dot, so this is never another key's file.
    return path.with_name(f".{path.name}.json")


def _read_key(path: Path) -> str | None:
    data = read_private(path, _MAX_BYTES)
    if data is None:
        return None
    key = data.decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    if not is_admissible(key):
        raise _DamagedError(f"{path} does not hold a key")
    return key


def _read_record(path: Path) -> _Record | None:
    data = read_private(_record_path(path), _MAX_BYTES)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=_Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _DamagedError(f"{_record_path(path)} is damaged") from None
