"""Input items as Converse's messages: roles that alternate, results right after their calls.

Bedrock refuses blank text in a message, results of one turn in several messages, and tool blocks
without a tool configuration; all three are seen to here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Raw

from sluicegate.api.items import (
    CacheBreakpoint,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputPart,
    InputText,
    Item,
    ItemReference,
    Message,
    MessagePart,
    OpaqueItem,
    OutputText,
    Reasoning,
    Refusal,
    no_output,
    outputs_by_call,
    refuse_leftover,
)
from sluicegate.api.omissions import Omissions
from sluicegate.api.support import unsupported
from sluicegate.api.toolset import function_name
from sluicegate.providers.bedrock import wire
from sluicegate.providers.bedrock.media import DocumentNames, document_block, image_block
from sluicegate.providers.bedrock.models import Model
from sluicegate.providers.bedrock.sealing import opened
from sluicegate.wires.call_input import call_input

LONGEST_NAME = 64  # characters of a tool's name
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")
_MOST_CACHE_POINTS = 4
# Bedrock wants the user to begin; where the client's history does not, nothing is put in the
# user's mouth but this.
_OPENING = wire.Text("(The conversation begins.)")
_SEE_DOCUMENT = wire.Text("(See the attached document.)")  # a document needs a text beside it


class Conversation(NamedTuple):
    """What the model is told. `calls`: there are tool blocks, so there must be a toolConfig."""

    system: Sequence[wire.SystemBlock]
    messages: Sequence[wire.Message]
    calls: bool
    unsigned_calls: bool  # the last turn calls tools without signed reasoning before that


class HistoryOptions(NamedTuple):
    """`told`: tool blocks become text, since there may be no tools in this request."""

    model: Model
    ttl: Literal["1h"] | None
    told: bool
    omissions: Omissions


def conversation(
    instructions: str | None, items: Sequence[Item], options: HistoryOptions
) -> Conversation:
    """Raises ApiError (400) for what can't be said to a model behind Bedrock."""
    history = _History(items, options)
    if instructions is not None and instructions.strip():
        history.system.append(wire.Text(instructions))
    for index, item in enumerate(items):
        history.add(index, item)
    return history.finished()


class _Call(NamedTuple):
    call_id: str
    tool_use_id: str
    name: str


class _History:
    """The messages so far, and the turn that is open."""

    def __init__(self, items: Sequence[Item], options: HistoryOptions) -> None:
        self.system: list[wire.SystemBlock] = []
        self._options = options
        self._names = DocumentNames()
        self._messages: list[tuple[Literal["user", "assistant"], list[wire.Block]]] = []
        self._pending: list[_Call] = []  # of the open turn, unanswered
        self._ids: set[str] = set()  # of calls, as the upstream is told
        self._outputs = outputs_by_call(items)
        self._calls = False

    def add(self, index: int, item: Item) -> None:
        param = f"input[{index}]"
        match item:
            case Message():
                self._message(item, param)
            case FunctionCall() | CustomToolCall():
                self._call(item.call_id, item.name, item.namespace, call_input(item))
            case FunctionCallOutput() | CustomToolCallOutput():
                self._answer()
            case Reasoning():
                block = opened(item, self._options.model)
                if block is not None:
                    self._content("assistant").append(block)
            case Compaction() | CompactionTrigger() | ItemReference():
                raise unsupported(param, "what it stands for is not here to be read")
            case OpaqueItem(type="web_search_call"):
                pass  # what it found is in the answer that followed
            case OpaqueItem():
                self._options.omissions.unsupported(
                    param, f"items of type '{item.type}' are not supported with this model"
                )

    def finished(self) -> Conversation:
        self._answer()
        refuse_leftover(self._outputs)
        turns = _tidied(self._messages)
        if turns and self._options.model.signs:  # which only Claude does
            _trim_end(*turns[-1])
        messages = [wire.Message(role, content) for role, content in turns]
        if not messages or messages[0].role == "assistant":
            messages.insert(0, wire.Message("user", (_OPENING,)))
        return Conversation(
            *_with_few_cache_points(self.system, messages),
            self._calls,
            _calls_unsigned(messages),
        )

    # ------------------------------------------------------------------------------ messages

    def _content(self, role: Literal["user", "assistant"]) -> list[wire.Block]:
        """The open message of this role; the results that are due come first in a user's."""
        if role == "user":
            self._answer()
        if not self._messages or self._messages[-1][0] != role:
            self._messages.append((role, []))
        return self._messages[-1][1]

    def _message(self, message: Message, param: str) -> None:
        parts: tuple[MessagePart, ...] = (
            (InputText(message.content),) if isinstance(message.content, str) else message.content
        )
        if message.role in {"system", "developer"}:
            self._instruct(parts, param)
            return
        role = "assistant" if message.role == "assistant" else "user"
        content = self._content(role)
        for number, part in enumerate(parts):
            block = self._part(part, f"{param}.content[{number}]")
            if block is None:
                continue
            if role == "assistant" and not isinstance(block, wire.Text):
                raise unsupported(
                    f"{param}.content[{number}]", "an assistant's message holds text only here"
                )
            content.append(block)
            content += self._cache_point(getattr(part, "prompt_cache_breakpoint", None))

    def _instruct(self, parts: Sequence[MessagePart], param: str) -> None:
        """Instructions keep their order, not their place: only the newest models have a place."""
        for number, part in enumerate(parts):
            block = self._part(part, f"{param}.content[{number}]")
            if block is None:
                continue
            if not isinstance(block, wire.Text):
                raise unsupported(f"{param}.content[{number}]", "instructions are text here")
            self.system.append(block)
            self.system += self._cache_point(getattr(part, "prompt_cache_breakpoint", None))

    def _part(
        self, part: MessagePart, param: str
    ) -> wire.Text | wire.ImageBlock | wire.DocumentBlock | None:
        match part:
            case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
                return wire.Text(text) if text.strip() else None
            case InputImage():
                return image_block(part, param)
            case InputFile():
                return document_block(part, param, self._names)

    def _cache_point(self, breakpoint_: CacheBreakpoint | None) -> list[wire.CachePointBlock]:
        if breakpoint_ is None or not self._options.model.caching:
            return []
        return [wire.CachePointBlock(wire.CachePoint("default", self._options.ttl))]

    # --------------------------------------------------------------------------------- calls

    def _call(self, call_id: str, name: str, namespace: str | None, arguments: Raw) -> None:
        upstream = function_name(name, namespace, LONGEST_NAME)
        tool_use_id = self._tool_use_id(call_id)
        self._pending.append(_Call(call_id, tool_use_id, upstream))
        content = self._content("assistant")
        if self._options.told:
            content.append(wire.Text(f"[Called {upstream} with {bytes(arguments).decode()}]"))
        else:
            self._calls = True
            use = wire.ToolUse(tool_use_id, upstream, arguments)
            content.append(wire.ToolUseBlock(use))

    def _answer(self) -> None:
        """The results of the open turn's calls, in their order, together.

        They come right after the turn wherever the client put them: Bedrock wants them all there.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        content = self._content("user")
        for call in pending:
            outputs = self._outputs.get(call.call_id)
            if not outputs:
                raise no_output(call.call_id)
            index, output = outputs.popleft()
            parts = self._result(output, f"input[{index}].output")
            if self._options.told:
                content.append(wire.Text(f"[{call.name} answered:]"))
                content += [
                    part
                    for part in parts
                    if not (isinstance(part, wire.Text) and not part.text.strip())
                ]
            else:
                result = wire.ToolResult(call.tool_use_id, parts)
                content.append(wire.ToolResultBlock(result))

    def _result(self, output: str | tuple[InputPart, ...], param: str) -> list[wire.ResultPart]:
        """Here an empty text is fine."""
        if isinstance(output, str):
            return [wire.Text(output)]
        parts: list[wire.ResultPart] = []
        for number, part in enumerate(output):
            if isinstance(part, InputText):
                parts.append(wire.Text(part.text))
            elif isinstance(part, InputImage):
                parts.append(image_block(part, f"{param}[{number}]"))
            else:
                parts.append(document_block(part, f"{param}[{number}]", self._names))
        return parts or [wire.Text("")]

    def _tool_use_id(self, call_id: str) -> str:
        """An id that the upstream takes, and of one call only."""
        tool_use_id, number = self._spelled(call_id), 1
        while tool_use_id in self._ids:
            number += 1
            tool_use_id = self._spelled(f"{call_id}_{number}")
        self._ids.add(tool_use_id)
        return tool_use_id

    def _spelled(self, call_id: str) -> str:
        """The id itself, or for one that the upstream would refuse always the same other one."""
        allowed = _SHORT_ID if self._options.model.short_ids else _TOOL_USE_ID
        if allowed.fullmatch(call_id):
            return call_id
        digest = hashlib.sha256(call_id.encode()).hexdigest()
        return digest[:9] if self._options.model.short_ids else f"call_{digest[:24]}"


def _tidied(
    turns: list[tuple[Literal["user", "assistant"], list[wire.Block]]],
) -> list[tuple[Literal["user", "assistant"], list[wire.Block]]]:
    """Without empty messages, and without reasoning that led to nothing, which is refused."""
    tidied: list[tuple[Literal["user", "assistant"], list[wire.Block]]] = []
    for role, content in turns:
        while content and isinstance(content[-1], wire.ReasoningBlock):
            content.pop()
        if not content:
            continue
        if tidied and tidied[-1][0] == role:
            tidied[-1][1].extend(content)
        else:
            tidied.append((role, content))
    return [(role, _beside_documents(content)) for role, content in tidied]


def _trim_end(role: Literal["user", "assistant"], content: list[wire.Block]) -> None:
    """An answer that is to be continued may not end in white space: Claude refuses it."""
    for index in reversed(range(len(content))):
        block = content[index]
        if isinstance(block, wire.CachePointBlock):
            continue
        if role == "assistant" and isinstance(block, wire.Text):
            content[index] = wire.Text(block.text.rstrip())
        return


def _beside_documents(blocks: list[wire.Block]) -> list[wire.Block]:
    kinds = {type(block) for block in blocks}
    if wire.DocumentBlock in kinds and wire.Text not in kinds:
        return [*blocks, _SEE_DOCUMENT]
    return blocks


def _with_few_cache_points(
    system: list[wire.SystemBlock], messages: list[wire.Message]
) -> tuple[list[wire.SystemBlock], list[wire.Message]]:
    """Only the last of them: each holds what is before it, and there may be four."""
    points = sum(isinstance(block, wire.CachePointBlock) for block in system)
    points += sum(
        isinstance(block, wire.CachePointBlock) for message in messages for block in message.content
    )
    surplus = points - _MOST_CACHE_POINTS
    if surplus <= 0:
        return system, messages
    fewer: list[wire.SystemBlock] = []
    for block in system:
        if isinstance(block, wire.CachePointBlock) and surplus > 0:
            surplus -= 1
        else:
            fewer.append(block)
    kept: list[wire.Message] = []
    for message in messages:
        content: list[wire.Block] = []
        for block in message.content:
            if isinstance(block, wire.CachePointBlock) and surplus > 0:
                surplus -= 1
            else:
                content.append(block)
        kept.append(wire.Message(message.role, content))
    return fewer, kept


def _calls_unsigned(messages: Sequence[wire.Message]) -> bool:
    for message in reversed(messages):
        if message.role == "assistant":
            kinds = {type(block) for block in message.content}
            return wire.ToolUseBlock in kinds and wire.ReasoningBlock not in kinds
    return False
