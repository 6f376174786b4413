"""Converse's content blocks told as events of the Responses API, streamed and whole alike.

A block's end closes nothing by itself: only the stop reason, which comes after it, says whether
what it held is complete.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from sluicegate.api.custom_input import CustomInput
from sluicegate.api.output import UrlCitation
from sluicegate.api.output_image import NO_IMAGE, MadeImage
from sluicegate.api.stream import ResponseStream
from sluicegate.model import Event
from sluicegate.providers.bedrock.reading import (
    Citation,
    ContentBlock,
    Image,
    ReasoningDelta,
    ToolUse,
)
from sluicegate.providers.bedrock.request import Prepared
from sluicegate.providers.bedrock.sealing import sealed_redacted, sealed_text
from sluicegate.providers.contract import UpstreamStreamError

_SERVER_TOOL = "server_tool_use"
_MOST_REASONING = 32 * 1024 * 1024  # characters of one block that are kept for its seal

_LONGEST_CALL_ID = 64


class _OpenImage:
    """An image that comes in pieces."""

    __slots__ = ("_format", "_pieces", "broken")

    def __init__(self) -> None:
        self.broken = False
        self._format = ""
        self._pieces: list[bytes] = []

    def take(self, image: Image) -> None:
        """More of it. Raises UpstreamStreamError."""
        self._format = image.format or self._format
        self.broken = self.broken or image.error is not None
        if image.source is not None and image.source.bytes:
            self._pieces.append(_decoded(image.source.bytes, "an image"))

    def made(self) -> MadeImage:
        """All of it."""
        if self.broken or not self._pieces:
            return NO_IMAGE
        return MadeImage(base64.b64encode(b"".join(self._pieces)).decode(), f"image/{self._format}")


class BlockWriter:
    """Writes the blocks of one answer into its stream."""

    __slots__ = (
        "_calls",
        "_custom",
        "_image",
        "_index",
        "_kind",
        "_length",
        "_prepared",
        "_redacted",
        "_seen",
        "_signature",
        "_started",
        "_stream",
        "_thought",
        "_unsaid",
    )

    def __init__(self, stream: ResponseStream, prepared: Prepared) -> None:
        self._stream = stream
        self._prepared = prepared
        self._index = -1  # of the open block
        self._kind: Literal["", "text", "reasoning", "call", "answer", "image", "skipped"] = ""
        self._calls = 0
        self._custom: CustomInput | None = None  # of the open call, where it is a custom tool's
        self._image = _OpenImage()
        self._thought: list[str] = []  # of the open reasoning, for its seal
        self._seen = 0  # characters of it
        self._signature = ""
        self._redacted: list[bytes] = []
        self._length = 0  # characters of the open text
        self._started = 0  # of them before the open block
        self._unsaid = False  # the answer tool was called, so far without input

    # ------------------------------------------------------------------------------- streamed

    def start(self, index: int, use: ToolUse | None) -> list[Event]:
        """A block begins: a toolUse, or one that is of no use to the client (`use` None).

        Raises UpstreamStreamError.
        """
        if use is None:
            return self._enter(index, "skipped")
        events = self._enter(index, "call")
        if not use.name:
            raise UpstreamStreamError("a tool call without a name")
        if use.type == _SERVER_TOOL:
            self._kind = "skipped"
        elif use.name == self._prepared.answer_tool:
            self._kind, self._unsaid = "answer", True
            events += self._stream.end_item()  # whatever was said before is not the answer
        elif self._calls and self._prepared.single_call:
            self._kind = "skipped"
        else:
            events += self._open_call(use)
        return events

    def text(self, index: int, text: str) -> list[Event]:
        """More text."""
        if index != self._index or self._kind != "text":
            if not text:  # gpt-oss begins with an empty block, which must open nothing
                return []
            events = self._enter(index, "text")
            return events + self._say(text)
        return self._say(text)

    def call_input(self, index: int, fragment: str) -> list[Event]:
        """More of a call's arguments. Raises UpstreamStreamError where no call is open."""
        if index != self._index or self._kind not in {"call", "answer", "skipped"}:
            raise UpstreamStreamError("arguments of a call that is not open")
        if self._kind == "answer":
            self._unsaid = self._unsaid and not fragment
            return self._say(fragment)
        if self._kind == "skipped":
            return []
        if self._custom is not None:
            fragment = self._custom.feed(fragment)
        return self._stream.call_delta(fragment)

    def reasoning(self, index: int, delta: ReasoningDelta) -> list[Event]:
        """More of a reasoning block. Raises UpstreamStreamError."""
        events: list[Event] = []
        if index != self._index or self._kind != "reasoning":
            events = self._enter(index, "reasoning")
            events += self._stream.end_item()  # each block is an item: it has its own signature
            events += self._stream.reasoning()
        if delta.text:
            self._seen += len(delta.text)
            if self._seen > _MOST_REASONING:
                raise UpstreamStreamError("a reasoning block without end")
            self._thought.append(delta.text)
            events += self._stream.reasoning_summary(delta.text)
        if delta.signature:
            self._signature += delta.signature
        if delta.redacted_content:
            self._redacted.append(_decoded(delta.redacted_content, "redacted reasoning"))
        return events

    def image(self, index: int, image: Image) -> list[Event]:
        """More of an image, which is told when it is whole. Raises UpstreamStreamError."""
        events: list[Event] = []
        if index != self._index or self._kind != "image":
            events = self._enter(index, "image")
            self._image = _OpenImage()
        self._image.take(image)
        return events

    def citation(self, citation: Citation) -> list[Event]:
        """A page behind the open block's text; sources inside the request have no form."""
        web = citation.location.web if citation.location is not None else None
        if web is None or not web.url or self._kind != "text":
            return []
        title = citation.title or web.domain or ""
        found = UrlCitation(web.url, title, self._started, self._length)
        return self._stream.annotation(found)

    def stop(self, index: int) -> list[Event]:
        """The block is whole."""
        return self._leave() if index == self._index else []

    def finish(self, *, cut: bool) -> list[Event]:
        """No more blocks. `cut`: the last of them may not be complete."""
        self._image.broken = self._image.broken or cut
        events = self._leave()
        return events if cut else events + self._say_empty()

    # ---------------------------------------------------------------------------------- whole

    def whole(self, index: int, block: ContentBlock) -> list[Event]:
        """A block of an answer that is not streamed. Raises UpstreamStreamError."""
        if block.text is not None:
            events = self.text(index, block.text)
        elif block.tool_use is not None:
            events = self.start(index, block.tool_use)
            given = bytes(block.tool_use.input)
            events += self.call_input(index, "{}" if given == b"null" else given.decode())
        elif block.reasoning_content is not None:
            content = block.reasoning_content
            said = content.reasoning_text
            delta = ReasoningDelta(
                said.text if said is not None else None,
                said.signature if said is not None else None,
                content.redacted_content,
            )
            events = self.reasoning(index, delta)
        elif block.citations_content is not None:
            cited = block.citations_content
            events = self.text(index, "".join(piece.text for piece in cited.content))
            for citation in cited.citations:
                events += self.citation(citation)
        elif block.image is not None:
            events = self.image(index, block.image)
        else:
            return []
        return events + self.stop(index)

    # --------------------------------------------------------------------------------- inside

    def _enter(
        self, index: int, kind: Literal["text", "reasoning", "call", "image", "skipped"]
    ) -> list[Event]:
        """Leave the block before this one; it has had its stop, or never gets one."""
        events = self._leave()
        events += self._say_empty()
        self._index, self._kind = index, kind
        if kind in {"reasoning", "call", "image"}:
            self._length = 0  # the next text begins a message of its own
        self._started = self._length
        return events

    def _leave(self) -> list[Event]:
        """What a block still holds back at its end."""
        kind, self._kind = self._kind, ""
        if kind == "reasoning":
            return self._seal()
        if kind == "call" and self._custom is not None:
            rest, self._custom = self._custom.close(), None
            return self._stream.call_delta(rest)
        if kind == "image":
            return self._stream.image(self._image.made())
        return []

    def _say_empty(self) -> list[Event]:
        """A call of the answer tool without input: the answer is an object without members."""
        unsaid, self._unsaid = self._unsaid, False
        return self._say("{}") if unsaid else []

    def _say(self, text: str) -> list[Event]:
        self._length += len(text)
        return self._stream.text(text)

    def _open_call(self, use: ToolUse) -> list[Event]:
        self._calls += 1
        origin = self._prepared.tools.origin(use.name)
        call_id = use.tool_use_id
        if not 0 < len(call_id) <= _LONGEST_CALL_ID:
            call_id = self._stream.new_call_id()
        if origin.kind == "custom":
            self._custom = CustomInput()
            return self._stream.custom_tool_call(call_id, origin.name, origin.namespace)
        return self._stream.function_call(call_id, origin.name, origin.namespace)

    def _seal(self) -> list[Event]:
        model, events = self._prepared.model, list[Event]()
        if self._redacted:
            redacted = base64.b64encode(b"".join(self._redacted)).decode()
            events = self._stream.encrypted_reasoning(sealed_redacted(model, redacted))
        elif self._signature:
            sealed = sealed_text(model, "".join(self._thought), self._signature)
            events = self._stream.encrypted_reasoning(sealed)
        self._thought, self._redacted = [], []
        self._signature, self._seen = "", 0
        return events


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UpstreamStreamError(f"{what} that is not base64") from error
