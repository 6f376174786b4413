"""A chat completion, chunk by chunk, as events of the Responses API.

Reasoning becomes a reasoning item with its text, content a message, each call and each image an
item of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from sluicegate.api.answer import IncompleteReason
from sluicegate.api.media import is_web_address
from sluicegate.api.output import LogProb, UrlCitation
from sluicegate.api.output_image import image_of_uri
from sluicegate.api.stream import ResponseStream
from sluicegate.model import ApiError, Event
from sluicegate.wires.chat_completions import said
from sluicegate.wires.chat_completions.calls import Calls
from sluicegate.wires.chat_completions.reasoning import Member, Thought, seal_thought
from sluicegate.wires.chat_completions.request import Reading

_INCOMPLETE: Mapping[str, IncompleteReason] = MappingProxyType(
    {
        "length": "max_output_tokens",
        "max_tokens": "max_output_tokens",
        "model_length": "max_output_tokens",  # Mistral
        "content_filter": "content_filter",
        "sensitive": "content_filter",  # Zhipu
    }
)
# OpenRouter, DeepSeek, SGLang, Zhipu: the answer broke off.
_BROKEN = frozenset({"error", "insufficient_system_resource", "abort", "network_error"})


class _Later(NamedTuple):
    """What was said while a call was not whole."""

    kind: Literal["text", "refusal", "reasoning", "image"]
    text: str
    logprobs: Sequence[LogProb] = ()


class CompletionReader:
    """One answer. Each method returns the events that follow; `ended` after the last of them.

    `whole`: of the events only the last is of use. `finish_reason` None: the answer goes on.
    """

    def __init__(self, reading: Reading) -> None:
        self.ended = False
        self.whole = False
        self.finish_reason: str | None = None
        self._reading = reading
        self._model: str | None = None
        self._tier: str | None = None
        self._tokens: said.Tokens | None = None
        self._stream: ResponseStream | None = None
        self._kind: Literal["none", "reasoning", "text", "call"] = "none"
        self._member: Member = "reasoning_content"
        self._thought: list[str] = []
        self._calls = Calls(self._out, reading.toolset)
        self._later: list[_Later] = []
        self._cited: list[said.UrlCitation] = []  # before their text

    @property
    def broken(self) -> bool:
        """The upstream says that the answer broke off, or calls a tool without naming it."""
        return self.finish_reason in _BROKEN or self._calls.nameless

    def take(self, chunk: said.Chunk) -> list[Event]:
        """More of the answer, or all of it."""
        events = self._begin(chunk) if self._stream is None else []
        if chunk.usage is not None:
            self._tokens = chunk.usage
        self._model = self._model or chunk.model
        self._tier = chunk.service_tier or self._tier
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.usage is not None and chunk.usage is None:
                self._tokens = choice.usage
            delta = choice.delta
            if delta is None and choice.message is not None:
                delta = choice.message
                for number, call in enumerate(delta.tool_calls or ()):
                    call.index = number  # here nothing is a piece, and ids may be missing
            if delta is not None:
                events += self._delta(delta, choice.logprobs)
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
        return events

    def finish(self) -> list[Event]:
        """The answer has ended, and is not broken."""
        events = self._last_words()
        self.ended = True
        return events + self._out().finish(
            said.usage_of(self._tokens),
            incomplete=_INCOMPLETE.get(self.finish_reason or ""),
            service_tier=said.service_tier(self._tier),
            model=self._model,
        )

    def fail(self, error: ApiError) -> list[Event]:
        """The answer broke off."""
        self.ended = True
        return self._out().fail(error, said.usage_of(self._tokens))

    # ---------------------------------------------------------------------------------- inside

    def _begin(self, chunk: said.Chunk) -> list[Event]:
        self._model = chunk.model or None
        return self._out().in_progress()

    def _out(self) -> ResponseStream:
        """Made late, so that it names the model that the upstream resolved."""
        if self._stream is None:
            model = self._model or self._reading.model
            self._stream = ResponseStream(self._reading.echo, model, whole=self.whole)
        return self._stream

    def _delta(self, delta: said.Delta, logprobs: said.Raw | said.UnsetType) -> list[Event]:
        events: list[Event] = []
        if delta.reasoning_content or delta.reasoning:
            events += self._reason(delta)
        content = delta.content
        if content:
            if isinstance(content, str):
                spoken = said.logprobs_of(logprobs) if self._reading.logprobs else ()
                events += self._say("text", content, spoken)
            else:
                events += self._parts(content)
        if delta.refusal:
            events += self._say("refusal", delta.refusal)
        if delta.annotations:
            events += self._cite(delta.annotations)
        for image in delta.images or ():
            events += self._show(said.address_of(image))
        if delta.tool_calls:
            events += self._leave_reasoning()
            for call in delta.tool_calls:
                events += self._calls.take(call)
            self._kind = "call" if self._calls.begun else self._kind
        elif delta.function_call is not None:
            events += self._leave_reasoning()
            events += self._calls.take(said.ToolCall(0, None, delta.function_call))
            self._kind = "call" if self._calls.begun else self._kind
        return events

    # --------------------------------------------------------------------------- reasoning, text

    def _reason(self, delta: said.Delta) -> list[Event]:
        """Where both members are there, they say the same."""
        if delta.reasoning_content and isinstance(delta.reasoning_content, str):
            return self._think(delta.reasoning_content, "reasoning_content")
        if isinstance(delta.reasoning, str):
            return self._think(delta.reasoning, "reasoning")
        return []

    def _think(self, text: str, member: Member) -> list[Event]:
        events: list[Event] = []
        if self._kind != "reasoning":
            if not self._calls.settle():
                self._later.append(_Later("reasoning", text))
                return events
            events += self._calls.leave()
            self._kind = "reasoning"
            self._member = member
        self._thought.append(text)
        return events + self._out().reasoning_text(text)

    def _leave_reasoning(self) -> list[Event]:
        if self._kind != "reasoning":
            return []
        self._kind = "none"
        thought = Thought(self._member, "".join(self._thought))
        self._thought = []
        reading = self._reading
        return self._out().encrypted_reasoning(
            seal_thought(thought, reading.provider, reading.model)
        )

    def _say(
        self, kind: Literal["text", "refusal"], text: str, logprobs: Sequence[LogProb] = ()
    ) -> list[Event]:
        if self._kind == "text" and kind == "text":  # most are
            return self._out().text(text, logprobs)
        events = self._leave_reasoning()
        if not self._calls.settle():
            self._later.append(_Later(kind, text, logprobs))
            return events
        events += self._calls.leave()
        self._kind = "text" if kind == "text" else "none"
        if kind == "refusal":
            return events + self._out().refusal(text)
        events += self._out().text(text, logprobs)
        return events + self._release_citations()

    def _show(self, address: str) -> list[Event]:
        """An image. Nothing is fetched, so one that is elsewhere becomes a link in the text."""
        if is_web_address(address):
            return self._say("text", f"![image]({address})")
        events = self._leave_reasoning()
        if not self._calls.settle():
            self._later.append(_Later("image", address))
            return events
        events += self._calls.leave()
        self._kind = "none"
        return events + self._out().image(image_of_uri(address))

    def _parts(self, content: Sequence[said.Part]) -> list[Event]:
        events: list[Event] = []
        for part in content:
            if part.type == "thinking":
                thinking = said.thinking_of(part)
                events += self._think(thinking, "reasoning_content") if thinking else []
            elif part.image_url is not None:
                events += self._show(said.address_of(part))
            elif part.text:
                events += self._say("text", part.text)
        return events

    def _cite(self, annotations: Sequence[said.Annotation]) -> list[Event]:
        self._cited += [
            note.url_citation
            for note in annotations
            if note.url_citation is not None and note.url_citation.url
        ]
        return self._release_citations() if self._kind == "text" else []

    def _release_citations(self) -> list[Event]:
        cited, self._cited = self._cited, []
        events: list[Event] = []
        for citation in cited:
            start = max(citation.start_index or 0, 0)
            events += self._out().annotation(
                UrlCitation(
                    citation.url, citation.title or "", start, max(citation.end_index or 0, start)
                )
            )
        return events

    def _last_words(self) -> list[Event]:
        events = self._calls.close()
        later, self._later = self._later, []
        for kind, text, logprobs in later:
            if kind == "reasoning":
                events += self._think(text, self._member)
            elif kind == "image":
                events += self._show(text)
            else:
                events += self._say(kind, text, logprobs)
        return events + self._leave_reasoning()
