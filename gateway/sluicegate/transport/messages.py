"""The values that cross the transport's surface, and how a request becomes bytes.

Pure: nothing here opens a connection. `client.Transport` is the caller.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec

from .errors import RequestRefused

Headers = tuple[tuple[bytes, bytes], ...]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?\.?|[0-9a-f:.]*:[0-9a-f:.]+")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"/[!-\"$-~]*")
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
# RFC 9110 section 5.5: a field value is HTAB, SP, visible ASCII and obs-text.
_VALUE_BYTES: Final = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
# RFC 9110 section 7.6.1, with the names that older software sends.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OWNED: Final = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_CRLF: Final = b"\r\n"
_METHODS_WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of an upstream; the key of the pool. The host has no brackets."""

    scheme: str
    host: str
    port: int
    authority: str = field(init=False, repr=False, compare=False)
    host_line: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the parts and prepare the two spellings the hot path needs; raises ValueError."""
        if self.scheme not in DEFAULT_PORTS:
            raise ValueError("the scheme must be http or https")
        if not _HOST.fullmatch(self.host):
            raise ValueError("the host must be an ASCII host name or an IP address")
        if not 0 < self.port < 65536:
            raise ValueError("the port must be between 1 and 65535")
        name = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "authority", f"{name}:{self.port}")
        default = self.port == DEFAULT_PORTS[self.scheme]
        object.__setattr__(
            self, "host_line", f"Host: {name if default else self.authority}".encode("ascii")
        )


def parse_base_url(url: str) -> tuple[Origin, str]:
    """Split `http(s)://host[:port][/prefix]` into the origin and the prefix without trailing slash.

    Raises ValueError for anything else: userinfo, query, fragment, non-ASCII, control characters.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("the URL must be printable ASCII without spaces and backslashes")
    parts = urlsplit(url)
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("the URL must not have a user, a query or a fragment")
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("the URL must look like http(s)://host[:port][/path]")
    port = DEFAULT_PORTS[scheme] if parts.port is None else parts.port
    return Origin(scheme, parts.hostname.lower(), port), parts.path.rstrip("/")


@dataclass(frozen=True, slots=True)
class AttemptTimeouts:
    """The four timeouts of one attempt, in (finite) seconds.

    `connect`: name, TCP, proxy and TLS. `first_byte`: from the request written to the answer's
    head. `idle`: between two pieces of the body. `total`: all of it.
    """

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 1800.0


class UpstreamRequest(msgspec.Struct, frozen=True, gc=False):
    """One request. `target` is path and query, already encoded; the headers are end-to-end only.

    `headers` are those of many requests, whose bytes are made once; `own_headers` those of this one
    alone. Host, Content-Length and the hop-by-hop headers belong to the transport. Without an
    `accept-encoding` header the transport asks for `identity`; an encoded answer is passed on as it
    is. The repr leaves out what may hold a credential.
    """

    origin: Origin
    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    own_headers: Headers = ()

    def __repr__(self) -> str:
        return f"UpstreamRequest({self.method} {self.origin.authority})"


@lru_cache(maxsize=1024)
def _is_accept_encoding(name: bytes) -> bool:
    """Judge a header name once; raises RequestRefused for one that may not be sent."""
    if not _TOKEN.fullmatch(name):
        raise RequestRefused("an upstream request header has an illegal name")
    lower = name.lower()
    if lower in _OWNED:
        raise RequestRefused(
            f"the upstream request header {lower.decode('ascii')} belongs to the transport"
        )
    return lower == b"accept-encoding"


def _start_line(method: str, target: str, proxied: str) -> bytes:
    """The first line; raises RequestRefused."""
    if not _METHOD.fullmatch(method) or method == "CONNECT" or not _TARGET.fullmatch(target):
        raise RequestRefused("the upstream request's method or target is malformed")
    form = f"http://{proxied}{target}" if proxied else target
    return f"{method} {form} HTTP/1.1".encode("ascii")


def _lines(headers: Headers) -> bytes:
    """A line for each; raises RequestRefused.

    The values are judged in one sweep over all of them, whose only control characters besides HTAB
    must be the line ends written here.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.translate(None, _VALUE_BYTES) != _CRLF * len(headers):
        raise RequestRefused("an upstream request header holds a control character")
    return lines


def _asks_encoding(headers: Headers) -> bool:
    """Whether they say what encodings are taken; raises RequestRefused for a name."""
    return True in [_is_accept_encoding(name) for name, _ in headers]  # each name is judged


@lru_cache(maxsize=4096)
def _fixed_lines(
    method: str, target: str, proxied: str, host_line: bytes, headers: Headers
) -> tuple[bytes, bool]:
    """What many requests have in common, and whether that says what encodings are taken."""
    asks_encoding = _asks_encoding(headers)
    start = _start_line(method, target, proxied)
    return b"%b\r\n%b\r\n%b" % (start, host_line, _lines(headers)), asks_encoding


def forget_heads() -> None:
    """Drop what requests had in common: other credentials are presented from now on."""
    _fixed_lines.cache_clear()


def request_head(request: UpstreamRequest, *, absolute: bool = False, extra: Headers = ()) -> bytes:
    """Build the request head; `absolute` and `extra` are for a forward proxy.

    Raises RequestRefused where the bytes would not be exactly one well-formed head (RFC 9112
    sections 2 to 5).
    """
    method, origin = request.method, request.origin
    proxied = origin.authority if absolute else ""
    head, asks_encoding = _fixed_lines(
        method, request.target, proxied, origin.host_line, request.headers
    )
    if request.own_headers:
        asks_encoding = _asks_encoding(request.own_headers) or asks_encoding
        head += _lines(request.own_headers)
    if not asks_encoding:
        head += b"Accept-Encoding: identity\r\n"
    if extra:
        head += _lines(extra)
    if request.body or method not in _METHODS_WITHOUT_LENGTH:
        return b"%bContent-Length: %d\r\n\r\n" % (head, len(request.body))
    return head + _CRLF


def connection_options(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """Return the lower-case members of all Connection fields; names must be in lower case."""
    return {
        option.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Drop what is meant for one hop: the known names and those Connection lists (RFC 9110 7.6.1).

    Content-Length stays; a caller that writes the body with another framing has to drop it.
    """
    kept = list(headers)
    drop = HOP_BY_HOP | connection_options(kept)
    return [header for header in kept if header[0] not in drop]
