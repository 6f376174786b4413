"""`sluicegate spend`: what was spent, by the ledger, also while gateways run.

Guide: docs/cost.md.
"""

from __future__ import annotations

import csv
import io
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args

import click
import msgspec

from sluicegate.cli.columns import harmless
from sluicegate.cli.state_dir import STATE_DIR
from sluicegate.ledger.ledger import BadStoreUrl, reader_of
from sluicegate.ledger.store import Grouping, NoLedger, Spend, StoreUnavailable
from sluicegate.source.keystore import default_state_dir

_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_NOBODY = {"key": "(no key)", "end-user": "(no end user)", "tag": "(no tag)"}
_HEADINGS = ("", "calls", "input", "cached", "output", "USD")
_BAR = 24  # characters of the longest bar
_PARTS = " ▏▎▍▌▋▊▉█"  # eighths
_LONGEST_NAME = 48


class Group(msgspec.Struct, frozen=True):
    """A line of the answer; `--json` prints it. Money is an exact decimal, as a string."""

    name: str | None
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: str
    unpriced_calls: int
    estimated_calls: int


class Answer(msgspec.Struct, frozen=True):
    """All of it. A call with two tags is in two groups, and once in the total."""

    by: str
    since: str | None
    groups: list[Group]
    total: Group


@click.command(context_settings={"auto_envvar_prefix": "SLUICEGATE"})
@click.option(
    "--by",
    type=click.Choice(get_args(Grouping)),
    default="model",
    show_default=True,
    help="What to sum up by; days are those of UTC.",
)
@click.option(
    "--since", metavar="WHEN", help="From then on: 90m, 24h, 7d, 4w, or 2026-11-01 (UTC)."
)
@click.option("--json", "form", flag_value="json", help="One JSON object.")
@click.option("--csv", "form", flag_value="csv", help="A line for each group, with a heading.")
@click.option("--store-url", metavar="URL", show_envvar=True, help="The ledger, as `serve` has it.")
@click.option(
    "--state-dir",
    type=STATE_DIR,
    help="Where the ledger's file is without --store-url.  [default: per user]",
)
def spend(
    *,
    by: Grouping,
    since: str | None,
    form: str | None,
    store_url: str | None,
    state_dir: Path | None,
) -> None:
    """Show what was spent, by key, end user, model, tag or day; also while gateways run."""
    start = _moment(since, time.time())
    try:
        reader = reader_of(store_url, state_dir or default_state_dir(os.environ))
        groups, total = reader.sums(by, start), reader.total(start)
        reader.close()
    except NoLedger as none:
        raise click.ClickException(f"{none}: has a gateway served anything?") from none
    except (BadStoreUrl, StoreUnavailable) as error:
        raise click.ClickException(str(error)) from error
    if by != "day":
        groups = sorted(groups, key=lambda each: (-each.cost_usd, -each.calls, each.name or ""))
    if form == "json":
        said = None if start is None else datetime.fromtimestamp(start, UTC).isoformat()
        answer = Answer(by, said, [_group(each) for each in groups], _group(total))
        click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode())
    elif form == "csv":
        click.echo(_csv([_group(each) for each in groups]), nl=False)
    else:
        click.echo("\n".join(_table(by, groups, total)))


def _moment(since: str | None, now: float) -> float | None:
    """Unix seconds. Raises click.BadParameter."""
    if since is None:
        return None
    span = _SPAN.fullmatch(since)
    try:
        if span is not None:
            seconds = int(span[1]) * _SECONDS[span[2]]
            return (datetime.fromtimestamp(now, UTC) - timedelta(seconds=seconds)).timestamp()
        moment = datetime.fromisoformat(since)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            "expected a span as 90m, 24h, 7d or 4w, or a date as 2026-11-01", param_hint="--since"
        ) from error


def _group(each: Spend) -> Group:
    return Group(
        name=each.name,
        calls=each.calls,
        input_tokens=each.input_tokens,
        cached_tokens=each.cached_tokens,
        output_tokens=each.output_tokens,
        cost_usd=f"{each.cost_usd:f}",
        unpriced_calls=each.unpriced,
        estimated_calls=each.estimated,
    )


def _csv(groups: Sequence[Group]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Group.__struct_fields__)
    writer.writerows(
        [_harmless(each) for each in msgspec.structs.astuple(group)] for group in groups
    )
    return text.getvalue()


def _harmless(value: object) -> object:
    """A name that a spreadsheet would take for a formula is shown as text."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"}:
        return f"'{value}"
    return value


def _table(by: Grouping, groups: Sequence[Spend], total: Spend) -> list[str]:
    """The groups with their bars, the total, and what is not as it should be."""
    if not groups:
        return ["Nothing was spent."]
    most = max(each.cost_usd for each in groups)
    rows = [(_shown(each, by), *_numbers(each)) for each in groups]
    rows.append(("total", *_numbers(total)))
    widths = [
        max(len(row[column]) for row in [(by, *_HEADINGS[1:]), *rows])
        for column in range(len(_HEADINGS))
    ]
    lines = [_line((by, *_HEADINGS[1:]), widths)]
    for row, each in zip(rows, groups, strict=False):
        lines.append(f"{_line(row, widths)}  {_bar(each.cost_usd, most)}".rstrip())
    lines.append(_line(rows[-1], widths))
    if total.unpriced:
        lines.append(f"{_calls(total.unpriced)} without a known price: not in the sums of money.")
    if total.estimated:
        lines.append(f"{_calls(total.estimated)} with estimated tokens.")
    return lines


def _calls(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"


def _shown(each: Spend, by: Grouping) -> str:
    name = harmless(each.name if each.name is not None else _NOBODY.get(by, ""))
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _numbers(each: Spend) -> tuple[str, ...]:
    counts = (each.calls, each.input_tokens, each.cached_tokens, each.output_tokens)
    return (*(f"{count:,}" for count in counts), f"{each.cost_usd:,.6f}")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        f"{text:<{width}}" if column == 0 else f"{text:>{width}}"
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *others))


def _bar(cost: Decimal, most: Decimal) -> str:
    """In eighths of a character; whatever cost anything is seen."""
    if cost <= 0 or most <= 0:
        return ""
    eighths = max(int(cost * _BAR * 8 / most), 1)
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()
