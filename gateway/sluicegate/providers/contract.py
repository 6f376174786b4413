"""What a provider is: the protocol that each folder beside this file implements.

Sans-IO throughout.

A snapshot holds one Connector per deployment, made once per configuration change; the pipeline asks
it for one Translator per attempt and moves the bytes. Nothing here waits, opens or logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

from sluicegate.api.request import ResponsesRequest
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    Credential,
    Deployment,
    GoogleCredential,
)
from sluicegate.model import ApiError, Event, LocalAnswer, UpstreamStreamError

__all__ = [
    "Authorization",
    "AwsSigning",
    "Connector",
    "GoogleToken",
    "Provider",
    "Translator",
    "UpstreamCall",
    "UpstreamStreamError",
]


class AwsSigning(NamedTuple):
    """Signature Version 4 over exactly the bytes that are sent; the keys may need a look-up."""

    credential: AwsCredential | AmbientCredential
    region: str
    service: str


class GoogleToken(NamedTuple):
    """A bearer token of Google's OAuth 2.0, which has to be obtained and renewed."""

    credential: GoogleCredential | AmbientCredential


# What a call still needs before it can be sent and what takes I/O to get; see auth/.
Authorization: TypeAlias = AwsSigning | GoogleToken


class UpstreamCall(NamedTuple):
    """What an attempt sends.

    `target` is path and query below the origin of `base_url`; header names are lower-case.

    Hop-by-hop headers, Host and Content-Length are the transport's.
    """

    base_url: str
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    authorization: Authorization | None = None  # None: the headers hold the credential already

    def __repr__(self) -> str:  # headers hold the credential, the body the user's words
        return f"UpstreamCall({self.method} {self.base_url} {self.target.partition('?')[0]})"


class Translator(Protocol):
    """One attempt. Bytes of the upstream go in, events of the Responses grammar come out."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """What `request` left out of what the client asked for, for `x-sluicegate-dropped`."""
        ...

    def request(self) -> UpstreamCall | LocalAnswer:
        """What to send (or the answer itself).

        Raises ApiError where the request can't be expressed upstream.
        """
        ...

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that this chunk of a streamed answer completes; the terminal one is the last.

        Raises UpstreamStreamError on bad bytes.
        """
        ...

    def close(self) -> list[Event]:
        """The upstream closed the stream.

        Raises UpstreamStreamError where the answer is not whole.
        """
        ...

    def answer(self, body: bytes) -> bytes:
        """The Responses object (JSON) of a whole, not streamed body.

        Raises UpstreamStreamError, or ApiError where a 2xx body says that the answer failed.
        """
        ...

    def fail(self, error: ApiError) -> list[Event]:
        """End a stream that can't go on.

        `error`, then `response.failed` with the output and usage so far.

        Sequence numbers continue from what has been returned by `feed`.
        """
        ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """The client's error for an upstream answer that is not 2xx."""
        ...


class Connector(Protocol):
    """A deployment made ready: parsed addresses, encoded headers.

    Immutable, shared by all requests.
    """

    @property
    def provider(self) -> str:
        """As metrics label it: openai, anthropic, gemini, vertex_ai, bedrock, echo."""
        ...

    def translator(self, request: ResponsesRequest, model: str) -> Translator:
        """A fresh translator for one attempt of this request.

        `model` is the upstream's name for the model.
        """
        ...


class Provider(Protocol):
    """One wire dialect."""

    def connector(
        self, deployment: Deployment, credential: Credential, environ: Mapping[str, str]
    ) -> Connector:
        """Make a deployment ready for calls.

        `environ` is where the provider's own SDK would look for an AmbientCredential. Raises
        Unavailable (of routing.snapshot) where there is none, naming the variable to set.
        """
        ...
