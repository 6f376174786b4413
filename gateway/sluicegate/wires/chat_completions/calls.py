"""The calls of one answer: pieces that belong together, written one call after the other.

The API numbers the calls of an answer by `index` and sends their arguments in pieces, perhaps of
several calls in turn. A Responses stream has one open item, so the first call is written as it
comes, and another one once the arguments before it are whole, or at the end.

Which call a piece belongs to is not always plain: servers leave `index` out (Gemini), send 0 for
every call (older Ollama), leave ids out, repeat the name in each piece, or repeat whole calls.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from sluicegate.api.custom_input import CustomInput
from sluicegate.api.stream import ResponseStream
from sluicegate.api.toolset import Toolset
from sluicegate.model import Event
from sluicegate.wires.chat_completions.said import ToolCall, arguments_of

_LONGEST_CALL_ID = 64
_STRUCTURE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class _WholeObject:
    """Whether a JSON object that comes in pieces is at its end. Linear in what it is fed."""

    __slots__ = ("_depth", "_escaped", "_quoted", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def feed(self, text: str) -> None:
        at = 1 if self._escaped else 0
        if not text:
            return
        self._escaped = False
        while not self.ended:
            found = (_IN_STRING if self._quoted else _STRUCTURE).search(text, at)
            if found is None:
                return
            at = found.end()
            self._take(found[0])
            if self._escaped:
                at += 1
                if at > len(text):
                    return
                self._escaped = False

    def _take(self, character: str) -> None:
        match character:
            case '"':
                self._quoted = not self._quoted
            case "\\":
                self._escaped = True
            case "{" | "[":
                self._depth += 1
            case _:
                self._depth -= 1
                self.ended = self._depth <= 0


class _Call:
    """One call. `held`: arguments that are not written yet."""

    __slots__ = ("_end", "_unread", "custom", "held", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.held: list[str] = []
        self.custom: CustomInput | None = None
        self._end = _WholeObject()
        self._unread: list[str] = []

    def add(self, fragment: str) -> None:
        """More of the arguments."""
        self._unread.append(fragment)

    def whole(self) -> bool:
        """Whether the arguments are an object that has ended."""
        for fragment in self._unread:
            self._end.feed(fragment)
        self._unread.clear()
        return self._end.ended


class Calls:
    """The calls of one answer. `out` is where they are written."""

    def __init__(self, out: Callable[[], ResponseStream], toolset: Toolset) -> None:
        self._out = out
        self._toolset = toolset
        self._queue: deque[_Call] = deque()  # not whole yet, or not written; the first may be open
        self._open: _Call | None = None
        self._mixed = False  # pieces come in turn: only the end tells what is whole
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._ids: set[str] = set()  # that the client was told

    @property
    def begun(self) -> bool:
        """Whether there is a call that may go on."""
        return bool(self._queue)

    def take(self, said: ToolCall) -> list[Event]:
        """A piece of a call."""
        fragment = "" if said.function is None else arguments_of(said.function)
        call = self._call_of(said, fragment)
        if call is None or not fragment:
            return [] if call is None or call is self._open else self._advance()
        call.add(fragment)
        if call is self._open:
            return self._write(call, fragment)
        call.held.append(fragment)
        return self._advance()

    @property
    def nameless(self) -> bool:
        """Whether there are arguments for a tool that was never named."""
        return any(call.held and not call.name for call in self._queue)

    def settle(self) -> bool:
        """Whether something else may follow: all calls are written and whole."""
        if not self._queue:
            return True
        first = self._queue[0]
        return len(self._queue) == 1 and first is self._open and first.whole()

    def leave(self) -> list[Event]:
        """Something else follows; the calls are over."""
        events = self._end_input()
        self._queue.clear()
        return events

    def close(self) -> list[Event]:
        """The answer has ended. The last call stays open: it may be cut."""
        events: list[Event] = []
        while self._queue:
            call = self._queue.popleft()
            if call.name and call is not self._open:
                events += self._begin(call)
        return events + self._end_input()

    # ---------------------------------------------------------------------------------- inside

    def _call_of(self, said: ToolCall, fragment: str) -> _Call | None:
        """The call that a piece belongs to; None for one that says nothing new."""
        id_ = said.id or ""
        name = (said.function.name if said.function is not None else None) or ""
        if said.index is not None:
            call = self._by_index.get(said.index)
        else:
            call = self._by_id.get(id_) or self._last
        if call is None and not (id_ or name or fragment):
            return None
        if call is not None and name and call.name:
            if id_ and call.id and id_ != call.id:
                call = None  # a server that does not count
            elif name != call.name and not id_:
                call = None  # nor gives ids
            elif fragment.lstrip().startswith("{") and call.whole():
                if id_ and id_ == call.id:
                    return None  # said twice
                call = None
        if call is None:
            call = _Call()
            self._queue.append(call)
            if said.index is not None:
                self._by_index[said.index] = call
        call.id = call.id or id_
        call.name = call.name or name
        if id_:
            self._by_id[id_] = call
        self._last = call
        return call

    def _advance(self) -> list[Event]:
        """Write what can be written now."""
        events: list[Event] = []
        while self._queue:
            call = self._queue[0]
            if call is not self._open:
                if not call.name:
                    break
                events += self._begin(call)
            if len(self._queue) == 1 or self._mixed:
                break
            if not call.whole():
                self._mixed = True
                break
            self._queue.popleft()
        return events

    def _begin(self, call: _Call) -> list[Event]:
        events = self._end_input()
        out = self._out()
        call_id = call.id
        if not 0 < len(call_id) <= _LONGEST_CALL_ID or call_id in self._ids:
            call_id = out.new_call_id()
        self._ids.add(call_id)
        origin = self._toolset.origin(call.name)
        self._open = call
        if origin.kind == "custom":
            call.custom = CustomInput()
            events += out.custom_tool_call(call_id, origin.name, origin.namespace)
        else:
            events += out.function_call(call_id, origin.name, origin.namespace)
        for fragment in call.held:
            events += self._write(call, fragment)
        call.held.clear()
        return events

    def _write(self, call: _Call, fragment: str) -> list[Event]:
        if call.custom is not None:
            fragment = call.custom.feed(fragment)
        return self._out().call_delta(fragment)

    def _end_input(self) -> list[Event]:
        """The open call's input is whole."""
        call, self._open = self._open, None
        if call is None or call.custom is None:
            return []
        return self._out().call_delta(call.custom.close())
