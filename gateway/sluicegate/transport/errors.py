"""What can go wrong with an upstream exchange: one small hierarchy that the routing policy reads.

A message says what happened and no more: it ends up in answers to clients, and not everyone who may
call a deployment may know where it is. `where` is for the log. Neither ever holds credentials,
header values or the query.
"""

import os
import socket
import ssl
from typing import Literal

Phase = Literal["request", "connect", "first_byte", "body", "idle", "total"]
"""How far an attempt came: `request` = refused before anything was done, `connect` = DNS, TCP, TLS
and proxy, `first_byte` = until the answer's head, `body` = after it. `idle` and `total` occur only
in `TimedOut`: the pause between two pieces of the body, and the whole attempt."""

TimeoutPhase = Literal["connect", "first_byte", "idle", "total"]


class UpstreamError(Exception):
    """An attempt failed. `sent` tells whether any byte of the request may have gone out.

    `where` is the upstream's `host:port`, None where that is not known any more.
    """

    def __init__(self, phase: Phase, message: str, where: str | None = None, *, sent: bool) -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.sent = sent
        self.message = message
        self.where = where


class RequestRefused(UpstreamError):
    """The request itself can't be sent safely (CR, LF, NUL, a header this module owns, ...)."""

    def __init__(self, message: str) -> None:
        super().__init__("request", message, sent=False)


class ConnectFailed(UpstreamError):
    """No connection: name not found, refused, unreachable, TLS or proxy failure."""

    def __init__(self, reason: str, where: str, *, by_proxy: bool = False) -> None:
        way = "cannot connect by a proxy" if by_proxy else "cannot connect"
        super().__init__("connect", f"{way}: {reason}", where, sent=False)


class AddressRefused(UpstreamError):
    """The host is, or resolves to, an address that the address policy forbids."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__("connect", message, where, sent=False)


class TimedOut(UpstreamError):
    """One of the attempt's four timeouts ran out; `phase` says which."""

    def __init__(
        self, phase: TimeoutPhase, message: str, where: str | None = None, *, sent: bool
    ) -> None:
        super().__init__(phase, message, where, sent=sent)


class ConnectionLost(UpstreamError):
    """The connection ended before the answer did.

    `reused`: the connection had served an earlier request, so a keep-alive race is likely.
    `bytes_received`: some part of an answer had arrived.
    """

    def __init__(
        self,
        phase: Phase,
        message: str,
        where: str | None,
        *,
        reused: bool,
        bytes_received: bool,
    ) -> None:
        super().__init__(phase, message, where, sent=True)
        self.reused = reused
        self.bytes_received = bytes_received


class ProtocolViolation(UpstreamError):
    """The upstream's bytes are not an HTTP/1.1 answer that can be framed without doubt."""


class AnswerTooLarge(UpstreamError):
    """`read_all` met a body above its limit."""


def reason_of(error: BaseException) -> str:
    """Say why the operating system or TLS failed, without the names of hosts or files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # "Hostname mismatch, certificate is not valid for 'the.host'."
        said = error.verify_message.partition(", certificate is not valid for")[0]
        return f"certificate not accepted: {said}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'handshake').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "connection failed"
