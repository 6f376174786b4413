"""POST of a batch, and what its answer means. The webhook sink is only that."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import aiohttp

from sluicegate.sinks.record import LogRecord, encode
from sluicegate.sinks.sink import Item, SinkRefused, SinkUnavailable

_LATER = frozenset({408, 425, 429})  # and every 5xx
_UNAUTHORISED = 401
_LONGEST_ANSWER = 64 * 1024
_LEAST_TO_GZIP = 1024  # bytes
_GZIP = 31  # zlib's name of the format
_NONE: Mapping[str, str] = MappingProxyType({})


class Unauthorised(SinkRefused):
    """401: the credential is not good, or no longer."""


class HttpEndpoint:
    """One URL that batches are sent to. Redirects are not followed: headers hold credentials."""

    def __init__(
        self, url: str, headers: Mapping[str, str], content_type: str, *, gzip: bool = False
    ) -> None:
        self._url = url
        self._gzip = gzip
        self._headers = {**headers, "content-type": content_type}
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:  # the URL and the headers may hold credentials
        return "HttpEndpoint(…)"

    async def post(
        self, body: bytes, more_url: str = "", more_headers: Mapping[str, str] = _NONE
    ) -> bytes:
        """The answer's body; `more_url` ends the URL. Raises SinkUnavailable, SinkRefused."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), trust_env=True
            )
        headers = {**self._headers, **more_headers}
        if self._gzip and len(body) >= _LEAST_TO_GZIP:
            body = zlib.compress(body, 1, wbits=_GZIP)
            headers |= {"content-encoding": "gzip"}
        try:
            async with self._session.post(
                self._url + more_url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                told = await answer.content.read(_LONGEST_ANSWER)
                status, after = answer.status, answer.headers.get("retry-after")
        except aiohttp.InvalidURL as error:
            raise SinkRefused("its URL is not valid") from error
        except aiohttp.ClientConnectionError as error:
            # Its own words would repeat the URL.
            raise SinkUnavailable(f"no connection: {type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise SinkUnavailable(f"no answer: {type(error).__name__}") from error
        if 200 <= status < 300:
            return told
        if status in _LATER or status >= 500:
            raise SinkUnavailable(f"it answered {status}", _seconds(after))
        raise (Unauthorised if status == _UNAUTHORISED else SinkRefused)(f"it answered {status}")

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()


def _seconds(after: str | None) -> float | None:
    """RFC 9110 section 10.2.3: seconds, or a date."""
    if after is None:
        return None
    if after.isascii() and after.isdigit():
        return float(after)
    try:
        return max((parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


class WebhookSink:
    """POSTs a JSON array of records. A batch may come again; a record's `id` is unique."""

    name = "webhook"
    of_traces = False

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._endpoint = HttpEndpoint(url, headers, "application/json")

    async def send(self, batch: Sequence[Item]) -> None:
        """Send a batch. Raises SinkUnavailable, SinkRefused."""
        records = [encode(each) for each in batch if isinstance(each, LogRecord)]
        await self._endpoint.post(b"[" + b",".join(records) + b"]")

    async def close(self) -> None:
        """End its connections."""
        await self._endpoint.close()
