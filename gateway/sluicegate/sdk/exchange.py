"""The loops that wait, blocking: attempts one after the other, and the source of a stream."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from openai.types.responses import Response

from sluicegate.auth.upstream import CredentialFailed
from sluicegate.model import Event
from sluicegate.providers.contract import UpstreamCall
from sluicegate.sdk.attempt import Attempt, Steps, terminal_of
from sluicegate.sdk.clients import http_request
from sluicegate.sdk.course import Course
from sluicegate.sdk.credentials import shared_credentials
from sluicegate.sdk.failures import AttemptFailed, request_id
from sluicegate.sdk.plan import Plan

_T = TypeVar("_T")


class Source:
    """The events of one attempt, as they come."""

    def __init__(self, attempt: Attempt, response: httpx2.Response | None, steps: Steps) -> None:
        self._attempt = attempt
        self.response = response
        self._chunks: Iterator[bytes] | None = None if response is None else response.iter_bytes()
        self._steps = steps

    @property
    def request_id(self) -> str | None:
        """The provider's name for the exchange."""
        return None if self.response is None else request_id(self.response.headers)

    def next(self) -> list[Event] | None:
        """More events (may be none yet), None after the last. Raises AttemptFailed."""
        if self._chunks is None:
            step = next(self._steps, None)
            if step is None:
                return None
            time.sleep(step[0])
            return step[1]
        failure: AttemptFailed
        try:
            chunk = next(self._chunks, None)
        except httpx2.RequestError as error:
            failure = self._attempt.lost(error)
        else:
            return self._attempt.feed(chunk) if chunk is not None else self._end()
        raise failure

    def _end(self) -> list[Event] | None:
        self._chunks, self._steps = None, iter(())
        return self._attempt.close() or None

    def close(self) -> None:
        """Close the connection. The rest of the answer is unwanted. Any thread may do it."""
        if self.response is not None and not self.response.is_closed:
            _wake_reader(self.response)
            self.response.close()


def _wake_reader(response: httpx2.Response) -> None:
    """Another thread may wait for more of this answer, which closing alone would not end."""
    stream = response.extensions.get("network_stream")
    sock = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):  # it may be gone already
            sock.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that has begun to carry output: `events` are those that have come."""

    attempt: Attempt
    source: Source
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer, and the provider's name for the exchange."""

    response: Response
    request_id: str | None


class Exchange:
    """What one call sends its requests with."""

    def __init__(self, plan: Plan, client: httpx2.Client, timeout: httpx2.Timeout) -> None:
        self._plan = plan
        self._client = client
        self._timeout = timeout

    def whole(self) -> Whole:
        """The answer of the first target that has one. Raises openai exceptions."""
        return self._try(self._whole)

    def stream(self) -> Opened:
        """The stream of the first target that has output. Raises openai exceptions."""
        return self._try(self._stream)

    def _try(self, once: Callable[[Attempt], _T]) -> _T:
        course = Course(self._plan.targets)
        target = course.target
        while True:
            try:
                return once(Attempt(self._plan, target))
            except AttemptFailed as error:
                failed = error
            target, pause = course.after(failed)
            time.sleep(pause)

    def _whole(self, attempt: Attempt) -> Whole:
        source = self._open(attempt)
        try:
            if source.response is None:
                terminal: Event | None = None
                while (events := source.next()) is not None:
                    terminal = terminal_of(events) or terminal
                response = attempt.folded(terminal)
            else:
                response = attempt.whole(self._read(attempt, source.response))
            return Whole(response, source.request_id)
        finally:
            source.close()

    def _stream(self, attempt: Attempt) -> Opened:
        source = self._open(attempt)
        held: list[Event] = []
        try:
            while (events := source.next()) is not None:
                held += events
                if attempt.begun(events):
                    return Opened(attempt, source, held)
        except BaseException:
            source.close()
            raise
        source.close()
        raise attempt.broken(f"{attempt.target.label} ended its stream before any output")

    def _open(self, attempt: Attempt) -> Source:
        """The 2xx answer, its body unread. Raises AttemptFailed."""
        call = attempt.begin()
        if not isinstance(call, UpstreamCall):
            return Source(attempt, None, call.steps)
        response = self._send(attempt, call)
        if 200 <= response.status_code < 300:
            return Source(attempt, response, iter(()))
        try:
            body = self._read(attempt, response)
        finally:
            response.close()
        raise attempt.refused(response.status_code, response.headers, body)

    def _send(self, attempt: Attempt, call: UpstreamCall) -> httpx2.Response:
        failure: AttemptFailed
        try:
            credentials = shared_credentials().headers(call)
            request = http_request(
                call, credentials, self._timeout, stream=self._plan.request.stream
            )
            return self._client.send(request, stream=True, auth=None, follow_redirects=False)
        except CredentialFailed as error:
            failure = attempt.no_credential(error)
        except httpx2.RequestError as error:
            failure = attempt.lost(error)
        raise failure

    def _read(self, attempt: Attempt, response: httpx2.Response) -> bytes:
        failure: AttemptFailed
        try:
            return response.read()
        except httpx2.RequestError as error:
            failure = attempt.lost(error)
        raise failure
