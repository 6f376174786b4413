"""The client's event stream: what is held back, when it begins, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sluicegate.model import TERMINAL_EVENTS, ApiError, Event
from sluicegate.pipeline.exchange import Exchange, Header
from sluicegate.providers.contract import Translator

# What comes before output is held back this long (seconds), so that a provider that reports
# overload after `response.created` can still be replaced; then the client hears that something is
# under way.
_HOLD = 2.0
_HOLD_BYTES = 256 * 1024  # nor more than this: a prelude is two small events
_NOTHING: list[Event] = []
_LEFT = ApiError(499, "The client has left.")
_DONE = b"data: [DONE]\n\n"


class Relay:
    """Writes the events of the attempt that it is attached to.

    Once it has `begun` no other attempt may take over: the client has seen this one's response id.
    """

    __slots__ = (
        "_exchange",
        "_head",
        "_held",
        "_held_bytes",
        "_settle",
        "_timer",
        "_translator",
        "begun",
        "drain",
        "terminal",
    )

    def __init__(
        self,
        exchange: Exchange,
        head: Callable[[], Iterable[Header]],
        settle: Callable[[bytes], bytes],
    ) -> None:
        """`settle` gets the terminal event's frame before it goes out, and answers what goes."""
        self._exchange = exchange
        self.drain = exchange.drain  # waits for the client to have room; raises ClientGone
        self._settle = settle
        self._head = head  # asked when the stream begins, so that it names the attempts until then
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._translator: Translator | None = None
        self.begun = False
        self.terminal: bytes | None = None  # the frame of the terminal event, once written

    def attach(self, translator: Translator) -> None:
        """A new attempt."""
        self._translator = translator

    def drop(self) -> None:
        """The attempt has failed: what was held back of it is never seen."""
        self._held.clear()
        self._held_bytes = 0
        self._stop_timer()

    def hold(self, events: list[Event]) -> None:
        """Keep events that carry no output, for two seconds at most. `drain` must follow."""
        if self.begun:
            self.write(events)
            return
        self._held += [event.frame for event in events]
        self._held_bytes += sum(len(event.frame) for event in events)
        if self._held_bytes > _HOLD_BYTES:
            self.write(_NOTHING)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_HOLD, self.write, _NOTHING)

    def write(self, events: list[Event]) -> None:
        """Write what was held back and these events, in one piece. `drain` must follow.

        The terminal event, which is the last, ends the stream.
        """
        frames = [event.frame for event in events]
        if not self.begun:
            self.begun = True
            self._stop_timer()
            self._exchange.begin(self._head())
            frames = self._held + frames
            self._held = []
        if events and events[-1].type in TERMINAL_EVENTS:
            self.terminal = frames[-1] = self._settle(frames[-1])
            frames.append(_DONE)
            self._exchange.end(b"".join(frames))
        elif frames:
            self._exchange.write(b"".join(frames))

    def fail(self, error: ApiError) -> None:
        """End a stream that has begun: `error`, then `response.failed` with the output so far."""
        if self._translator is not None and self.terminal is None:
            self.write(self._translator.fail(error))

    def so_far(self) -> bytes:
        """The event that would end the answer as it stands; empty where there is none."""
        if self._translator is None or self.terminal is not None:
            return b""
        events = self._translator.fail(_LEFT)
        return events[-1].frame if events else b""

    def close(self) -> None:
        """Nothing more is written, whatever was held back."""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
