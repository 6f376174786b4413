"""Recorded event streams of real providers, cut anywhere, stay what they were."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sluicegate.api.outcome import terminal_outcome
from sluicegate.framing.sse import FrameSplitter, parse_frame

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "reference" / "recordings"


def recorded() -> list[Path]:
    """Files of streamed answers in Server-Sent Events."""
    found: list[Path] = []
    for path in sorted(RECORDINGS.glob("*-stream-*.json")):
        recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        headers: dict[str, str] = recording["response_headers"] or {}
        kind = headers.get("content-type", "")
        if recording["response_encoding"] == "text" and "event-stream" in kind:
            found.append(path)
    return found


def body_of(path: Path) -> bytes:
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recording["response_body"].encode()


pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the folder of recordings beside the repository is absent"
)
every_recording = pytest.mark.parametrize("path", recorded(), ids=lambda path: path.stem)


@every_recording
@pytest.mark.parametrize("largest", [1, 7, 100, 4000])
def test_frames_do_not_depend_on_the_cuts(path: Path, largest: int) -> None:
    body = body_of(path)
    die = random.Random(largest)
    splitter, frames, place = FrameSplitter(), list[bytes](), 0
    while place < len(body):
        size = die.randint(1, largest)
        frames += splitter.feed(body[place : place + size])
        place += size
    assert b"".join(frames) + splitter.close() == body
    assert frames == FrameSplitter().feed(body)
    events = [json.loads(frame.data) for frame in map(parse_frame, frames) if frame.data]
    assert events
    assert all(
        parse_frame(frame).event in {"", event.get("type")}
        for frame, event in zip(frames, events, strict=True)
    )


@pytest.mark.parametrize(
    "path",
    [path for path in recorded() if path.stem.startswith("openai")],
    ids=lambda path: path.stem,
)
def test_the_outcome_is_what_the_provider_said(path: Path) -> None:
    last = FrameSplitter().feed(body_of(path))[-1]
    response: dict[str, Any] = json.loads(parse_frame(last).data)["response"]
    outcome = terminal_outcome(last)
    assert (outcome.status, outcome.response_id) == (response["status"], response["id"])
    assert (outcome.usage is None) == (response["usage"] is None)
    if outcome.usage is not None:
        assert outcome.usage.total_tokens == response["usage"]["total_tokens"]
    error: dict[str, Any] = response["error"] or {"code": None}
    assert outcome.error_code == error["code"]
