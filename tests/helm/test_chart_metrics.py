"""Alerts and the dashboard ask only for metrics that there are."""

from dataclasses import dataclass
from decimal import Decimal

from helm_chart import VALUES, metric_names, rendered
from sluicegate.model import Usage
from sluicegate.telemetry.histograms import CallLabels
from sluicegate.telemetry.metrics import (
    ConfigState,
    RequestLabels,
    SpendLabels,
    Tally,
    registry,
)


@dataclass(frozen=True)
class Store:
    """Counts of whatever has some: the ledger, the shared limits, a log sink."""

    name: str = "stdout"
    problems: tuple[str, ...] = ()
    shared: bool = True
    degraded: bool = False
    stored: int = 1
    sent: int = 1
    lost: int = 0
    dropped: int = 0
    refused: int = 0
    failures: int = 0
    backlog: int = 0


def samples_of_a_gateway() -> set[str]:
    tally = Tally()
    tally.finished(RequestLabels("m", "ns/m", "openai", "200"), 0.1)
    tally.spent(SpendLabels("m", "ns/m", "openai"), Usage(), Decimal(1))
    tally.called(CallLabels("m", "ns/m", "openai", "up", ""), Usage(), 0.5, 0.1)
    tally.attempted("ns/m", "ok")
    tally.limit("key", "requests", "refused")
    tally.refuse("invalid_api_key")
    state = ConfigState(
        1,
        ok=True,
        loaded_at=0,
        models=1,
        deployments=1,
        keys=1,
        longest_slice=0,
        origin={"source": "cluster"},
    )
    store = Store()
    text = registry(tally, lambda: state, lambda: store, store, lambda: [store]).exposition()
    lines = text.decode().splitlines()
    return {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}


def test_gateways_have_every_metric_that_is_asked_for() -> None:
    asked = metric_names(rendered(VALUES["monitoring"]))
    of_gateways = {name for name in asked if not name.startswith("sluicegate_operator_")}
    assert len(of_gateways) > 10
    assert of_gateways - samples_of_a_gateway() == set()
