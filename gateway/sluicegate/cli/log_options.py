"""Options of `serve` that say where records of calls and traces go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from sluicegate.sinks import SinkSettings

_F = TypeVar("_F", bound=Callable[..., None])
_TRACES = "otlp-traces"


def log_options(command: _F) -> _F:
    """Adds them to a command."""
    for option in reversed(
        (
            click.option(
                "--log-sink",
                "log_sinks",
                metavar="URL",
                multiple=True,
                envvar="SLUICEGATE_LOG_SINKS",
                show_envvar=True,
                help="Where a record of each upstream call goes: stdout:, file:///…, otlp:, "
                "otlp-traces:, webhook+https://…, s3://…, gs://…; may be given more than once.",
            ),
            click.option(
                "--log-content",
                is_flag=True,
                help="Records hold what was asked and answered, with secrets masked.",
            ),
            click.option(
                "--log-mask",
                "log_masks",
                metavar="REGEX",
                multiple=True,
                help="What else is masked in it; may be given more than once.",
            ),
            click.option(
                "--trace-ratio",
                type=click.FloatRange(0, 1),
                default=1.0,
                help="Share of the traces that begin here which are sampled.",
            ),
        )
    ):
        command = option(command)
    return command


def sink_settings(
    urls: tuple[str, ...],
    masks: tuple[str, ...],
    ratio: float,
    environ: Mapping[str, str],
    *,
    content: bool,
) -> SinkSettings | None:
    """None where nothing is to be told to anyone.

    Traces also go where OpenTelemetry's own variables say, as from any other program.
    """
    if _wants_traces(environ) and not any(url.startswith(_TRACES) for url in urls):
        urls = (*urls, f"{_TRACES}:")
    if not urls:
        return None
    return SinkSettings(urls, content=content, masks=masks, ratio=ratio, environ=environ)


def _wants_traces(environ: Mapping[str, str]) -> bool:
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    off = (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return bool(named) and not off
