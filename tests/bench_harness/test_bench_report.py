from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import chart, goals, report, samples, tables
from bench.samples import Run, Sample
from bench.stats import Spread
from bench.tables import Table, number
from hypothesis import given
from hypothesis import strategies as st

SVG = "{http://www.w3.org/2000/svg}"


def throughput(per_second: float, cpu_us: float, load_share: float = 0.5) -> Mapping[str, float]:
    return {
        "per_second": per_second,
        "p50_ms": 2.0,
        "p99_ms": 5.0,
        "errors": 0,
        "cpu_us": cpu_us,
        "target_share": 0.99,
        "load_share": load_share,
        "foreign_share": 0.0,
    }


def run_of(*given_samples: Sample) -> Run:
    settings = {
        "deployments": "1,000",
        "keys": "10,000",
        "latency-json": "500",
        "latency-stream": "50",
        "latency-stream-paced": "50",
    }
    versions = {"sluicegate": "abc", "envoy": "1.40.0"}
    return Run("a-label", "2026-01-02T03:04:05Z", {}, versions, settings, list(given_samples))


TRANSLATED = run_of(
    Sample("translated-json", "openai", 0, throughput(10_000, 80)),
    Sample("translated-json", "anthropic", 0, throughput(6_000, 160)),
    Sample("translated-json", "openai", 1, throughput(5_000, 90)),
    Sample("translated-json", "anthropic", 1, throughput(2_000, 180)),
    Sample("translated-stream", "openai", 0, throughput(2_000, 160)),
    Sample("translated-stream", "anthropic", 0, throughput(1_500, 200)),
)
RUN = run_of(
    Sample("json", "sluicegate", 0, throughput(10_000, 90)),
    Sample("json", "envoy", 0, throughput(20_000, 45)),
    Sample("json", "sluicegate", 1, throughput(6_000, 92)),
    Sample("json", "envoy", 1, throughput(10_000, 46)),
    Sample("json", "litellm", 0, throughput(100, 12_000)),
    Sample("json", "litellm", 1, throughput(100, 12_000)),
    Sample("latency-json", "direct", 0, {"p50_ms": 0.2, "p99_ms": 0.5}),
    Sample("latency-json", "sluicegate", 0, {"p50_ms": 0.6, "p99_ms": 4.5}),
    Sample("memory-small", "sluicegate", 0, {"requests": 0, "rss_mb": 50}),
    Sample("memory-small", "sluicegate", 1, {"requests": 50_000, "rss_mb": 70}),
    Sample("memory-small", "sluicegate", 2, {"requests": 100_000, "rss_mb": 80}),
)


def cells(table: Table, row: str) -> tuple[str, ...]:
    return next(cells for cells in table.rows if cells[0] == row)


def test_goals_compare_medians_of_paired_rounds() -> None:
    rows = {(row[0], row[1]): row[2:] for row in goals.table(RUN).rows}
    # 10,000 / 20,000 and 6,000 / 10,000.
    assert rows["passthrough", "≥ 0.500 x Envoy"] == ("0.550 x Envoy", "met")
    assert rows["passthrough", "≥ 80.0 x LiteLLM"] == ("80.0 x LiteLLM", "met")
    assert rows["added latency, p99", "≤ 3.00 ms"] == ("4.00 ms", "not met")
    assert rows["memory, quick start", "≤ 90.0 MB"] == ("80.0 MB", "met")
    assert rows["its growth per 100,000 requests", "≤ 2.00 MB"] == ("20.0 MB", "not met")


def test_translated_answers_are_compared_with_those_passed_on() -> None:
    rows = {row[0]: row[1:] for row in goals.table(TRANSLATED).rows}
    # 6,000 / 10,000 and 2,000 / 5,000; by CPU time 80 / 160 and 90 / 180.
    assert rows["translated"] == ("≥ 0.500 x passed on", "0.500 x passed on", "met")
    assert rows["translated, by CPU time"][1] == "0.500 x passed on"
    assert rows["translated streams"][1] == "0.750 x passed on"
    assert rows["translated streams, by CPU time"][1] == "0.800 x passed on"
    table = next(t for t in report.tables(TRANSLATED) if t.title == "Translated, JSON answers")
    assert cells(table, "openai, passed on")[2] == "1.00 x"
    assert cells(table, "anthropic")[2] == "0.500 x"
    assert cells(table, "anthropic")[6] == "2.00 x"


def test_accounting_is_compared_with_none() -> None:
    run = run_of(
        Sample("accounting-json", "everything", 0, throughput(6_000, 120)),
        Sample("accounting-json", "without", 0, throughput(10_000, 80)),
        Sample("accounting-json", "everything", 1, throughput(8_000, 100)),
        Sample("accounting-json", "without", 1, throughput(10_000, 80)),
    )
    rows = {row[0]: row[1:] for row in goals.table(run).rows}
    # 0.6 and 0.8; by CPU time 80 / 120 and 80 / 100.
    assert rows["accounting, JSON"] == ("≥ 0.750 x without", "0.700 x without", "not met")
    assert rows["accounting, JSON, by CPU time"][1] == "0.733 x without"
    assert "accounting, streams" not in rows
    table = next(t for t in report.tables(run) if t.title.startswith("Limits"))
    assert cells(table, "everything")[2] == "0.700 x"


def test_goals_that_were_not_measured_have_no_row() -> None:
    assert goals.table(run_of()).rows == ()
    assert not any("start to ready" in row[0] for row in goals.table(RUN).rows)


def test_throughput_shows_ratios_and_who_was_full() -> None:
    table = next(table for table in report.tables(RUN) if table.title.startswith("Passthrough"))
    ours = cells(table, "sluicegate")
    assert ours[1] == "8,000 (6,000 to 10,000)"
    assert ours[2:4] == ("0.550 x", "80.0 x")
    assert ours[7:] == ("2.00 x", "its CPU")


def test_a_full_load_generator_is_named() -> None:
    full = run_of(Sample("json", "envoy", 0, throughput(50_000, 10, load_share=0.97)))
    table = next(table for table in report.tables(full) if table.title.startswith("Passthrough"))
    assert cells(table, "envoy")[-1] == "the load"


def test_failed_requests_and_other_processes_are_told() -> None:
    bad = {**throughput(9, 9), "errors": 3, "foreign_share": 0.7}
    (table,) = report.tables(run_of(Sample("json", "envoy", 0, bad)))
    assert "3 requests of envoy failed" in table.remarks[0]
    assert "0.70 cores" in table.remarks[1]


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    samples.write(RUN, tmp_path / "samples.json")
    assert samples.read(tmp_path / "samples.json") == RUN


def test_a_markdown_table_has_as_many_cells_in_each_row() -> None:
    text = tables.markdown(Table("T", ("", "a|b"), (("x", "1"), ("y", "2|3")), ("remark",)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines == ["|  | a\\|b |", "| --- | ---: |", "| x | 1 |", "| y | 2\\|3 |"]
    assert text.rstrip().endswith("remark")


def test_a_terminal_table_is_aligned() -> None:
    text = tables.terminal(Table("T", ("", "value"), (("x", "1"), ("longer", "22222"))))
    lines = text.splitlines()[2:]
    assert lines == ["           value", "  x            1", "  longer   22222"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (24_412.4, "24,412"),
        (152.4, "152"),
        (99.96, "100"),
        (12.34, "12.3"),
        (9.996, "10.0"),
        (0.4821, "0.482"),
        (-2.5, "-2.50"),
        (0.00012, "0.00012"),
    ],
)
def test_numbers_have_three_digits_and_never_lose_whole_ones(value: float, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_shown_number_is_near_the_number(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=6e-3, abs=1e-12)


def read(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - the chart is our own text


def test_the_chart_is_well_formed_and_drawn_to_scale() -> None:
    text = chart.svg(chart.panels(RUN))
    root = read(text)
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert "Requests per second (JSON)" in shown
    assert "direct" not in shown
    bars = [
        (element.get("fill"), float(element.get("width", "0")))
        for element in root.iter(f"{SVG}rect")
        if element.get("x") is not None
    ]
    ours, envoy = bars[0], bars[1]
    assert ours[0] != envoy[0]
    assert ours[1] / envoy[1] == pytest.approx(8_000 / 15_000, rel=0.01)


def test_the_chart_escapes_names() -> None:
    bar = chart.Bar("<a & b>", Spread(1, 1, 1))
    root = read(chart.svg([chart.Panel("x < y", (bar,))]))
    assert [element.text for element in root.iter(f"{SVG}text")] == ["x < y", "<a & b>", "1.00"]


def test_bars_of_nothing_but_zero_can_be_drawn() -> None:
    chart.svg([chart.Panel("none", (chart.Bar("a", Spread(0, 0, 0)),))])


def of_a_fault(name: str, *, errors: int, p99_ms: float, asked: int) -> Sample:
    values = {
        "errors": errors,
        "quiet_p99_ms": 2.0,
        "p99_ms": p99_ms,
        "asked": asked,
        "seconds": 15,
    }
    return Sample(f"fault-{name}", "sluicegate", 0, values)


def test_the_worst_fault_decides_and_a_slow_upstream_may_be_asked() -> None:
    run = run_of(
        of_a_fault("killed", errors=0, p99_ms=3.0, asked=4),
        of_a_fault("hung", errors=2, p99_ms=8.0, asked=6),
        of_a_fault("slow", errors=0, p99_ms=2.0, asked=50),
    )
    rows = {row[0]: row[1:] for row in goals.table(run).rows}
    assert rows["failed requests while one of two upstreams fails"][-1] == "not met"
    assert rows["p99 from a second after the failure"][1] == "4.00 x before"
    # One attempt for each cooldown of 5 s, and one at the edge: of six, two are too many.
    assert rows["attempts at the failing one beyond its probes"][1].strip() == "2.00"
    table = next(table for table in report.tables(run) if table.title.startswith("One of two"))
    assert [row[0] for row in table.rows] == ["killed", "hung", "slow"]
