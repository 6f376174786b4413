"""Signature Version 4 of AWS, over exactly the bytes that are sent.

"Create a signed AWS API request" (AWS IAM user guide): every byte of the path that is not
unreserved is quoted once more, the transport adds Host, and of the headers only those are signed
that no proxy changes.
"""

from __future__ import annotations

import hmac
import time
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from sluicegate.providers.contract import UpstreamCall

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SIGNED = "content-type"


class Keys(NamedTuple):
    """An access key, as AWS gives it out."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Keys(…)"


class Signer:
    """Signs for one access key, region and service. The day's signing key is made once."""

    __slots__ = ("_day", "_key", "_region", "_service", "keys")

    def __init__(self, keys: Keys, region: str, service: str) -> None:
        self.keys = keys
        self._region = region
        self._service = service
        self._day = ""
        self._key = b""

    def headers(self, call: UpstreamCall, now: float) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that authorise `call`, which must go out unchanged. `now`: Unix seconds."""
        stamp = _stamp(int(now))
        token = self.keys.token
        names, lines = _signed_headers(call, stamp, token)
        path, _, query = call.target.partition("?")
        canonical = (
            f"{call.method}\n{_canonical_path(path)}\n{_canonical_query(query)}\n{lines}\n{names}\n"
            f"{sha256(call.body).hexdigest()}"
        )
        day = stamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        digest = sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(
            self._signing_key(day), f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256"
        ).hex()
        authorization = (
            f"{_ALGORITHM} Credential={self.keys.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        headers = ((b"x-amz-date", stamp.encode()), (b"authorization", authorization.encode()))
        if token:
            return (*headers, (b"x-amz-security-token", token.encode()))
        return headers

    def _signing_key(self, day: str) -> bytes:
        if day != self._day:
            key = b"AWS4" + self.keys.secret_key.encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._key = day, key
        return self._key


def _signed_headers(call: UpstreamCall, stamp: str, token: str | None) -> tuple[str, str]:
    """The names, and the canonical lines, each with its line end, in the order of the names."""
    lines = [f"host:{_host(call.base_url)}\n", f"x-amz-date:{stamp}\n"]
    names = ["host", "x-amz-date"]
    for name, value in call.headers:
        if name == b"content-type":
            lines.insert(0, f"{_SIGNED}:{' '.join(value.decode('latin-1').split())}\n")
            names.insert(0, _SIGNED)
            break
    if token:
        lines.append(f"x-amz-security-token:{token}\n")
        names.append("x-amz-security-token")
    return ";".join(names), "".join(lines)


@lru_cache(maxsize=8)
def _stamp(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


@lru_cache(maxsize=1024)
def _host(base_url: str) -> str:
    """The value of Host as the transport writes it: no default port."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    name = f"[{host}]" if ":" in host else host
    default = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
    return name if default else f"{name}:{parts.port}"


@lru_cache(maxsize=1024)
def _canonical_path(path: str) -> str:
    """Without empty and dot segments (RFC 3986 section 5.2.4), quoted once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + end, safe="/~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{key}={value}" for key, value in pairs)
