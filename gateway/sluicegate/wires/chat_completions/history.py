"""Input items as messages: who said what, results right after their calls.

The API wants a message of role `tool` for each call directly after the message that calls. The
Responses API lets an output stand anywhere, so results are looked up by call and put where they
belong. What one side says in a row becomes one message, since many chat templates insist on turns.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from sluicegate.api.items import (
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
)
from sluicegate.api.omissions import Omissions
from sluicegate.api.toolset import function_name
from sluicegate.model import ApiError
from sluicegate.wires.call_input import call_input
from sluicegate.wires.chat_completions.body import (
    AssistantMessage,
    CalledFunction,
    Part,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    WireCall,
    WireMessage,
)
from sluicegate.wires.chat_completions.content import BETWEEN, content_of, parts, text_of
from sluicegate.wires.chat_completions.reasoning import Thought, unseal_thought
from sluicegate.wires.chat_completions.terms import Dialect

_LONGEST_NAME = 64
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_OPENING = "(The conversation begins.)"
_BELOW = "(The output of this call is in the next message of the user.)"
_OUTPUT = "Output of the call {}:"


@dataclass(slots=True)
class _Turn:
    """What the assistant says before anybody else speaks."""

    texts: list[str] = field(default_factory=list[str])
    calls: list[WireCall] = field(default_factory=list[WireCall])
    thoughts: list[Thought] = field(default_factory=list[Thought])


_Output = tuple[int, "str | tuple[InputPart, ...]"]  # with its item's index


def tell(
    instructions: str | None,
    items: Sequence[Item],
    model: str,
    dialect: Dialect,
    omissions: Omissions,
) -> list[WireMessage]:
    """The conversation. Raises ApiError (400) for what can't be said upstream."""
    told = _Told(model, dialect, _outputs(items))
    if instructions:
        told.system(instructions)
    for index, item in enumerate(items):
        told.take(item, index, omissions)
    return told.messages()


def _outputs(items: Sequence[Item]) -> dict[str, deque[_Output]]:
    found: dict[str, deque[_Output]] = {}
    for index, item in enumerate(items):
        if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
            found.setdefault(item.call_id, deque()).append((index, item.output))
    return found


class _Told:
    """The messages so far."""

    def __init__(self, model: str, dialect: Dialect, outputs: dict[str, deque[_Output]]) -> None:
        self._model = model
        self._dialect = dialect
        self._outputs = outputs
        self._messages: list[WireMessage] = []
        self._user: list[Part] = []  # of the user's message that is being told
        self._turn = _Turn()
        self._reasoned: list[AssistantMessage] = []  # since the user last spoke

    def take(self, item: Item, index: int, omissions: Omissions) -> None:
        """Add one item."""
        where = f"input[{index}]"
        match item:
            case Message():
                self._message(item, f"{where}.content")
            case FunctionCall() | CustomToolCall():
                self._call(item, bytes(call_input(item)).decode())
            case FunctionCallOutput() | CustomToolCallOutput():
                self._end_turn()  # what follows was said after the results were known
            case Reasoning(encrypted_content=sealed):
                thought = unseal_thought(sealed, self._dialect.provider, self._model)
                if thought is not None:
                    self._end_user()
                    self._turn.thoughts.append(thought)
            case OpaqueItem(type="web_search_call"):
                pass  # what it found is in the answer that followed
            case OpaqueItem(type=kind):
                omissions.unsupported(where, f"items of type '{kind}' are not supported")
            case Compaction() | CompactionTrigger() | ItemReference():
                omissions.unsupported(where, "items of this type are not supported")

    def messages(self) -> list[WireMessage]:
        """Everything."""
        self._end_turn()
        self._end_user()
        for index, _ in chain.from_iterable(self._outputs.values()):
            raise ApiError(
                400,
                f"Invalid 'input[{index}]': its call already has an output.",
                code="invalid_value",
                param=f"input[{index}].call_id",
            )
        if all(isinstance(message, SystemMessage) for message in self._messages):
            self._messages.append(UserMessage(_OPENING))
        return self._messages

    def system(self, text: str) -> None:
        """More of the system's words; at the beginning they are one message."""
        self._end_turn()
        self._end_user()
        if not text:
            return
        last = self._messages[-1] if self._messages else None
        if isinstance(last, SystemMessage):
            last.content = f"{last.content}{BETWEEN}{text}"
        else:
            self._messages.append(SystemMessage(text))

    def _message(self, item: Message, path: str) -> None:
        match item.role:
            case "user":
                self._end_turn()
                self._user += parts(item.content, path, self._dialect)
                for message in self._reasoned:  # it was about a question that is answered
                    message.reasoning_content = message.reasoning = None
                self._reasoned.clear()
            case "assistant":
                self._end_user()
                text = text_of(item.content, path)
                if text:
                    self._turn.texts.append(text)
            case "system" | "developer":
                self.system(text_of(item.content, path))

    def _call(self, item: FunctionCall | CustomToolCall, arguments: str) -> None:
        self._end_user()
        name = _NOT_NAME.sub("_", item.name) or "_"
        function = CalledFunction(function_name(name, item.namespace, _LONGEST_NAME), arguments)
        self._turn.calls.append(WireCall(item.call_id, function))

    def _end_user(self) -> None:
        if self._user:
            self._messages.append(UserMessage(content_of(self._user)))
            self._user = []

    def _end_turn(self) -> None:
        """The assistant has spoken; the results of its calls, in their order, follow."""
        turn, self._turn = self._turn, _Turn()
        if not turn.texts and not turn.calls:
            return
        message = AssistantMessage(BETWEEN.join(turn.texts) or None, turn.calls or None)
        if turn.thoughts and turn.calls:
            self._reason(message, turn.thoughts)
        self._messages.append(message)
        for call in turn.calls:
            self._result(call.id)

    def _reason(self, message: AssistantMessage, thoughts: Sequence[Thought]) -> None:
        text = BETWEEN.join(thought.text for thought in thoughts)
        if thoughts[0].member == "reasoning":
            message.reasoning = text
        else:
            message.reasoning_content = text
        self._reasoned.append(message)

    def _result(self, call_id: str) -> None:
        outputs = self._outputs.get(call_id)
        if not outputs:
            raise ApiError(400, f"No tool output found for function call {call_id}.", param="input")
        index, output = outputs.popleft()
        content = content_of(parts(output, f"input[{index}].output", self._dialect))
        if isinstance(content, str):
            self._messages.append(ToolMessage(call_id, content))
            return
        # A tool's message holds text only, so the rest goes into a message of the user, which may
        # stand only after the results of all calls.
        texts = [part.text for part in content if isinstance(part, TextPart)]
        self._messages.append(ToolMessage(call_id, BETWEEN.join([*texts, _BELOW])))
        self._user.append(TextPart(_OUTPUT.format(call_id)))
        self._user += [part for part in content if not isinstance(part, TextPart)]
