"""Asks a model and prints its answer: the part of `sluicegate responses` that loads the SDK."""

from __future__ import annotations

import sys
from decimal import Decimal

import click
import openai
from openai.types.responses import Response

from sluicegate.sdk import ResponseStream, cost_usd, responses
from sluicegate.sdk.arguments import Arguments

_TEXT_EVENTS = ("response.output_text.delta", "response.refusal.delta")
# A model's words may not move the cursor, set the title or ask the terminal something.
_UNSAFE = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def ask(model: str, text: str, arguments: Arguments, *, as_json: bool) -> None:
    """Print the answer on standard output, tokens and cost on standard error.

    Raises click.ClickException where there is no answer, or not a whole one.
    """
    try:
        with responses(model, text, stream=True, **arguments) as stream:
            failure = _tell(stream, as_json=as_json)
    except openai.OpenAIError as error:
        raise click.ClickException(_safe(str(error))) from None
    if failure is not None:
        raise click.ClickException(_safe(failure))


def _tell(stream: ResponseStream, *, as_json: bool) -> str | None:
    """Print the stream; why it failed, if it did."""
    failure: str | None = None
    last = "\n"
    try:
        for event in stream:
            if not as_json and event.type in _TEXT_EVENTS:
                delta = getattr(event, "delta", "")
                click.echo(_safe(delta) if sys.stdout.isatty() else delta, nl=False)
                sys.stdout.flush()
                last = delta or last
    except openai.APIError as error:
        failure = error.message
    if not last.endswith("\n"):
        click.echo()
    response = stream.final
    if response is None:
        return failure or "the stream ended early"
    if as_json:
        click.echo(response.to_json(warnings=False))
    click.echo(_summary(response), err=True)
    if failure is None and response.error is not None:
        failure = response.error.message
    return failure


def _summary(response: Response) -> str:
    """`gpt-4o: 12 input + 40 output tokens, $0.00043`."""
    parts: list[str] = []
    usage = response.usage
    if usage is not None:
        parts.append(f"{usage.input_tokens} input + {usage.output_tokens} output tokens")
    cost = cost_usd(response)
    parts.append("price unknown" if cost is None else f"${_amount(cost)}")
    if response.incomplete_details is not None:
        parts.append(f"incomplete: {response.incomplete_details.reason}")
    return _safe(f"{response.model}: {', '.join(parts)}")


def _amount(cost: Decimal) -> str:
    text = f"{cost:.9f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"


def _safe(text: str) -> str:
    return text.translate(_UNSAFE)
