"""Input items as turns: who said what, calls beside their results.

The API wants the results of all calls of a turn first in the very next message, in one message. The
Responses API lets an output stand anywhere, so results are looked up by call and put where they
belong.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sluicegate.api.items import (
    CallOutput,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputPart,
    Item,
    ItemReference,
    Message,
    OpaqueItem,
    Reasoning,
    no_output,
    outputs_by_call,
    refuse_leftover,
)
from sluicegate.api.omissions import Omissions
from sluicegate.api.toolset import function_name
from sluicegate.wires.anthropic_messages.body import (
    Block,
    InputBlock,
    RedactedThinkingBlock,
    Role,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    WireMessage,
)
from sluicegate.wires.anthropic_messages.content import blocks, text_blocks
from sluicegate.wires.anthropic_messages.terms import Dialect
from sluicegate.wires.anthropic_messages.thinking import unseal_thinking
from sluicegate.wires.call_input import call_input

_LONGEST_NAME = 64
_OPENING = "(The conversation begins.)"
_NOT_ID = re.compile(r"[^a-zA-Z0-9_-]")
_THINKING = (ThinkingBlock, RedactedThinkingBlock)


class History(NamedTuple):
    """`system` is what came before the conversation, or can't stand inside it."""

    system: tuple[TextBlock, ...]
    messages: tuple[WireMessage, ...]
    called: tuple[str, ...]  # the functions that were called, by their upstream names
    unsigned: bool  # the turn that goes on called tools without signed thinking


class Reader(NamedTuple):
    """For whom the history is told."""

    dialect: Dialect
    model: str
    inline_system: bool


@dataclass(slots=True)
class _Turn:
    role: Role
    blocks: list[Block] = field(default_factory=list[Block])
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # (id, wire id)


def tell(items: Sequence[Item], reader: Reader, omissions: Omissions) -> History:
    """The conversation. Raises ApiError (400) for what can't be said upstream."""
    if len(items) == 1 and isinstance(item := items[0], Message) and item.role == "user":
        only = blocks(item.content, "input[0].content", reader.dialect)
        if only:  # one question, as most requests are: there are no turns to be ordered
            return History((), (WireMessage("user", only),), (), unsigned=False)
    told = _Told(reader, outputs_by_call(items))
    for index, item in enumerate(items):
        told.take(item, index, omissions)
    return told.history()


def without_thinking(messages: Sequence[WireMessage]) -> tuple[WireMessage, ...]:
    """The same conversation for a model that does not think now."""
    kept = (
        WireMessage(
            message.role,
            [block for block in message.content if not isinstance(block, _THINKING)],
        )
        for message in messages
    )
    return tuple([message for message in kept if message.content])


class _Told:
    """The turns so far."""

    def __init__(self, reader: Reader, outputs: dict[str, deque[CallOutput]]) -> None:
        self._reader = reader
        self._outputs = outputs
        self._system: list[TextBlock] = []
        self._turns: list[_Turn] = []
        self._ids: set[str] = set()
        self._called: dict[str, None] = {}

    def take(self, item: Item, index: int, omissions: Omissions) -> None:
        """Add one item."""
        where = f"input[{index}]"
        match item:
            case Message():
                self._message(item, where)
            case FunctionCall() | CustomToolCall():
                self._call(item)
            case FunctionCallOutput() | CustomToolCallOutput():
                self._end_calls()  # what follows was said after the results were known
            case Reasoning(encrypted_content=sealed):
                block = unseal_thinking(sealed, self._reader.dialect.provider, self._reader.model)
                if block is not None:
                    self._turn("assistant").blocks.append(block)
            case OpaqueItem(type="web_search_call"):
                pass  # what it found is in the answer that followed
            case OpaqueItem(type=kind):
                omissions.unsupported(where, f"items of type '{kind}' are not supported")
            case Compaction() | CompactionTrigger() | ItemReference():
                omissions.unsupported(where, "items of this type are not supported")

    def history(self) -> History:
        """Everything, in the order and the form that the API wants."""
        self._end_calls()
        refuse_leftover(self._outputs)
        turns = _merged(self._placed())
        ended = [_end_thinking(turn) for turn in turns]
        if any(ended):
            turns = _merged(turns)
        if not turns or turns[0].role != "user":
            turns.insert(0, _Turn("user", [TextBlock(_OPENING)]))
        _trim_end(turns[-1])
        return History(
            tuple(self._system),
            tuple([WireMessage(turn.role, turn.blocks) for turn in turns]),
            tuple(self._called),
            _unsigned(turns),
        )

    # ---------------------------------------------------------------------------------- the turns

    def _turn(self, role: Role) -> _Turn:
        """The open turn of this role; what the other side said before is over."""
        if role != "assistant":
            self._end_calls()
        if not self._turns or self._turns[-1].role != role:
            self._turns.append(_Turn(role))
        return self._turns[-1]

    def _message(self, item: Message, where: str) -> None:
        path = f"{where}.content"
        match item.role:
            case "user":
                found = blocks(item.content, path, self._reader.dialect)
                if found:
                    self._turn("user").blocks.extend(found)
            case "assistant":
                texts = text_blocks(item.content, path)
                if texts:
                    self._turn("assistant").blocks.extend(texts)
            case "system" | "developer":
                texts = text_blocks(item.content, path)
                if not self._turns:
                    self._system.extend(texts)
                elif texts:
                    self._turn("system").blocks.extend(texts)

    def _call(self, item: FunctionCall | CustomToolCall) -> None:
        name = _wire_name(item.name, item.namespace)
        self._called[name] = None
        wire_id = self._wire_id(item.call_id)
        turn = self._turn("assistant")
        turn.blocks.append(ToolUseBlock(wire_id, name, call_input(item)))
        turn.calls.append((item.call_id, wire_id))

    def _wire_id(self, call_id: str) -> str:
        """An id of the characters that the API takes, and of one call only."""
        plain = _NOT_ID.sub("_", call_id)
        wire_id, number = plain, 1
        while wire_id in self._ids:
            number += 1
            wire_id = f"{plain}_{number}"
        self._ids.add(wire_id)
        return wire_id

    def _end_calls(self) -> None:
        """Where the last turn called tools: their results, in the order of the calls."""
        if not self._turns or not self._turns[-1].calls:
            return
        results: list[Block] = []
        for call_id, wire_id in self._turns[-1].calls:
            outputs = self._outputs.get(call_id)
            if not outputs:
                raise no_output(call_id)
            index, output = outputs.popleft()
            results.append(ToolResultBlock(wire_id, self._result(output, index)))
        self._turns.append(_Turn("user", results))

    def _result(
        self, output: str | tuple[InputPart, ...], index: int
    ) -> str | Sequence[InputBlock]:
        if isinstance(output, str):
            return output
        return blocks(output, f"input[{index}].output", self._reader.dialect) or ""

    def _placed(self) -> list[_Turn]:
        """Later words of the system stay where they are if the API takes them there, else move up.

        It takes them after a message of the user, if then the assistant goes on.
        """
        turns = self._turns
        placed: list[_Turn] = []
        for index, turn in enumerate(turns):
            if turn.role != "system":
                placed.append(turn)
                continue
            after_user = bool(placed) and placed[-1].role == "user"
            before_assistant = index + 1 == len(turns) or turns[index + 1].role == "assistant"
            if self._reader.inline_system and after_user and before_assistant:
                placed.append(turn)
            else:
                self._system.extend(b for b in turn.blocks if isinstance(b, TextBlock))
        return placed


def _merged(turns: Sequence[_Turn]) -> list[_Turn]:
    """One turn where one role speaks twice in a row; none where nothing is said."""
    merged: list[_Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1].blocks += turn.blocks
        elif turn.blocks:
            merged.append(turn)
    return merged


def _end_thinking(turn: _Turn) -> bool:
    """Take away thinking that nothing follows, which the API refuses; whether there was any."""
    found = False
    while turn.blocks and isinstance(turn.blocks[-1], _THINKING):
        turn.blocks.pop()
        found = True
    return found


def _trim_end(turn: _Turn) -> None:
    """An answer that is to be continued may not end in white space."""
    last = turn.blocks[-1]
    if turn.role == "assistant" and isinstance(last, TextBlock):
        turn.blocks[-1] = TextBlock(last.text.rstrip(), last.cache_control)


def _unsigned(turns: Sequence[_Turn]) -> bool:
    for turn in reversed(turns):
        if turn.role == "assistant":
            calls = any(isinstance(block, ToolUseBlock) for block in turn.blocks)
            return calls and not isinstance(turn.blocks[0], _THINKING)
    return False


def _wire_name(name: str, namespace: str | None) -> str:
    return function_name(_NOT_ID.sub("_", name) or "_", namespace, _LONGEST_NAME)
