"""TLS for the public port, with certificates that are replaced while it serves."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.telemetry.logs import log

_POLL_SECONDS = 1.0
_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})


class PairRefused(Exception):
    """A certificate and its key that can't serve. `of_key`: the fault is in the key's file."""

    def __init__(self, message: str, *, of_key: bool) -> None:
        super().__init__(message)
        self.of_key = of_key


def _signature(*paths: Path) -> tuple[tuple[int, int, int], ...]:
    """What changes when a file is rewritten, renamed over, or reached by another link."""
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in map(Path.stat, paths))


@dataclass(slots=True)
class Certificate:
    """A certificate chain and its key, both PEM.

    Raises PairRefused when it can't be loaded, OSError when a file can't be read.
    """

    cert: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    _seen: tuple[tuple[int, int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Load it for the first time."""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = _signature(self.cert, self.key)
        _load(self.context, self.cert, self.key)

    async def follow(self) -> None:
        """Take up new files as they come; runs until cancelled.

        New connections get the new certificate. Files that do not fit together (a certificate is
        replaced in two steps) leave the old one in place and are tried again.
        """
        complained = None
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                signature = _signature(self.cert, self.key)
                if signature == self._seen:
                    if complained is not None:
                        complained = None
                        log(logging.INFO, "the files of the TLS certificate are what it serves")
                    continue
                # Tried on a context of its own first: loading a pair that does not fit spoils the
                # one that serves.
                _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.cert, self.key)
                _load(self.context, self.cert, self.key)
            except (OSError, PairRefused) as error:
                if complained != str(error):
                    complained = str(error)
                    log(
                        logging.ERROR,
                        "the new TLS certificate can't be loaded; the old one serves",
                        {"cert": str(self.cert), "error": complained},
                    )
            else:
                self._seen, complained = signature, None
                log(logging.INFO, "TLS certificate reloaded", {"cert": str(self.cert)})


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Load the pair. Raises PairRefused, which says what is wrong with which file, or OSError."""
    asked = False

    def password() -> str:
        # Without this OpenSSL would ask for it at the terminal, and nothing else would run.
        nonlocal asked
        asked = True
        return ""

    try:
        # OpenSSL's own words don't tell which of the two files is at fault.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cert)
    except ssl.SSLError as error:
        raise PairRefused(f"{cert} holds no certificate in PEM form", of_key=False) from error
    try:
        context.load_cert_chain(cert, key, password)
    except ssl.SSLError as error:
        if asked:
            reason = f"the key in {key} is encrypted; give it without a passphrase"
        elif error.reason == "KEY_VALUES_MISMATCH":
            reason = f"the key in {key} is not that of the certificate in {cert}"
        elif error.reason in _WEAK:
            raise PairRefused(f"the certificate in {cert} is too weak", of_key=False) from error
        else:
            reason = f"{key} holds no private key in PEM form that fits {cert}"
        raise PairRefused(reason, of_key=True) from error
