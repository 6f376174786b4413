"""The event stream of a translated answer.

A provider tells what its upstream said, piece by piece; this puts it into the grammar of the
Responses API: ids, indices, dense sequence numbers, the opening and closing of items and parts, the
final object, and exactly one terminal event. One per attempt. Each method returns the events that
follow from it; after the terminal event they return none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from sluicegate.api.answer import (
    ERROR_CODES,
    Echo,
    Ending,
    IncompleteReason,
    error_object,
    response_object,
)
from sluicegate.api.output import (
    Annotation,
    CallItem,
    Draft,
    Item,
    ItemStatus,
    LogProb,
    MessageItem,
    ReasoningItem,
    SearchItem,
    draft,
)
from sluicegate.api.output_image import MadeImage, image_item
from sluicegate.api.sealed import REASONING_ID
from sluicegate.model import ApiError, Event, Usage

_ID_BYTES = 24  # 48 hex digits, as on OpenAI's wire
_RATE_CODES = frozenset({"rate_limit_exceeded", "insufficient_quota"})
_encode = msgspec.json.Encoder().encode


class ResponseStream:
    """Builds one answer. `echo` is what its Response objects repeat of the request.

    `whole`: only the terminal event is wanted, so those that open a stream, and most of a message,
    are spared.
    """

    def __init__(
        self,
        echo: Echo,
        model: str,
        clock: Callable[[], float] = time.time,
        *,
        whole: bool = False,
    ) -> None:
        entropy = os.urandom(2 * _ID_BYTES - 4).hex()
        self.id = f"resp_{entropy[: 2 * _ID_BYTES]}"
        self._item_ids = entropy[2 * _ID_BYTES :]  # plus the item's number in 8 digits
        self._echo = echo
        self._clock = clock
        self._model = model
        self._created_at = int(clock())
        self._sequence = 0
        self._whole = whole
        self._begun = 2 if whole else 0  # how much of the prelude is out
        self._items: list[bytes] = []  # closed, as JSON
        self._item: Item | None = None  # the open one
        self._ended = False

    # ------------------------------------------------------------------------------- lifecycle

    def created(self) -> list[Event]:
        """`response.created`."""
        return self._prelude(1)

    def in_progress(self) -> list[Event]:
        """`response.in_progress`, after `response.created`."""
        return self._prelude(2)

    def end_item(self) -> list[Event]:
        """Close the open item, if there is one; the next output opens another."""
        return self._close("completed")

    def finish(
        self,
        usage: Usage | None,
        *,
        incomplete: IncompleteReason | None = None,
        service_tier: str = "default",
        model: str | None = None,
    ) -> list[Event]:
        """The terminal event: `response.completed`, or with a reason `response.incomplete`.

        `model` is the name that the upstream resolved, `service_tier` the tier that it used.
        """
        if self._ended:
            return []
        self._model = model or self._model
        status: Literal["completed", "incomplete"] = "incomplete" if incomplete else "completed"
        events = [*self._prelude(2), *self._close(status)]
        ending = Ending(
            status=status,
            completed_at=None if incomplete else int(self._clock()),
            incomplete=_encode({"reason": incomplete}) if incomplete else b"null",
            usage=usage,
        )
        events.append(self._lifecycle(f"response.{status}", ending, service_tier))
        self._ended = True
        return events

    def fail(self, error: ApiError, usage: Usage | None = None) -> list[Event]:
        """`error`, then `response.failed` with the output so far; an open item stays incomplete."""
        if self._ended:
            return []
        events = self._prelude(2)
        events.append(self._error(error))
        if self._item is not None:
            self._items.append(self._item.encode("incomplete"))
            self._item = None
        ending = Ending(status="failed", error=error_object(error), usage=usage)
        events.append(self._lifecycle("response.failed", ending, "default"))
        self._ended = True
        return events

    # ------------------------------------------------------------------------------------ text

    def text(self, delta: str, logprobs: Sequence[LogProb] = ()) -> list[Event]:
        """More of the answer's text; opens a message and a text part where none is open."""
        if not delta or self._ended:
            return []
        item = self._item
        if type(item) is MessageItem and item.kind == "output_text":
            return [self._delta(item.text(delta, logprobs))]
        message, events = self._message()
        events += self._number(message.open_part("output_text"))
        if self._whole:
            message.add(delta, logprobs)
        else:
            events.append(self._delta(message.text(delta, logprobs)))
        return events

    def refusal(self, delta: str) -> list[Event]:
        """More of a refusal."""
        if not delta or self._ended:
            return []
        message, events = self._message()
        events += self._number(message.open_part("refusal"))
        events.append(self._delta(message.refusal(delta)))
        return events

    def annotation(self, annotation: Annotation) -> list[Event]:
        """A citation of the open text part (opens an empty one where none is open)."""
        if self._ended:
            return []
        message, events = self._message()
        events += self._number(message.open_part("output_text"))
        events += self._number([message.annotation(annotation)])
        return events

    # ------------------------------------------------------------------------------- reasoning

    def reasoning(self) -> list[Event]:
        """A reasoning item begins, which may stay without a summary or text."""
        return [] if self._ended else self._reasoning()[1]

    def reasoning_summary(self, delta: str) -> list[Event]:
        """More of a reasoning summary; `end_summary` begins another part of it."""
        if not delta or self._ended:
            return []
        item, events = self._reasoning()
        events += self._number(item.open_part("summary_text"))
        events.append(self._delta(item.delta(delta)))
        return events

    def end_summary(self) -> list[Event]:
        """Close the open part of a summary, if there is one."""
        item = self._item
        return self._number(item.close_part()) if isinstance(item, ReasoningItem) else []

    def reasoning_text(self, delta: str) -> list[Event]:
        """More of the reasoning itself."""
        if not delta or self._ended:
            return []
        item, events = self._reasoning()
        events += self._number(item.open_part("reasoning_text"))
        events.append(self._delta(item.delta(delta)))
        return events

    def encrypted_reasoning(self, content: str) -> list[Event]:
        """The sealed form of the open reasoning item (or of a new one); it goes out at its end."""
        if self._ended:
            return []
        item, events = self._reasoning()
        item.encrypted_content = content
        return events

    # ----------------------------------------------------------------------------------- calls

    def new_call_id(self) -> str:
        """An id for a call whose upstream has none."""
        return f"call_{os.urandom(12).hex()}"

    def function_call(self, call_id: str, name: str, namespace: str | None = None) -> list[Event]:
        """A function call begins; its arguments follow."""
        if self._ended:
            return []
        return self._open_call("function_call", "fc", (call_id, name, namespace))

    def custom_tool_call(
        self, call_id: str, name: str, namespace: str | None = None
    ) -> list[Event]:
        """A call of a custom tool begins; its input follows."""
        if self._ended:
            return []
        return self._open_call("custom_tool_call", "ctc", (call_id, name, namespace))

    def call_delta(self, delta: str) -> list[Event]:
        """More of the open call's arguments or input. Raises ValueError where no call is open."""
        if not delta or self._ended:
            return []
        if not isinstance(self._item, CallItem):
            raise ValueError("arguments without a call")  # noqa: TRY004 - it is the order that is wrong
        return [self._delta(self._item.delta(delta))]

    # -------------------------------------------------------------------------------- searches

    def web_search(self, query: str) -> list[Event]:
        """The upstream searches the web by itself."""
        if self._ended:
            return []
        events = self._make_room()
        item = SearchItem(self._new_id("ws"), len(self._items), query)
        return [*events, *self._open(item), *self._number(item.begun())]

    def web_search_done(self, urls: Sequence[str] = (), *, failed: bool = False) -> list[Event]:
        """It has searched; `urls` are the pages that the item names. Nothing if none is open."""
        item = self._item
        if not isinstance(item, SearchItem):
            return []
        item.found(urls, failed=failed)
        return self._close("completed")

    # ---------------------------------------------------------------------------------- images

    def image(self, image: MadeImage) -> list[Event]:
        """An image that the model made, whole, or the word that there is none to be read."""
        if self._ended:
            return []
        events = self._make_room()
        drafts, item = image_item(self._new_id("ig"), len(self._items), image)
        self._items.append(item)
        return events if self._whole else events + self._number(drafts)

    # ---------------------------------------------------------------------------------- inside

    def _delta(self, draft: Draft) -> Event:
        event = Event(draft[0], b"%b%d}\n\n" % (draft[1], self._sequence))
        self._sequence += 1
        return event

    def _number(self, drafts: Iterable[Draft]) -> list[Event]:
        return [self._delta(draft) for draft in drafts]

    def _prelude(self, length: Literal[1, 2]) -> list[Event]:
        if self._begun >= length or self._ended:
            return []
        names = ("response.created", "response.in_progress")[self._begun : length]
        self._begun = length
        ending = Ending(status="in_progress")
        return [self._lifecycle(name, ending, self._echo.service_tier) for name in names]

    def _lifecycle(self, event: str, ending: Ending, service_tier: str) -> Event:
        response = response_object(
            self._echo,
            (self.id, self._created_at, self._model),
            service_tier,
            b"[%b]" % b",".join(self._items),
            ending,
        )
        name = event.encode()
        head = _LIFECYCLE % (name, name, response)
        return self._delta(Draft(event, head))

    def _error(self, error: ApiError) -> Event:
        """The `error` event in both its forms: the schema is flat, the wire is nested.

        openai-python raises only for the nested one, Open Responses accepts only that one; clients
        made from OpenAI's schema read the flat one.
        """
        body = error.error
        members = {
            "code": body.code,
            "message": body.message,
            "param": body.param,
            "error": body,
        }
        return self._delta(draft("error", members))

    def _open(self, item: Item) -> list[Event]:
        """Close what is open and begin `item`."""
        self._item = item
        return [self._delta(item.added())]

    def _open_call(
        self,
        kind: Literal["function_call", "custom_tool_call"],
        prefix: str,
        call: tuple[str, str, str | None],
    ) -> list[Event]:
        events = self._make_room()
        return events + self._open(CallItem(kind, self._new_id(prefix), len(self._items), call))

    def _message(self) -> tuple[MessageItem, list[Event]]:
        item = self._item
        if isinstance(item, MessageItem):
            return item, []
        events = self._make_room()
        message = MessageItem(self._new_id("msg"), len(self._items), silent=self._whole)
        if self._whole:
            self._item = message
            return message, events
        return message, events + self._open(message)

    def _reasoning(self) -> tuple[ReasoningItem, list[Event]]:
        item = self._item
        if isinstance(item, ReasoningItem):
            return item, []
        events = self._make_room()
        reasoning = ReasoningItem(self._new_id(REASONING_ID), len(self._items))
        return reasoning, events + self._open(reasoning)

    def _make_room(self) -> list[Event]:
        return [*self._prelude(2), *self._close("completed")]

    def _close(self, status: ItemStatus) -> list[Event]:
        item = self._item
        if item is None:
            return []
        drafts, encoded = item.close(status)
        self._items.append(encoded)
        self._item = None
        return self._number(drafts)

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{self._item_ids}{len(self._items):08x}"


_LIFECYCLE = b'event: %b\ndata: {"type":"%b","response":%b,"sequence_number":'
_RESPONSE, _SEQUENCE = b',"response":', b',"sequence_number":'


class _ResponseError(msgspec.Struct):
    code: str
    message: str


class _Response(msgspec.Struct):
    error: _ResponseError | None = None


_failed = msgspec.json.Decoder(_Response)


def fold(terminal: Event) -> bytes:
    """The answer that is not streamed: the Response object of a terminal event of a ResponseStream.

    Raises ApiError where the answer failed.
    """
    frame = terminal.frame
    response = frame[frame.index(_RESPONSE) + len(_RESPONSE) : frame.rindex(_SEQUENCE)]
    if terminal.type == "response.failed":
        error = _failed.decode(response).error
        raise _folded(error or _ResponseError("server_error", "The answer failed."))
    return response


def _folded(error: _ResponseError) -> ApiError:
    """The HTTP form of `Response.error`."""
    if error.code in _RATE_CODES:
        return ApiError(429, error.message, type="rate_limit_error", code=error.code)
    if error.code in ERROR_CODES - {"server_error"}:
        return ApiError(400, error.message, code=error.code)
    return ApiError(500, error.message, type="server_error", code=error.code)
