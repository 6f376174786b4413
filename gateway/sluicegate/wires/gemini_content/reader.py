"""A `generateContent` answer, chunk by chunk, as events of the Responses API.

Thoughts become a reasoning item, text a message, a function call a function call (or a custom one),
an image an image_generation_call, a search of the API a web_search_call. A signature becomes the
sealed content of a reasoning item right before what it signs, or, of a text that is told already,
right after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw

from sluicegate.api.custom_input import CustomInput
from sluicegate.api.output import LogProb, TopLogProb
from sluicegate.api.output_image import image_of_base64
from sluicegate.api.stream import ResponseStream
from sluicegate.api.toolset import Origin
from sluicegate.model import ApiError, Event, UpstreamStreamError
from sluicegate.wires.gemini_content import said
from sluicegate.wires.gemini_content.arguments import PartialArguments
from sluicegate.wires.gemini_content.grounding import citations, found
from sluicegate.wires.gemini_content.request import Reading
from sluicegate.wires.gemini_content.thinking import Signed, seal_signed

_CUT = frozenset({"MAX_TOKENS", "CONTINUATION"})
_FILTERED = frozenset(
    {
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("NO_IMAGE", "MODEL_ARMOR", "ESCALATION", "PUP_LIMITED_DISABLED"),
    }
)
_DONE = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED"})
_LONGEST_CALL_ID = 64
_LONGEST_WHY = 500  # characters
_UNLIKELY = -9999.0  # as OpenAI writes a logarithm that has no number
_Kind: TypeAlias = Literal["", "text", "thought", "call", "image"]


class _OpenCall:
    """A call, whose arguments may still arrive. Raises UpstreamStreamError for bad ones."""

    __slots__ = ("_pieces", "_whole", "custom")

    def __init__(self, call: said.FunctionCall, *, custom: bool) -> None:
        self.custom = CustomInput() if custom else None
        self._whole = _compact(call.args)
        self._pieces: PartialArguments | None = None
        self.take(call)

    def take(self, call: said.FunctionCall) -> None:
        """More of its arguments."""
        for piece in call.partial_args or ():
            if self._pieces is None:
                self._pieces = PartialArguments()
            self._pieces.take(piece)

    def text(self) -> str:
        """The arguments, or the input of a custom tool."""
        arguments = self._whole if self._pieces is None else self._pieces.json()
        if self.custom is None:
            return arguments
        return self.custom.feed(arguments) + self.custom.close()


class ContentReader:
    """One answer. Each method returns the events that follow; `ended` after the last of them.

    `whole`: of the events only the last is of use.
    """

    def __init__(self, reading: Reading) -> None:
        self.ended = False
        self.whole = False
        self.counted = said.Counted()
        self.finish_reason: str | None = None  # the answer is whole when it is known
        self.broken: UpstreamStreamError | None = None  # nothing after it can be read
        self._finish_message: str | None = None
        self._reading = reading
        self._model: str | None = None
        self._stream: ResponseStream | None = None
        self._kind: _Kind = ""  # of the open item
        self._call: _OpenCall | None = None
        self._calls = 0
        self._ids: set[str] = set()
        self._skipping = False  # pieces of a call that is not passed on
        self._late: list[str] = []  # signatures of the open text
        self._text: list[str] = []  # of the open message
        self._grounding: list[said.Grounding] = []
        self._sealed = False  # the open reasoning item is

    # ------------------------------------------------------------------------------------ answer

    def take(self, chunk: said.Chunk, data: bytes) -> list[Event]:
        """More of the answer; `data` is the chunk's JSON."""
        events: list[Event] = []
        if chunk.usage_metadata is not None:
            self.counted.take(chunk.usage_metadata)
        if self._stream is None:
            self._model = chunk.model_version
            events += self._out().in_progress()
        if chunk.candidates:
            events += self._candidate(chunk.candidates[0], data)
        elif chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self.finish_reason = "SAFETY"
        return events

    def failure(self) -> ApiError | None:
        """The error of an answer that ended for a reason that is one."""
        reason = self.finish_reason or ""
        if reason in _DONE or _incomplete(reason) is not None:
            return None
        why = f": {self._finish_message[:_LONGEST_WHY]}" if self._finish_message else "."
        return ApiError(
            502,
            f"The model broke off its answer ({reason[:_LONGEST_WHY]}){why}",
            type="server_error",
            code="server_error",
        )

    def finish(self) -> list[Event]:
        """Nothing more comes."""
        failure = self.failure()
        if failure is not None:
            return self.fail(failure)
        incomplete = _incomplete(self.finish_reason or "")
        events = self._end_call()
        if incomplete is None:
            events += self._end_item()
            events += self._searches()
        else:
            events += self._annotations()
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
        return self._out().fail(error, self.counted.usage())

    def _out(self) -> ResponseStream:
        """Made late, so that it names the model that the upstream resolved."""
        if self._stream is None:
            model = self._model or self._reading.model
            self._stream = ResponseStream(self._reading.echo, model, whole=self.whole)
        return self._stream

    # ------------------------------------------------------------------------------------- parts

    def _candidate(self, candidate: said.Candidate, data: bytes) -> list[Event]:
        events: list[Event] = []
        parts = (candidate.content.parts if candidate.content is not None else None) or ()
        likely: tuple[LogProb, ...] = ()
        last_text = -1
        if candidate.logprobs_result is not None and self._reading.logprobs:
            likely, last_text = _likelihoods(candidate.logprobs_result), _last_text(parts)
        for index, part in enumerate(parts):
            try:
                if part.is_own_tool:
                    events += self._own_tool(_raw_parts(data)[index])
                else:
                    events += self._part(part, likely if index == last_text else ())
            except UpstreamStreamError as error:  # events that were made are good, and numbered
                self.broken = error
                return events
        if candidate.grounding_metadata is not None:
            self._grounding.append(candidate.grounding_metadata)
        if candidate.finish_reason is not None:
            self.finish_reason = candidate.finish_reason
            self._finish_message = candidate.finish_message
        return events

    def _part(self, part: said.Part, likely: Sequence[LogProb]) -> list[Event]:
        signature = part.thought_signature or None  # one that is empty signs nothing
        if part.function_call is not None:
            return self._function_call(part.function_call, signature)
        if part.image is not None:
            return self._image(part.image, signature)
        if part.thought:
            return self._thought(part.text or "", signature)
        if part.text is not None:
            return self._said(part.text, signature, likely)
        return []

    def _thought(self, text: str, signature: str | None) -> list[Event]:
        events = self._begin("thought")
        events += self._out().reasoning()
        events += self._out().reasoning_summary(text)
        if signature is not None:
            events += self._seal(Signed(signature, ahead=True))
        return events

    def _said(self, text: str, signature: str | None, likely: Sequence[LogProb]) -> list[Event]:
        if signature is None:
            if not text:
                return []
            if self._kind == "text":  # most are
                self._text.append(text)
                return self._out().text(text, likely)
            events = self._begin("text")
        elif self._kind == "text" or not text:
            # What it signs is told already: it goes out after the text.
            events = []
            if self._kind == "text":
                self._late.append(signature)
            elif self._reading.sealed:
                events = [*self._end_call(), *self._after(signature)]
        else:
            events = self._before(Signed(signature, ahead=True))
            events += self._begin("text")
        if text:
            self._text.append(text)
            events += self._out().text(text, likely)
        return events

    def _image(self, image: said.Blob, signature: str | None) -> list[Event]:
        events = [] if signature is None else self._before(Signed(signature, ahead=True))
        events += self._begin("image")
        return events + self._out().image(image_of_base64(image.data, image.mime_type))

    def _begin(self, kind: Literal["text", "thought", "call", "image"]) -> list[Event]:
        """Another kind of item begins: the open one ends."""
        events = self._end_call()
        if self._kind != kind or kind == "call":
            events += self._end_item()
            self._kind = kind
        return events

    def _end_item(self) -> list[Event]:
        events = self._annotations()
        kind, self._kind = self._kind, ""
        self._sealed = False
        events += self._out().end_item()
        if kind == "text":
            late, self._late = self._late, []
            for signature in late if self._reading.sealed else ():
                events += self._after(signature)
        return events

    # -------------------------------------------------------------------------------- signatures

    def _seal(self, signed: Signed) -> list[Event]:
        """Onto the open reasoning item, or onto a new one; each holds one."""
        events: list[Event] = self._out().end_item() if self._sealed else []
        self._sealed = True
        sealed = seal_signed(signed, self._reading.provider, self._reading.model)
        return events + self._out().encrypted_reasoning(sealed)

    def _before(self, signed: Signed) -> list[Event]:
        events = self._begin("thought")
        events += self._seal(signed)
        return events + self._end_item()

    def _after(self, signature: str) -> list[Event]:
        events = self._out().end_item()
        self._kind = "thought"
        events += self._seal(Signed(signature))
        return events + self._end_item()

    # ------------------------------------------------------------------------------------- calls

    def _function_call(self, call: said.FunctionCall, signature: str | None) -> list[Event]:
        if not call.name:
            return self._more_of_call(call)
        events = self._end_call()
        self._skipping = self._reading.single and self._calls > 0
        if self._skipping:
            return events
        origin = self._reading.origins.get(call.name) or Origin("function", call.name)
        opened = _OpenCall(call, custom=origin.kind == "custom")
        self._calls += 1
        call_id = self._call_id(call.id)
        if signature is not None:
            events += self._before(Signed(signature, call_id))
        events += self._begin("call")
        if opened.custom is not None:
            events += self._out().custom_tool_call(call_id, origin.name, origin.namespace)
        else:
            events += self._out().function_call(call_id, origin.name, origin.namespace)
        self._call = opened
        return events if call.will_continue else events + self._end_call()

    def _more_of_call(self, call: said.FunctionCall) -> list[Event]:
        if self._call is None:
            if self._skipping:
                return []
            raise UpstreamStreamError("the upstream sent more of a call that is not open")
        self._call.take(call)
        return [] if call.will_continue else self._end_call()

    def _end_call(self) -> list[Event]:
        call, self._call = self._call, None
        return [] if call is None else self._out().call_delta(call.text())

    def _call_id(self, given: str | None) -> str:
        """The upstream's id where it has one that may stand for this call alone."""
        if given and len(given) <= _LONGEST_CALL_ID and given not in self._ids:
            self._ids.add(given)
            return given
        return self._out().new_call_id()

    # ---------------------------------------------------------------------------------- searches

    def _own_tool(self, part: Raw) -> list[Event]:
        """A call of the API's own tools, or its result: it goes back as it came."""
        return self._before(Signed(parts=(part,)))

    def _annotations(self) -> list[Event]:
        """What the open message cites."""
        text, self._text = "".join(self._text), []
        if self._kind != "text" or not self._grounding:
            return []
        events: list[Event] = []
        for citation in dict.fromkeys(citations(self._grounding, text)):
            events += self._out().annotation(citation)
        return events

    def _searches(self) -> list[Event]:
        if not self._grounding:
            return []
        searched = found(self._grounding)
        events: list[Event] = []
        for query in searched.queries:
            events += self._out().web_search(query)
            events += self._out().web_search_done(searched.urls if self._reading.sources else ())
        return events


def _incomplete(reason: str) -> Literal["max_output_tokens", "content_filter"] | None:
    if reason in _CUT:
        return "max_output_tokens"
    return "content_filter" if reason in _FILTERED or reason.startswith("IMAGE_") else None


def _likelihoods(result: said.Likelihoods) -> tuple[LogProb, ...]:
    tops = result.top_candidates or ()
    return tuple(
        LogProb(
            chosen.token,
            _logarithm(chosen.log_probability),
            tuple(chosen.token.encode()),
            tuple(
                TopLogProb(
                    other.token, _logarithm(other.log_probability), tuple(other.token.encode())
                )
                for other in ((tops[index].candidates or ()) if index < len(tops) else ())
            ),
        )
        for index, chosen in enumerate(result.chosen_candidates or ())
    )


def _last_text(parts: Sequence[said.Part]) -> int:
    return max(
        (index for index, part in enumerate(parts) if part.text and not part.thought), default=-1
    )


def _logarithm(value: float | str | None) -> float:
    return value if isinstance(value, float) and math.isfinite(value) else _UNLIKELY


def _compact(arguments: Raw) -> str:
    """A call's arguments on one line; `{}` where it has none."""
    text = bytes(arguments).strip()
    if text in {b"", b"null"}:
        return "{}"
    try:
        if text.startswith(b"{"):
            return msgspec.json.format(text, indent=-1).decode()
    except said.UNREADABLE:
        pass
    raise UpstreamStreamError("the upstream sent a call whose arguments are no object")


def _raw_parts(data: bytes) -> tuple[Raw, ...]:
    """The chunk's parts as they came."""
    candidates = said.raw_chunks.decode(data).candidates or ()
    content = candidates[0].content if candidates else None
    return tuple((content.parts if content is not None else None) or ())
