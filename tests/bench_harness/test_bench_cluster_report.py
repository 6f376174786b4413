"""What a run in a cluster says about its goals."""

from bench import goals, report
from bench.samples import Run, Sample
from bench.scenarios import cluster

NAME = "sluicegate"
REFUSALS = ((cluster.REVOKED, 0.1), (cluster.DELETED, 2.5))


def run_of(*samples: Sample) -> Run:
    rates = dict.fromkeys(("latency-json", "latency-stream", "latency-stream-paced"), "500")
    settings = {"deployments": "1,000", "keys": "10,000", **rates}
    return Run("a-label", "2026-01-02T03:04:05Z", {}, {}, settings, list(samples))


def change(number: int, every_gateway_ms: float) -> Sample:
    names = ("apply_ms", "published_ms", "first_gateway_ms", "programmed_ms", "ready_ms")
    values = {**dict.fromkeys(names, 10.0), "every_gateway_ms": every_gateway_ms}
    return Sample(cluster.CHANGE, NAME, number, values)


def storm(publishes: float) -> Sample:
    values = {"objects": 2000.0, "applied_s": 10.0, "ready_s": 20.0, "publishes": publishes}
    return Sample(cluster.STORM, NAME, 0, {**values, "operator_peak_mb": 160.0})


def verdicts(run: Run) -> dict[str, tuple[str, str]]:
    return {what: (measured, met) for what, _, measured, met in goals.table(run).rows}


def test_one_slow_change_of_a_hundred_is_no_p99_and_two_are() -> None:
    changes = [change(number, 60.0) for number in range(99)]
    p50, p99 = (f"apply to the first answer by it on every gateway, {q}" for q in ("p50", "p99"))
    found = verdicts(run_of(*changes, change(99, 400.0)))
    assert found[p50] == found[p99] == ("60.0 ms", "met")
    found = verdicts(run_of(*changes[:98], change(98, 400.0), change(99, 400.0)))
    assert found[p50] == ("60.0 ms", "met")
    assert found[p99] == ("400 ms", "not met")


def test_more_publications_than_the_rhythm_has_are_told() -> None:
    what = "publications of them beyond one in 200 ms"
    assert verdicts(run_of(storm(53.0)))[what] == ("0 ", "met")
    assert verdicts(run_of(storm(60.0)))[what] == ("7.00 ", "not met")


def test_the_slower_of_revoked_and_deleted_decides() -> None:
    what = "key taken away until every gateway refuses it, p99"
    quick, slow = (Sample(way, NAME, 0, {"refused_s": seconds}) for way, seconds in REFUSALS)
    assert verdicts(run_of(quick, slow))[what] == ("2.50 s", "not met")


def test_each_time_of_a_change_has_a_row() -> None:
    [times] = [
        table for table in report.tables(run_of(change(0, 60.0))) if "In a cluster" in table.title
    ]
    assert ("until every gateway answers by it", "60.0", "60.0", "60.0", "1") in times.rows
    assert len(times.rows) == 6
