"""From the bytes that a translator gives to the typed objects of the `openai` package."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast, get_args

import msgspec
import openai
import pydantic
from openai.types.responses import Response, ResponseStreamEvent

from sluicegate.api.outcome import Outcome, answer_outcome
from sluicegate.model import TERMINAL_EVENTS
from sluicegate.pricing import Priced, answer_cost

_log = logging.getLogger("sluicegate")
_ModelT = TypeVar("_ModelT", bound=openai.BaseModel)

# `type` of an event -> its class. Trying the members of the union one by one would be slow.
_EVENTS: Mapping[str, type[openai.BaseModel]] = {
    name: member
    for member in get_args(get_args(ResponseStreamEvent)[0])
    for name in get_args(member.model_fields["type"].annotation)
}
_object = msgspec.json.Decoder(dict[str, Any])  # JSON that this project did not define


class Unreadable(Exception):
    """What came is not a JSON object."""


def typed_response(body: bytes, provider: str, model: str) -> Response:
    """A whole answer, with `usage.cost`. `model` is what was asked for at `provider`.

    Raises Unreadable.
    """
    data = _decoded(body)
    _add_cost(data, answer_outcome(body), provider, model)
    return _made(Response, data)


def typed_event(type_: str, data: bytes, provider: str, model: str) -> ResponseStreamEvent:
    """An event of a stream; the terminal one's response has `usage.cost`. Raises Unreadable."""
    values = _decoded(data)
    response = values.get("response")
    if type_ in TERMINAL_EVENTS and isinstance(response, dict):
        outcome = answer_outcome(msgspec.json.encode(response))
        _add_cost(cast("dict[str, Any]", response), outcome, provider, model)
    # The class of a type that this version of the package does not know has no fields of its own.
    return cast("ResponseStreamEvent", _made(_EVENTS.get(type_, openai.BaseModel), values))


def cost_usd(response: Response) -> Decimal | None:
    """What the answer cost in USD, exactly; None where its price or its usage is not known.

    The same number as `response.usage.cost`, which is a float.
    """
    usage: object = response.usage  # of an answer that is not strict it may be anything
    cost = getattr(usage, "cost", None)
    return Decimal(repr(cost)) if isinstance(cost, float) else None


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable from error


def _made(kind: type[_ModelT], values: dict[str, Any]) -> _ModelT:
    """Strictly where it fits; else as the `openai` package does, which refuses nothing.

    So an API that is newer than the installed package is no failure.
    """
    try:
        return kind.model_validate(values, strict=True)
    except pydantic.ValidationError as error:
        _log.debug("not a strict %s: %d findings", kind.__name__, error.error_count())
        return kind.construct(None, **values)


def _add_cost(response: dict[str, Any], outcome: Outcome, provider: str, model: str) -> None:
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return
    cost: Decimal | None = None
    # Counts that are not there are not zero.
    if outcome.usage is not None and {"input_tokens", "output_tokens"} <= usage.keys():
        cost = answer_cost(
            Priced(provider, model),
            outcome.usage,
            at=time.time(),
            service_tier=outcome.service_tier,
            said_model=outcome.model,
        )
    cast("dict[str, Any]", usage)["cost"] = None if cost is None else float(cost)
