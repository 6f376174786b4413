"""Input items as turns: who said what, calls and their results, each call with its signature.

The API wants the results of all calls of a turn in the very next content. The Responses API lets an
output stand anywhere, so results are looked up by call and put where they belong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from sluicegate.api.invalid import invalid
from sluicegate.api.items import (
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputPart,
    InputText,
    Item,
    ItemReference,
    Message,
    OpaqueItem,
    Reasoning,
)
from sluicegate.api.omissions import Omissions
from sluicegate.wires.call_input import call_input
from sluicegate.wires.gemini_content import body
from sluicegate.wires.gemini_content.body import (
    Blob,
    CallPart,
    Content,
    FunctionOutput,
    FunctionResponse,
    InlinePart,
    Part,
    ResponsePart,
    Role,
    TextPart,
)
from sluicegate.wires.gemini_content.capabilities import Capabilities
from sluicegate.wires.gemini_content.content import made_image, parts, texts
from sluicegate.wires.gemini_content.thinking import SKIP_SIGNATURE, Signed

# The API wants the user to begin, and newer models want it to end; nothing is put in the user's
# mouth but these.
_OPENING = Content((TextPart("(The conversation begins.)"),), "user")
_CLOSING = Content((TextPart("(The conversation goes on.)"),), "user")


class History(NamedTuple):
    """`system`: every word of the system; the API has one place for them."""

    system: tuple[TextPart, ...]
    contents: tuple[Content, ...]


class Reader(NamedTuple):
    """For whom the history is told."""

    model: Capabilities
    web_addresses: bool
    call_ids: bool
    wire_name: Callable[[str, str | None], str]  # of a tool, by its name and namespace
    unseal: Callable[[str | None], Signed | None]


class _Call(NamedTuple):
    call_id: str
    name: str


@dataclass(slots=True)
class _Turn:
    role: Role
    parts: list[Part] = field(default_factory=list[Part])
    calls: list[_Call] = field(default_factory=list[_Call])
    results: bool = False


_Output: TypeAlias = tuple[int, str | tuple[InputPart, ...]]  # with its item's index


def tell(items: Sequence[Item], reader: Reader, omissions: Omissions) -> History:
    """The conversation. Raises ApiError (400) for what can't be said upstream."""
    told = _Told(items, reader)
    for index, item in enumerate(items):
        told.take(item, index, omissions)
    return told.history()


class _Told:
    """The turns so far."""

    def __init__(self, items: Sequence[Item], reader: Reader) -> None:
        self._reader = reader
        self._system: list[TextPart] = []
        self._turns: list[_Turn] = []
        self._outputs: dict[str, deque[_Output]] = {}
        self._signed: dict[int, Signed] = {}  # by the item's index
        self._signatures: dict[str, str] = {}  # of calls, wherever the client put the item
        self._ahead: str | None = None  # a signature of the text that follows
        for index, item in enumerate(items):
            if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
                self._outputs.setdefault(item.call_id, deque()).append((index, item.output))
            elif isinstance(item, Reasoning):
                signed = reader.unseal(item.encrypted_content)
                if signed is not None:
                    self._signed[index] = signed
                    if signed.call is not None and signed.signature is not None:
                        self._signatures[signed.call] = signed.signature

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
            case Reasoning():
                self._reasoning(self._signed.get(index))
            case OpaqueItem(type="web_search_call"):
                pass  # what it found is in the answer that followed
            case OpaqueItem(type="image_generation_call", raw=raw):
                self._image(made_image(raw, where))
            case OpaqueItem(type=kind):
                omissions.unsupported(where, f"items of type '{kind}' are not supported")
            case Compaction() | CompactionTrigger() | ItemReference():
                omissions.unsupported(where, "items of this type are not supported")

    def history(self) -> History:
        """Everything, in the order and the form that the API wants."""
        self._end_calls()
        for spare in self._outputs.values():
            for index, _ in spare:
                raise invalid(
                    f"Invalid 'input[{index}]': its call already has an output.",
                    "invalid_value",
                    f"input[{index}].call_id",
                )
        contents = [
            Content(self._with_signature(turn), turn.role) for turn in self._turns if turn.parts
        ]
        if not contents or contents[0].role != "user":
            contents.insert(0, _OPENING)
        if contents[-1].role != "user" and not self._reader.model.continues:
            contents.append(_CLOSING)
        return History(tuple(self._system), tuple(contents))

    # ---------------------------------------------------------------------------------- the turns

    def _turn(self, role: Role) -> _Turn:
        """The open turn of this role; what the other side said before is over."""
        if role == "user":
            self._end_calls()
            self._ahead = None
        last = self._turns[-1] if self._turns else None
        if last is None or last.role != role or last.results:
            last = _Turn(role)
            self._turns.append(last)
        return last

    def _message(self, item: Message, where: str) -> None:
        path = f"{where}.content"
        match item.role:
            case "user":
                found = parts(item.content, path, web_addresses=self._reader.web_addresses)
                if found:
                    self._turn("user").parts.extend(found)
            case "assistant":
                said = texts(item.content, path)
                if said:
                    turn = self._turn("model")
                    first = TextPart(said[0].text, self._ahead)
                    self._ahead = None
                    turn.parts.extend((first, *said[1:]))
            case "system" | "developer":
                self._system.extend(texts(item.content, path))

    def _reasoning(self, signed: Signed | None) -> None:
        if signed is None:
            return
        if signed.parts:
            self._turn("model").parts.extend(signed.parts)
        if signed.signature is None or signed.call is not None:
            return
        if signed.ahead:
            self._ahead = signed.signature
        else:
            self._turn("model").parts.append(TextPart("", signed.signature))

    def _image(self, image: Blob | None) -> None:
        """One that the model made; models that sign refuse it without a signature."""
        if image is None:
            return
        turn = self._turn("model")
        signature, self._ahead = self._ahead, None
        if signature is None and self._reader.model.signatures:
            signature = SKIP_SIGNATURE
        turn.parts.append(InlinePart(image, signature))

    def _call(self, item: FunctionCall | CustomToolCall) -> None:
        name = self._reader.wire_name(item.name, item.namespace)
        turn = self._turn("model")
        call = body.FunctionCall(name, call_input(item), self._id(item.call_id))
        turn.parts.append(CallPart(call, self._signatures.get(item.call_id)))
        turn.calls.append(_Call(item.call_id, name))

    def _id(self, call_id: str) -> str | None:
        return call_id if self._reader.call_ids else None

    def _end_calls(self) -> None:
        """Where the last turn called tools: their results, in the order of the calls."""
        if not self._turns or not self._turns[-1].calls:
            return
        results: list[Part] = []
        beside: list[Part] = []
        for call in self._turns[-1].calls:
            outputs = self._outputs.get(call.call_id)
            if not outputs:
                raise invalid(
                    f"No tool output found for function call {call.call_id}.", None, "input"
                )
            index, output = outputs.popleft()
            said, media = self._output(output, f"input[{index}].output")
            inside: list[InlinePart] = []
            for part in media:
                if self._reader.model.media_results and isinstance(part, InlinePart):
                    inside.append(part)
                else:
                    beside.append(part)
            response = FunctionResponse(call.name, said, self._id(call.call_id), inside or None)
            results.append(ResponsePart(response))
        self._turns.append(_Turn("user", results, results=True))
        if beside:
            self._turns.append(_Turn("user", beside))

    def _output(
        self, output: str | tuple[InputPart, ...], where: str
    ) -> tuple[FunctionOutput, list[body.InputPart]]:
        if isinstance(output, str):
            return FunctionOutput(output), []
        said = [part.text for part in output if isinstance(part, InputText)]
        found = parts(output, where, web_addresses=self._reader.web_addresses)
        media: list[body.InputPart] = [part for part in found if not isinstance(part, TextPart)]
        return FunctionOutput(said[0] if len(said) == 1 else said or ""), media

    def _with_signature(self, turn: _Turn) -> Sequence[Part]:
        """The turn's first call needs one; of calls that were made at once the others have none."""
        if not self._reader.model.signatures:
            return turn.parts
        calls = [
            (index, part) for index, part in enumerate(turn.parts) if isinstance(part, CallPart)
        ]
        if not calls or any(part.thought_signature is not None for _, part in calls):
            return turn.parts
        index, part = calls[0]
        signed = CallPart(part.function_call, SKIP_SIGNATURE)
        return (*turn.parts[:index], signed, *turn.parts[index + 1 :])
