"""TLS for the public port, with certificates that are replaced while it serves."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.telemetry.logs import log

_POLL_SECONDS = 1.0
# Without one OpenSSL would ask at the terminal for an encrypted key's, and nothing else would run.
_NO_PASSWORD = ""


def _signature(*paths: Path) -> tuple[tuple[int, int, int], ...]:
    """What changes when a file is rewritten, renamed over, or reached by another link."""
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in map(Path.stat, paths))


@dataclass(slots=True)
class Certificate:
    """A certificate chain and its key, both PEM.

    Raises OSError or ssl.SSLError when it can't be loaded.
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
        self._load(self.context)

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
                    continue
                # Tried on a context of its own first: loading a pair that does not fit spoils the
                # one that serves.
                self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
                self._load(self.context)
            except (OSError, ssl.SSLError) as error:
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

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.cert, self.key, _NO_PASSWORD)
