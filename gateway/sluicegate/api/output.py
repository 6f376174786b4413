"""Output items while they are being written: the events of each kind, and its JSON.

Used by `stream.py` alone. An item answers with drafts, events that lack only their sequence number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]
_encode = msgspec.json.Encoder().encode


class Draft(NamedTuple):
    """A frame up to its sequence number, which is the last member of its data."""

    type: str
    head: bytes


def draft(event: str, members: object) -> Draft:
    """An event of these members: an object that encodes as a JSON object, not an empty one."""
    return Draft(
        event,
        b'event: %b\ndata: {"type":"%b",%b,"sequence_number":'
        % (event.encode(), event.encode(), _encode(members)[1:-1]),
    )


# ------------------------------------------------------------------------------------------ parts


class TopLogProb(Struct, frozen=True):
    """A token that might have stood there."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class LogProb(Struct, frozen=True):
    """A token of the answer with its logarithmic probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[TopLogProb, ...] = ()


class UrlCitation(Struct, frozen=True, tag="url_citation"):
    """A web page behind a range of the text; indices count characters."""

    url: str
    title: str
    start_index: int
    end_index: int


class FileCitation(Struct, frozen=True, tag="file_citation"):
    """A file behind the text at `index`."""

    file_id: str
    filename: str
    index: int


Annotation: TypeAlias = UrlCitation | FileCitation


class _OutputText(Struct, tag="output_text"):
    annotations: Sequence[Annotation]
    logprobs: Sequence[LogProb]
    text: str


class _Refusal(Struct, tag="refusal"):
    refusal: str


class _SummaryText(Struct, tag="summary_text"):
    text: str


class _ReasoningText(Struct, tag="reasoning_text"):
    text: str


class _Message(Struct, tag="message"):
    id: str
    status: ItemStatus
    content: Sequence[_OutputText | _Refusal]
    role: str = "assistant"


class _Reasoning(Struct, tag="reasoning", omit_defaults=True):
    id: str
    summary: Sequence[_SummaryText]
    content: Sequence[_ReasoningText] | None = None
    encrypted_content: str | None = None


class _FunctionCall(Struct, tag="function_call", omit_defaults=True):
    id: str
    status: ItemStatus
    arguments: str
    call_id: str
    name: str
    namespace: str | None = None


class _CustomToolCall(Struct, tag="custom_tool_call", omit_defaults=True):
    id: str
    status: ItemStatus
    input: str
    call_id: str
    name: str
    namespace: str | None = None


class _Source(Struct, tag="url"):
    url: str


class _Search(Struct, tag="search", omit_defaults=True):
    query: str
    sources: Sequence[_Source] | None = None


class _WebSearchCall(Struct, tag="web_search_call"):
    id: str
    status: Literal["in_progress", "completed", "failed"]
    action: _Search


class _ItemEvent(Struct):
    output_index: int
    item: msgspec.Raw


class _Place(Struct):
    """Where a content part is."""

    item_id: str
    output_index: int
    content_index: int


def _item_event(event: str, output_index: int, item: bytes) -> Draft:
    return draft(event, _ItemEvent(output_index, msgspec.Raw(item)))


def _with(place: Struct, **members: object) -> dict[str, object]:
    return {**msgspec.structs.asdict(place), **members}


def _delta_prefix(event: str, place: Struct, tail: bytes = b"") -> bytes:
    """The frame of a delta up to the delta's text."""
    return b'event: %b\ndata: {"type":"%b",%b%b,"delta":' % (
        event.encode(),
        event.encode(),
        _encode(place)[1:-1],
        tail,
    )


# ---------------------------------------------------------------------------------------- message


class MessageItem:
    """A message of the assistant: parts of text and refusal, one of them open at a time."""

    __slots__ = (
        "_annotations",
        "_logprobs",
        "_parts",
        "_pieces",
        "_place",
        "_prefix",
        "_silent",
        "id",
        "kind",
        "output_index",
    )

    def __init__(self, item_id: str, output_index: int, *, silent: bool = False) -> None:
        """`silent`: only the item's JSON is wanted, so opening and closing have no events."""
        self.id = item_id
        self.output_index = output_index
        self._silent = silent
        self.kind: Literal["", "output_text", "refusal"] = ""  # of the open part
        self._parts: list[_OutputText | _Refusal] = []
        self._pieces: list[str] = []
        self._logprobs: list[LogProb] = []
        self._annotations: list[Annotation] = []
        self._place = _Place(item_id, output_index, 0)
        self._prefix = b""

    def added(self) -> Draft:
        """The item's first event."""
        return _item_event(
            "response.output_item.added", self.output_index, self.encode("in_progress")
        )

    def open_part(self, kind: Literal["output_text", "refusal"]) -> list[Draft]:
        """Make sure that a part of this kind is open."""
        if self.kind == kind:
            return []
        drafts = self.close_part()
        self.kind = kind
        if self._silent:
            return drafts
        self._place = _Place(self.id, self.output_index, len(self._parts))
        if kind == "output_text":
            self._prefix = _delta_prefix(
                "response.output_text.delta", self._place, b',"logprobs":[]'
            )
        else:
            self._prefix = _delta_prefix("response.refusal.delta", self._place)
        drafts.append(
            draft("response.content_part.added", _with(self._place, part=self._open_part()))
        )
        return drafts

    def add(self, delta: str, logprobs: Sequence[LogProb]) -> None:
        """More of the open text part, of which no event tells."""
        self._pieces.append(delta)
        self._logprobs += logprobs

    def text(self, delta: str, logprobs: Sequence[LogProb]) -> Draft:
        """More of the open text part."""
        self.add(delta, logprobs)
        if not logprobs:
            return Draft(
                "response.output_text.delta",
                b'%b%b,"sequence_number":' % (self._prefix, _encode(delta)),
            )
        return draft(
            "response.output_text.delta", _with(self._place, logprobs=logprobs, delta=delta)
        )

    def refusal(self, delta: str) -> Draft:
        """More of the open refusal."""
        self._pieces.append(delta)
        return Draft(
            "response.refusal.delta",
            b'%b%b,"sequence_number":' % (self._prefix, _encode(delta)),
        )

    def annotation(self, annotation: Annotation) -> Draft:
        """A citation of the open text part."""
        self._annotations.append(annotation)
        return draft(
            "response.output_text.annotation.added",
            _with(
                self._place,
                annotation_index=len(self._annotations) - 1,
                annotation=annotation,
            ),
        )

    def close_part(self) -> list[Draft]:
        """The events that close the open part, if there is one."""
        if not self.kind:
            return []
        part = self._open_part()
        self._parts.append(part)
        self.kind = ""
        self._pieces, self._logprobs, self._annotations = [], [], []
        if self._silent:
            return []
        if isinstance(part, _OutputText):
            done = draft(
                "response.output_text.done",
                _with(self._place, text=part.text, logprobs=part.logprobs),
            )
        else:
            done = draft("response.refusal.done", _with(self._place, refusal=part.refusal))
        return [done, draft("response.content_part.done", _with(self._place, part=part))]

    def close(self, status: ItemStatus) -> tuple[list[Draft], bytes]:
        """The events that close the item, and its final JSON."""
        drafts = self.close_part()
        item = self.encode(status)
        if self._silent:
            return drafts, item
        drafts.append(_item_event("response.output_item.done", self.output_index, item))
        return drafts, item

    def encode(self, status: ItemStatus) -> bytes:
        """The item's JSON as it stands."""
        parts = [*self._parts, self._open_part()] if self.kind else self._parts
        return _encode(_Message(self.id, status, parts))

    def _open_part(self) -> _OutputText | _Refusal:
        text = "".join(self._pieces)
        if self.kind == "refusal":
            return _Refusal(text)
        return _OutputText(self._annotations, self._logprobs, text)


# -------------------------------------------------------------------------------------- reasoning


class _SummaryPlace(Struct):
    item_id: str
    output_index: int
    summary_index: int


class ReasoningItem:
    """Reasoning: parts of a summary, parts of the raw text, and its sealed form."""

    __slots__ = (
        "_content",
        "_pieces",
        "_place",
        "_prefix",
        "_summary",
        "encrypted_content",
        "id",
        "kind",
        "output_index",
    )

    def __init__(self, item_id: str, output_index: int) -> None:
        self.id = item_id
        self.output_index = output_index
        self.kind: Literal["", "summary_text", "reasoning_text"] = ""  # of the open part
        self.encrypted_content: str | None = None
        self._summary: list[_SummaryText] = []
        self._content: list[_ReasoningText] = []
        self._pieces: list[str] = []
        self._place: _SummaryPlace | _Place = _Place(item_id, output_index, 0)
        self._prefix = b""

    def added(self) -> Draft:
        """The item's first event."""
        return _item_event(
            "response.output_item.added", self.output_index, self.encode("in_progress")
        )

    def open_part(self, kind: Literal["summary_text", "reasoning_text"]) -> list[Draft]:
        """Make sure that a part of this kind is open."""
        if self.kind == kind:
            return []
        drafts = self.close_part()
        self.kind = kind
        if kind == "summary_text":
            self._place = _SummaryPlace(self.id, self.output_index, len(self._summary))
            opened, event = (
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
            )
        else:
            self._place = _Place(self.id, self.output_index, len(self._content))
            opened, event = "response.content_part.added", "response.reasoning_text.delta"
        self._prefix = _delta_prefix(event, self._place)
        drafts.append(draft(opened, _with(self._place, part=self._open_part())))
        return drafts

    def delta(self, delta: str) -> Draft:
        """More of the open part."""
        self._pieces.append(delta)
        return Draft(
            "response.reasoning_summary_text.delta"
            if self.kind == "summary_text"
            else "response.reasoning_text.delta",
            b'%b%b,"sequence_number":' % (self._prefix, _encode(delta)),
        )

    def close_part(self) -> list[Draft]:
        """The events that close the open part, if there is one."""
        if not self.kind:
            return []
        part = self._open_part()
        if isinstance(part, _SummaryText):
            self._summary.append(part)
            names = (
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
            )
        else:
            self._content.append(part)
            names = ("response.reasoning_text.done", "response.content_part.done")
        self.kind = ""
        self._pieces = []
        return [
            draft(names[0], _with(self._place, text=part.text)),
            draft(names[1], _with(self._place, part=part)),
        ]

    def close(self, status: ItemStatus) -> tuple[list[Draft], bytes]:
        """The events that close the item, and its final JSON."""
        drafts = self.close_part()
        item = self.encode(status)
        drafts.append(_item_event("response.output_item.done", self.output_index, item))
        return drafts, item

    def encode(self, status: ItemStatus) -> bytes:  # noqa: ARG002 - as the others' encode
        """The item's JSON as it stands; reasoning carries no status on the wire."""
        summary, content = self._summary, self._content
        part = self._open_part() if self.kind else None
        if isinstance(part, _SummaryText):
            summary = [*summary, part]
        elif isinstance(part, _ReasoningText):
            content = [*content, part]
        return _encode(_Reasoning(self.id, summary, content or None, self.encrypted_content))

    def _open_part(self) -> _SummaryText | _ReasoningText:
        text = "".join(self._pieces)
        return _SummaryText(text) if self.kind == "summary_text" else _ReasoningText(text)


# ------------------------------------------------------------------------------------------ calls


class _CallPlace(Struct):
    item_id: str
    output_index: int


class CallItem:
    """A call of a function (JSON arguments) or of a custom tool (a text)."""

    __slots__ = (
        "_call_id",
        "_delta_event",
        "_kind",
        "_name",
        "_namespace",
        "_pieces",
        "_place",
        "_prefix",
        "id",
        "output_index",
    )

    def __init__(
        self,
        kind: Literal["function_call", "custom_tool_call"],
        item_id: str,
        output_index: int,
        call: tuple[str, str, str | None],
    ) -> None:
        """`call` is (call_id, name, namespace)."""
        self.id = item_id
        self.output_index = output_index
        self._kind = kind
        self._call_id, self._name, self._namespace = call
        self._pieces: list[str] = []
        self._place = _CallPlace(item_id, output_index)
        self._delta_event = (
            "response.function_call_arguments.delta"
            if kind == "function_call"
            else "response.custom_tool_call_input.delta"
        )
        self._prefix = _delta_prefix(self._delta_event, self._place)

    def added(self) -> Draft:
        """The item's first event."""
        return _item_event(
            "response.output_item.added", self.output_index, self.encode("in_progress")
        )

    def delta(self, delta: str) -> Draft:
        """More of the arguments or the input."""
        self._pieces.append(delta)
        return Draft(self._delta_event, b'%b%b,"sequence_number":' % (self._prefix, _encode(delta)))

    def close(self, status: ItemStatus) -> tuple[list[Draft], bytes]:
        """The events that close the item, and its final JSON.

        A whole call without arguments has the arguments `{}`, which clients parse.
        """
        drafts: list[Draft] = []
        if self._kind == "function_call":
            if not self._pieces and status == "completed":
                drafts.append(self.delta("{}"))
            members = _with(self._place, name=self._name, arguments="".join(self._pieces))
            drafts.append(draft("response.function_call_arguments.done", members))
        else:
            members = _with(self._place, input="".join(self._pieces))
            drafts.append(draft("response.custom_tool_call_input.done", members))
        item = self.encode(status)
        drafts.append(_item_event("response.output_item.done", self.output_index, item))
        return drafts, item

    def encode(self, status: ItemStatus) -> bytes:
        """The item's JSON as it stands."""
        kind = _FunctionCall if self._kind == "function_call" else _CustomToolCall
        return _encode(
            kind(
                self.id,
                status,
                "".join(self._pieces),
                self._call_id,
                self._name,
                self._namespace,
            )
        )


# --------------------------------------------------------------------------------------- searches


class SearchItem:
    """A search of the web that the upstream made by itself."""

    __slots__ = ("_action", "_failed", "_place", "id", "output_index")

    def __init__(self, item_id: str, output_index: int, query: str) -> None:
        self.id = item_id
        self.output_index = output_index
        self._place = _CallPlace(item_id, output_index)
        self._action = _Search(query)
        self._failed = False

    def added(self) -> Draft:
        """The item's first event."""
        return _item_event(
            "response.output_item.added", self.output_index, self.encode("in_progress")
        )

    def begun(self) -> list[Draft]:
        """The events that follow the first."""
        return [
            draft("response.web_search_call.in_progress", self._place),
            draft("response.web_search_call.searching", self._place),
        ]

    def found(self, urls: Sequence[str], *, failed: bool) -> None:
        """What came of it; `urls` are the pages that the item is to name."""
        self._failed = failed
        if urls:
            self._action = _Search(self._action.query, [_Source(url) for url in urls])

    def close(self, status: ItemStatus) -> tuple[list[Draft], bytes]:
        """The events that close the item, and its final JSON."""
        item = self.encode(status)
        drafts = [
            draft("response.web_search_call.completed", self._place),
            _item_event("response.output_item.done", self.output_index, item),
        ]
        return drafts, item

    def encode(self, status: ItemStatus) -> bytes:
        """The item's JSON as it stands. One that was cut off has failed: it has no other word."""
        shown = "failed" if self._failed or status == "incomplete" else status
        return _encode(_WebSearchCall(self.id, shown, self._action))


Item: TypeAlias = MessageItem | ReasoningItem | CallItem | SearchItem
