"""How google-auth asks its servers: the standard library's client in place of requests.

It blocks, and is called in a thread. Proxies of the environment are obeyed, certificates verified;
redirects are not followed. requests and urllib3 would cost 5 MB for a token now and then.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException, HTTPMessage
from typing import IO, NamedTuple

_MAX_BYTES = 1024 * 1024  # of a token server's answer


class Answer(NamedTuple):
    """What google-auth reads of an answer (google.auth.transport.Response)."""

    status: int
    headers: Message[str, str]  # found in any case
    data: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """None: the redirect itself is the answer."""


class Asker:
    """Implements google.auth.transport.Request.

    `seconds` bounds each step of an exchange; `failure` is google-auth's own TransportError.
    """

    def __init__(self, seconds: float, failure: type[Exception]) -> None:
        self._seconds = seconds
        self._failure = failure
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - google-auth's own; `seconds` holds
        **_: object,  # google-auth may say more to its own transports
    ) -> Answer:
        """One exchange. Raises `failure` where there is no answer."""
        if not url.startswith(("http://", "https://")):  # urllib would also read files
            raise self._failure("not an http(s) address")
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(  # noqa: S310 - the scheme has been judged
            url, data, dict(headers or {}), method=method
        )
        try:
            with self._opener.open(request, timeout=self._seconds) as answer:
                return Answer(answer.status, answer.headers, answer.read(_MAX_BYTES))
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.headers, refused.read(_MAX_BYTES))
        except (OSError, HTTPException, ValueError) as error:
            raise self._failure(error) from error
