"""An answer of a Messages API, block by block, as events of the Responses API.

A thinking block becomes a reasoning item, text blocks in a row one text, a call of a tool a
function call (or a custom one, or the answer itself where a tool stood in for its format), a search
of the API a web_search_call.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sluicegate.api.custom_input import CustomInput
from sluicegate.api.output import UrlCitation
from sluicegate.api.stream import ResponseStream
from sluicegate.model import ApiError, Event, UpstreamStreamError, Usage
from sluicegate.wires.anthropic_messages import said
from sluicegate.wires.anthropic_messages.answer_format import VALUE
from sluicegate.wires.anthropic_messages.body import RedactedThinkingBlock, ThinkingBlock
from sluicegate.wires.anthropic_messages.request import Reading
from sluicegate.wires.anthropic_messages.thinking import seal_thinking

_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})
_REFUSED = "The model refused to answer."
_SEARCH = "web_search"
_OF_SEARCHES = frozenset({"server_tool_use", "web_search_tool_result"})
_LONGEST_CALL_ID = 64
_Kind: TypeAlias = Literal[
    "none", "text", "thinking", "redacted", "call", "custom", "answer", "search", "found", "other"
]
_value = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Query(msgspec.Struct):
    query: str = ""


_query = msgspec.json.Decoder(_Query)


class MessageReader:
    """One answer. Each method returns the events that follow; `ended` after the last of them.

    `whole`: of the events only the last is of use.
    """

    def __init__(self, reading: Reading) -> None:
        self.ended = False
        self.whole = False
        self.counted = said.Counted()
        self._reading = reading
        self._model: str | None = None
        self._stream: ResponseStream | None = None
        self._kind: _Kind = "none"  # of the open block
        self._json: list[str] = []  # of the open block's input, where it is needed whole
        self._opened_with = ""  # an input that came with the block's start
        self._thinking: list[str] = []
        self._signature = ""
        self._custom = CustomInput()
        self._cited: list[said.Citation] = []
        self._length = 0  # of the open text part
        self._block_at = 0  # where the open text block begins in it
        self._held: list[str] | None = [] if reading.answer_tool is not None else None
        self._unsaid = False  # the answer tool was called, so far without input
        self._search_id = ""  # of the open block
        self._searching = False  # a search is told, so far without its result
        self._searches: dict[str, str] = {}  # behind it: queries by the ids of their blocks

    # ---------------------------------------------------------------------------------- message

    def begin(self, message: said.Message | None) -> list[Event]:
        """The answer begins; a repeated start changes nothing but the usage."""
        if message is not None:
            self._model = self._model or message.model
            self.counted.take(message.usage)
        return self._out().in_progress()

    def finish(self, reason: str | None, details: said.StopDetails | None) -> list[Event]:
        """The answer has ended, for this reason."""
        cut = self._kind in {"call", "custom"}
        events = self.end_block()
        events += self._end_searches()
        events += self._release()
        if reason not in _CUT and reason != "refusal":
            events += self._say_empty()
        incomplete: Literal["max_output_tokens", "content_filter"] | None = None
        if reason in _CUT:
            incomplete = "max_output_tokens"
        elif reason == "refusal" and cut:
            incomplete = "content_filter"  # a call broke off: its arguments are not whole
        elif reason == "refusal":
            explanation = details.explanation if details is not None else None
            events += self._out().refusal(explanation or _REFUSED)
        self.ended = True
        events += self._out().finish(
            self.counted.usage(),
            incomplete=incomplete,
            service_tier=self.counted.service_tier(),
            model=self._model,
        )
        return events

    def fail(self, error: ApiError) -> list[Event]:
        """The answer broke off."""
        self.ended = True
        events = self._release()
        return events + self._out().fail(error, self.counted.usage())

    @property
    def usage(self) -> Usage | None:
        """As far as it is known."""
        return self.counted.usage()

    def _out(self) -> ResponseStream:
        """Made late, so that it names the model that the upstream resolved."""
        if self._stream is None:
            model = self._model or self._reading.model
            self._stream = ResponseStream(self._reading.echo, model, whole=self.whole)
        return self._stream

    # ----------------------------------------------------------------------------------- blocks

    def begin_block(self, block: said.Block) -> list[Event]:
        """A block begins, perhaps with all that is in it."""
        events = self.end_block()
        events += self._say_empty()
        if block.type not in _OF_SEARCHES:
            events += self._end_searches()
        match block.type:
            case "text":
                self._kind = "text"
                self._block_at = self._length
                self._cited = list(block.citations or ())
                events += self.text(block.text)
            case "thinking" | "redacted_thinking":
                events += self._begin_thinking(block)
            case "tool_use":
                events += self._begin_call(block)
            case "server_tool_use" if block.name == _SEARCH:
                self._kind = "search"
                self._search_id = block.id
                self._begin_input(block)
            case "web_search_tool_result":
                self._kind = "found"
                events += self._found(block)
            case _:
                self._kind = "other"
        return events

    def delta(self, delta: said.Delta) -> list[Event]:
        """More of the open block; a delta of another kind than the block's is skipped."""
        match delta.type:
            case "text_delta" if self._kind == "text":
                return self.text(delta.text)
            case "input_json_delta":
                return self._input(delta.partial_json)
            case "thinking_delta" if self._kind == "thinking":
                self._thinking.append(delta.thinking)
                return self._out().reasoning_summary(delta.thinking)
            case "signature_delta" if self._kind == "thinking":
                self._signature += delta.signature
            case "citations_delta" if delta.citation is not None:
                self._cited.append(delta.citation)
            case _:
                pass
        return []

    def end_block(self) -> list[Event]:
        """The open block is whole, if there is one. Calls stay open: they may yet be cut."""
        kind, self._kind = self._kind, "none"
        match kind:
            case "text":
                return self._end_text()
            case "thinking":
                block = ThinkingBlock("".join(self._thinking), self._signature)
                return self._end_thinking(block)
            case "call" | "custom" | "answer" | "search":
                return self._end_input(kind)
            case _:
                return []

    # ------------------------------------------------------------------------------------- text

    def text(self, text: str) -> list[Event]:
        """More text; before a tool that stands in for the answer's format it is held back."""
        if self._held is not None:
            self._held.append(text)
            return []
        self._length += len(text)
        return self._out().text(text)

    def _release(self) -> list[Event]:
        """Text that was held back and is the answer after all."""
        held, self._held = self._held, None
        return self.text("".join(held)) if held else []

    def _end_text(self) -> list[Event]:
        """Citations are about the whole block."""
        events: list[Event] = []
        if self._held is None and self._length > self._block_at:
            for citation in self._cited:
                if citation.url:
                    events += self._out().annotation(
                        UrlCitation(
                            citation.url, citation.title or "", self._block_at, self._length
                        )
                    )
        self._cited = []
        return events

    # ---------------------------------------------------------------------------------- thinking

    def _begin_thinking(self, block: said.Block) -> list[Event]:
        self._length = 0
        events = self._out().end_item()  # each block has its own signature, so its own item
        events += self._out().reasoning()
        if block.type == "redacted_thinking":
            self._kind = "redacted"
            return events + self._end_thinking(RedactedThinkingBlock(block.data))
        self._kind = "thinking"
        self._thinking = [block.thinking]
        self._signature = block.signature
        return events + self._out().reasoning_summary(block.thinking)

    def _end_thinking(self, block: ThinkingBlock | RedactedThinkingBlock) -> list[Event]:
        self._thinking, self._signature = [], ""
        sealed = seal_thinking(block, self._reading.provider, self._reading.model)
        events = [] if sealed is None else self._out().encrypted_reasoning(sealed)
        return events + self._out().end_item()

    # ------------------------------------------------------------------------------------- calls

    def _begin_call(self, block: said.Block) -> list[Event]:
        tool = self._reading.answer_tool
        self._begin_input(block)
        if tool is not None and block.name == tool.name:
            self._kind = "answer"
            self._held = None  # what was said before it is not part of the answer
            self._unsaid = True
            return []
        events = self._release()
        self._length = 0
        call_id = block.id if 0 < len(block.id) <= _LONGEST_CALL_ID else self._out().new_call_id()
        origin = self._reading.toolset.origin(block.name)
        if origin.kind == "custom":
            self._kind = "custom"
            self._custom = CustomInput()
            return events + self._out().custom_tool_call(call_id, origin.name, origin.namespace)
        self._kind = "call"
        return events + self._out().function_call(call_id, origin.name, origin.namespace)

    def _begin_input(self, block: said.Block) -> None:
        """A whole answer, and some who imitate the API, give the input with the block."""
        self._json = []
        given = bytes(block.input).decode(errors="replace")
        self._opened_with = "" if given in {"", "{}", "null"} else given

    def _input(self, fragment: str) -> list[Event]:
        if not fragment:
            return []
        self._opened_with = ""  # the fragments are the whole input
        if self._kind == "answer":
            self._unsaid = False
        match self._kind:
            case "call":
                return self._out().call_delta(fragment)
            case "custom":
                return self._out().call_delta(self._custom.feed(fragment))
            case "answer" if not self._wrapped():
                return self.text(fragment)
            case "answer" | "search":
                self._json.append(fragment)
            case _:
                pass
        return []

    def _end_input(self, kind: Literal["call", "custom", "answer", "search"]) -> list[Event]:
        events: list[Event] = []
        if self._opened_with:
            self._kind = kind
            events += self._input(self._opened_with)
            self._kind = "none"
        match kind:
            case "call":
                pass
            case "custom":
                events += self._out().call_delta(self._custom.close())
            case "answer":
                events += self.text(_unwrapped("".join(self._json)))
            case "search":
                events += self._search(_query_of("".join(self._json)))
        self._opened_with, self._json = "", []
        return events

    def _say_empty(self) -> list[Event]:
        """A call of the answer tool without input: the answer is an object without members.

        Not at the block's end, since only what follows says whether the answer was cut there.
        """
        unsaid, self._unsaid = self._unsaid, False
        return self.text("{}") if unsaid else []

    def _wrapped(self) -> bool:
        tool = self._reading.answer_tool
        return tool is not None and tool.wrapped

    # ----------------------------------------------------------------------------------- searches

    def _search(self, query: str) -> list[Event]:
        """One at a time is told; others of the same moment wait until their results come."""
        if self._searching:
            self._searches[self._search_id] = query
            return []
        self._searching = True
        return self._out().web_search(query)

    def _end_searches(self) -> list[Event]:
        """No result comes any more."""
        waiting, self._searches, self._searching = self._searches, {}, False
        return [event for query in waiting.values() for event in self._out().web_search(query)]

    def _found(self, block: said.Block) -> list[Event]:
        self._length = 0
        query = self._searches.pop(block.tool_use_id, None)
        events = [] if query is None else self._out().web_search(query)
        self._searching = False
        urls: tuple[str, ...] = ()
        failed = False
        try:
            found = said.pages.decode(block.content)
            urls = tuple(page.url for page in found if page.url)
        except said.UNREADABLE:  # an error object in place of the list
            failed = True
        shown = urls if self._reading.sources else ()
        return events + self._out().web_search_done(shown, failed=failed)


def _unwrapped(arguments: str) -> str:
    """The member `value` of the answer tool's input, as it was written."""
    if not arguments:
        return ""
    try:
        value = _value.decode(arguments).get(VALUE)
    except said.UNREADABLE:
        return arguments
    return arguments if value is None else bytes(value).decode()


def _query_of(arguments: str) -> str:
    try:
        return _query.decode(arguments).query
    except said.UNREADABLE:
        return ""


def require_block(block: said.Block | None) -> said.Block:
    """The block of an event that must have one. Raises UpstreamStreamError."""
    if block is None:
        raise UpstreamStreamError("an event of the upstream has no block")
    return block
