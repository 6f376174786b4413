"""What can go wrong with an upstream exchange: one small hierarchy that the routing policy reads.

Messages name `host:port` and the reason. They never hold credentials, header values or the query,
because they end up in logs and in answers to clients.
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
    """An attempt failed. `sent` tells whether any byte of the request may have gone out."""

    def __init__(self, phase: Phase, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.sent = sent
        self.message = message


class RequestRefused(UpstreamError):
    """The request itself can't be sent safely (CR, LF, NUL, a header this module owns, ...)."""

    def __init__(self, message: str) -> None:
        super().__init__("request", message, sent=False)


class ConnectFailed(UpstreamError):
    """No connection: name not found, refused, unreachable, TLS or proxy failure."""

    def __init__(self, message: str) -> None:
        super().__init__("connect", message, sent=False)


class AddressRefused(UpstreamError):
    """The host is, or resolves to, an address that the address policy forbids."""

    def __init__(self, message: str) -> None:
        super().__init__("connect", message, sent=False)


class TimedOut(UpstreamError):
    """One of the attempt's four timeouts ran out; `phase` says which."""

    def __init__(self, phase: TimeoutPhase, message: str, *, sent: bool) -> None:
        super().__init__(phase, message, sent=sent)


class ConnectionLost(UpstreamError):
    """The connection ended before the answer did.

    `reused`: the connection had served an earlier request, so a keep-alive race is likely.
    `bytes_received`: some part of an answer had arrived.
    """

    def __init__(
        self,
        phase: Phase,
        message: str,
        *,
        reused: bool,
        bytes_received: bool,
    ) -> None:
        super().__init__(phase, message, sent=True)
        self.reused = reused
        self.bytes_received = bytes_received


class ProtocolViolation(UpstreamError):
    """The upstream's bytes are not an HTTP/1.1 answer that can be framed without doubt."""


class AnswerTooLarge(UpstreamError):
    """`read_all` met a body above its limit."""


def reason_of(error: BaseException) -> str:
    """Say why the operating system or TLS failed, in words without addresses or names of files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'handshake').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "connection failed"


def connect_failure(error: OSError, where: str) -> ConnectFailed:
    """Turn what opening a connection raised into our own error; the one place that does."""
    return ConnectFailed(f"cannot connect to {where}: {reason_of(error)}")
