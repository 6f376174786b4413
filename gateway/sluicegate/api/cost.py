"""`usage.cost` in the event that ends a stream, and no other byte changed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sluicegate.api.members import DuplicateKey, members
from sluicegate.framing import sse
from sluicegate.model import ApiError

_KEY = "cost"


def with_cost(frame: bytes, cost: Decimal | None) -> bytes:
    """A terminal event's frame with the cost (USD; null: not known) in its usage.

    A frame that has no usage, or can't be read, stays as it is.
    """
    data = sse.parse_frame(frame).data
    if frame.count(data) != 1:
        return frame  # its data are in several lines
    try:
        at, end = _span(data, "response", 0, len(data))
        at, end = _span(data, "usage", at, end)
        if data[at : at + 1] != b"{":
            return frame
        value = b"null" if cost is None else plain(cost).encode()
        changed = _set(data[at:end], value)
    except (LookupError, DuplicateKey, ApiError, msgspec.DecodeError, UnicodeDecodeError):
        return frame
    return frame.replace(data, data[:at] + changed + data[end:])


def plain(cost: Decimal) -> str:
    """USD without an exponent and without zeros at the end."""
    text = f"{cost:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _span(data: bytes, key: str, at: int, end: int) -> tuple[int, int]:
    """Where the value of a key is, of the object at `data[at:end]`. Raises LookupError."""
    for member in members(data[at:end]):
        if member.key == key:
            return at + member.start, at + member.end
    raise LookupError(key)


def _set(usage: bytes, value: bytes) -> bytes:
    """The object with its cost."""
    last = None
    for last in members(usage):
        if last.key == _KEY:
            return usage[: last.start] + value + usage[last.end :]
    if last is None:
        return b'{"cost":%b}' % value
    return b'%b,"cost":%b%b' % (usage[: last.end], value, usage[last.end :])
