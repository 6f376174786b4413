"""W3C Trace Context (Level 2): who a request belongs to, and what its upstream calls are told.

What a client sends is checked strictly and never believed further than its ids: a header that is
not of the form is left out, and the request begins a trace of its own (section 4.3 of the
recommendation).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_FORBIDDEN_VERSION = "ff"
_FIRST_VERSION = "00"
_SAMPLED = 1
_PARTS = 1 << 56  # of a trace id that is drawn by lot: its last 7 bytes decide
_LONGEST_STATE = 512  # characters: what must be propagated at least; more is left out whole
_MOST_MEMBERS = 32
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_KEY})={_VALUE}", re.ASCII)


class Parent(NamedTuple):
    """The span that a request was sent from."""

    trace_id: str
    span_id: str
    sampled: bool


class Trace(msgspec.Struct, frozen=True):
    """The trace of one request; `span_id` is the request's own span, `state` is passed on."""

    trace_id: str
    span_id: str
    parent_id: str | None
    sampled: bool
    state: str = ""

    def headers(self, span_id: str) -> tuple[tuple[bytes, bytes], ...]:
        """What an upstream is told, whose call is the span `span_id`."""
        flags = "01" if self.sampled else "00"
        parent = (b"traceparent", f"00-{self.trace_id}-{span_id}-{flags}".encode())
        return (parent, (b"tracestate", self.state.encode())) if self.state else (parent,)


def parse_parent(value: str | None) -> Parent | None:
    """Read `traceparent`; None for anything that is not of its form."""
    match = _PARENT.fullmatch(value) if value is not None else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == _FORBIDDEN_VERSION or (version == _FIRST_VERSION and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def parse_state(value: str | None) -> str:
    """Read `tracestate`: its members as they are to be passed on, nothing if it is not sound."""
    if value is None:
        return ""
    members = [member.strip(" \t") for member in value.split(",")]
    members = [member for member in members if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match is not None}
    state = ",".join(members)
    sound = len(keys) == len(members) <= _MOST_MEMBERS and len(state) <= _LONGEST_STATE
    return state if sound else ""


def new_span_id() -> str:
    """A span's id: never all zeroes."""
    return f"{random.getrandbits(64) or 1:016x}"


def begin(headers: Mapping[str, str], ratio: float) -> Trace:
    """The trace that a request with these headers belongs to.

    A parent's decision to sample is followed; without one, `ratio` of the traces are.
    """
    parent = parse_parent(headers.get("traceparent"))
    if parent is not None:
        state = parse_state(headers.get("tracestate"))
        return Trace(parent.trace_id, new_span_id(), parent.span_id, parent.sampled, state)
    drawn = random.getrandbits(128) or 1
    return Trace(f"{drawn:032x}", new_span_id(), None, drawn % _PARTS < ratio * _PARTS)
