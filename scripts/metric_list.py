"""The table of docs/metrics.md, made from what a gateway's own registry shows.

Without an argument it writes the table; with `--check` it only says whether the page is current.
"""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from scripts.generated_page import keep

from sluicegate.config import (
    AmbientCredential,
    Config,
    Deployment,
    EchoUpstream,
    Entry,
    Pool,
    entry_revision,
)
from sluicegate.ledger import LedgerState
from sluicegate.limits import Limiter, MemoryStore
from sluicegate.model import Usage
from sluicegate.pipeline.live import LiveStore
from sluicegate.server.deployments import DeploymentGauges
from sluicegate.sinks.outlet import SinkCounts
from sluicegate.telemetry.histograms import CallLabels
from sluicegate.telemetry.metrics import ConfigState, RequestLabels, SpendLabels, Tally, registry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
_TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>[^\n]*?) -->\n).*?(?P<end><!-- /table -->)", re.DOTALL
)
_SUFFIXES = {"counter": "_total"}
_CONFIG = ConfigState(
    sequence=1,
    ok=True,
    loaded_at=0.0,
    models=1,
    deployments=1,
    keys=1,
    longest_slice=0.0,
    origin={"source": "folder"},
)


def families() -> list[Metric]:
    """Every metric of a gateway that has met one of each thing that it counts."""
    tally = Tally()
    usage = Usage(input_tokens=2, output_tokens=2)
    tally.finished(RequestLabels("model", "ns/name", "openai", "200"), 1.0)
    tally.spent(SpendLabels("model", "ns/name", "openai"), usage, Decimal(1))
    tally.called(CallLabels("model", "ns/name", "openai", "gpt", ""), usage, 1.0, 0.5)
    tally.attempted("ns/name", "ok")
    tally.refuse("invalid_api_key")
    tally.limit("key", "requests", "refused")
    made = registry(
        tally,
        lambda: _CONFIG,
        LedgerState,
        Limiter(MemoryStore(lambda: 0.0)),
        lambda: (SinkCounts("stdout"),),
    )
    made.register(DeploymentGauges(_store()))
    return list(text_string_to_metric_families(made.exposition().decode()))


def _store() -> LiveStore:
    """What serves one deployment."""
    deployment = Deployment(
        namespace="ns",
        name="name",
        model="model",
        upstream=EchoUpstream(),
        credential=AmbientCredential(),
    )
    pool = Pool(namespace="ns", model="model", members=("name",))
    entries: dict[str, Entry] = {entry.id: entry for entry in (deployment, pool)}
    revisions = {id_: entry_revision(entry) for id_, entry in entries.items()}
    store = LiveStore({})
    for _ in store.publish_steps(Config(entries=entries, revisions=revisions)):
        pass
    return store


def page(text: str) -> str:
    """The page with its tables made anew. Raises KeyError for a table that there is not."""
    tables = {"opentelemetry": "", "own": ""}
    for family in families():
        for group, prefix in (("opentelemetry", "gen_ai_"), ("own", "sluicegate_")):
            if family.name.startswith(prefix):
                tables[group] += _row(family)
    head = "| metric | type | labels | |\n| --- | --- | --- | --- |\n"
    return _TABLE.sub(
        lambda found: found["begin"] + head + tables[found["name"]] + found["end"], text
    )


def _row(family: Metric) -> str:
    name = family.name + _SUFFIXES.get(family.type, "")
    labels = ", ".join(f"`{label}`" for label in _labels(family))
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"


def _labels(family: Metric) -> list[str]:
    found = {label: None for sample in family.samples for label in sample.labels}
    return [label for label in found if label != "le"]


if __name__ == "__main__":
    sys.exit(keep(PAGE, page, "The table of docs/metrics.md."))
