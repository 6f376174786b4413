"""The histograms of upstream calls and of requests, as Prometheus reads them."""

from __future__ import annotations

import math
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sluicegate.model import Usage
from sluicegate.telemetry.histograms import (
    DURATION,
    FIRST_TOKEN,
    PER_TOKEN,
    TOKENS,
    CallLabels,
    calls_text,
    requests_text,
)
from sluicegate.telemetry.histograms import Histogram as Counted
from sluicegate.telemetry.metrics import Tally

LABELS = CallLabels("gpt-test", "default/primary", "bedrock", "gpt-real", "")


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def one(text: bytes, name: str, **labels: str) -> float:
    found = [
        value
        for (sample, its), value in samples(text).items()
        if sample == name and labels.items() <= dict(its).items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@given(st.lists(st.floats(0, 1e9)), st.sampled_from([TOKENS, DURATION, FIRST_TOKEN, PER_TOKEN]))
def test_counts_as_the_prometheus_client_does(
    values: list[float], bounds: tuple[float, ...]
) -> None:
    registry = CollectorRegistry()
    theirs = Histogram("it", "It.", registry=registry, buckets=bounds)
    ours = Counted(bounds)
    for value in values:
        theirs.observe(value)
        ours.observe(value)
    counted = [
        value
        for (name, _), value in sorted(
            samples(generate_latest(registry)).items(),
            key=lambda each: float(dict(each[0][1]).get("le", "nan")),
        )
        if name == "it_bucket"
    ]
    cumulative = [float(sum(ours.counts[: at + 1])) for at in range(len(ours.counts))]
    assert cumulative == counted
    assert math.isclose(ours.sum, sum(values), rel_tol=1e-9)


def test_bounds_are_ascending_and_a_value_on_one_is_below_it() -> None:
    for bounds in (TOKENS, DURATION, FIRST_TOKEN, PER_TOKEN):
        assert list(bounds) == sorted(set(bounds))
        assert bisect_left(bounds, bounds[3]) == 3
    assert (TOKENS[0], TOKENS[-1]) == (1, 67108864)
    assert (DURATION[0], DURATION[-1]) == (0.01, 81.92)


def test_a_streamed_call_is_in_every_histogram() -> None:
    tally = Tally()
    tally.called(LABELS, Usage(input_tokens=300, output_tokens=11), 2.5, 0.5)
    text = calls_text(tally.calls)
    shared = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "aws.bedrock",
        "gen_ai_request_model": "gpt-test",
        "gen_ai_response_model": "gpt-real",
        "sluicegate_deployment": "default/primary",
    }
    tokens = "gen_ai_client_token_usage"
    assert one(text, f"{tokens}_sum", gen_ai_token_type="input", **shared) == 300
    assert one(text, f"{tokens}_bucket", gen_ai_token_type="input", le="256.0") == 0
    assert one(text, f"{tokens}_bucket", gen_ai_token_type="input", le="1024.0") == 1
    assert one(text, f"{tokens}_sum", gen_ai_token_type="output", **shared) == 11
    assert one(text, "gen_ai_client_operation_duration_seconds_sum", **shared) == 2.5
    assert one(text, "gen_ai_server_time_to_first_token_seconds_sum", **shared) == 0.5
    assert one(text, "gen_ai_server_time_per_output_token_seconds_sum", **shared) == 0.2


def test_a_call_that_failed_has_its_error_and_no_tokens() -> None:
    tally = Tally()
    tally.called(LABELS._replace(error="timeout"), None, 1.0, None)
    names = {name for name, _ in samples(calls_text(tally.calls))}
    assert {name.rpartition("_")[0] for name in names} == {
        "gen_ai_client_operation_duration_seconds"
    }
    seconds = "gen_ai_client_operation_duration_seconds_count"
    assert one(calls_text(tally.calls), seconds, error_type="timeout") == 1


def test_a_model_that_clients_name_is_no_label() -> None:
    tally = Tally()
    tally.called(LABELS._replace(upstream_model="*"), None, 1.0, None)
    name = "gen_ai_client_operation_duration_seconds_count"
    assert one(calls_text(tally.calls), name, gen_ai_response_model="") == 1


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029"), max_size=9))
def test_names_come_through_as_they_are(name: str) -> None:
    seconds = Counted(DURATION)
    seconds.observe(1)
    text = requests_text([((name, "default/primary", "openai", "503"), seconds)])
    families = list(text_string_to_metric_families(text.decode()))
    assert {sample.labels["gen_ai_request_model"] for sample in families[0].samples} == {name}
    assert {sample.labels["error_type"] for sample in families[0].samples} == {"503"}
