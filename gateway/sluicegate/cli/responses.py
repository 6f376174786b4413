"""`sluicegate responses`: one call from the terminal, streamed, with what it cost."""

from __future__ import annotations

import importlib
import sys

import click

_STOPPED = 130  # as a shell names what SIGINT ended
_MOST_STDIN = 32 * 1024 * 1024


@click.command(name="responses")
@click.argument("model")
@click.argument("text", required=False)
@click.option("--instructions", help="what the model is told before the text")
@click.option("--max-output-tokens", type=click.IntRange(1), help="the longest answer")
@click.option(
    "--effort",
    type=click.Choice(["none", "minimal", "low", "medium", "high", "xhigh"]),
    help="how much the model reasons",
)
@click.option("--fallback", "fallbacks", multiple=True, help="a model to try where MODEL fails")
@click.option("--base-url", help="where the provider is, as its own SDK takes it")
@click.option(
    "--api",
    type=click.Choice(["responses", "chat_completions"]),
    help="of openai/…: what the server has (default responses)",
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="seconds of each wait")
@click.option("--json", "as_json", is_flag=True, help="print the whole answer as JSON at its end")
def responses_command(
    *,
    model: str,
    text: str | None,
    instructions: str | None,
    max_output_tokens: int | None,
    effort: str | None,
    fallbacks: tuple[str, ...],
    base_url: str | None,
    api: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Ask MODEL, which is provider/model, and print its answer as it comes.

    TEXT is read from standard input where it is left out or `-`. Credentials come from the
    provider's usual environment variables. Tokens and cost go to standard error.
    """
    given: dict[str, object] = {
        "fallbacks": fallbacks,
        "instructions": instructions,
        "max_output_tokens": max_output_tokens,
        "reasoning": None if effort is None else {"effort": effort},
        "base_url": base_url,
        "api": api,
        "timeout": timeout,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    question = text if text is not None and text != "-" else _read_text()
    try:
        # Loaded here, so that `sluicegate --help` works and is quick without the extra `sdk`. The
        # SDK comes first, because it says what is missing.
        importlib.import_module("sluicegate.sdk")
        answering = importlib.import_module("sluicegate.cli.answering")
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    try:
        answering.ask(model, question, arguments, as_json=as_json)
    except KeyboardInterrupt:
        click.echo(err=True)
        sys.exit(_STOPPED)


def _read_text() -> str:
    if sys.stdin.isatty():
        raise click.UsageError("give TEXT, or pipe it in")
    text = sys.stdin.buffer.read(_MOST_STDIN).decode("utf-8", "replace")
    if not text.strip():
        raise click.UsageError("give TEXT: nothing has come through the pipe")
    return text
