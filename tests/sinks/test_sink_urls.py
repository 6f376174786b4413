"""Which sink a URL names, and that no secret of it is told."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.cli.log_options import sink_settings
from sluicegate.sinks import BadSink, urls
from sluicegate.sinks.urls import make_sink, parse_headers


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("stdout:", "stdout"),
        ("file:///var/log/calls.jsonl#max_bytes=1000&backups=2", "file"),
        ("webhook+https://example.com/hook?a=b#headers=MINE", "webhook"),
        ("otlp:", "otlp"),
        ("otlp+https://example.com/v1/logs#headers=MINE", "otlp"),
        ("otlp-traces:", "otlp-traces"),
        ("otlp-traces+http://localhost:4318/v1/traces", "otlp-traces"),
        ("s3://bucket/prefix", "s3"),
        ("gs://bucket/prefix", "gs"),
    ],
)
def test_known_urls(url: str, name: str) -> None:
    assert make_sink(url, {"MINE": "authorization=Bearer%20secret"}).name == name


@pytest.mark.parametrize(
    "url",
    [
        "nonsense-hunter2",
        "nonsense://user:hunter2@example.com",
        "webhook:",
        "webhook+ftp://user:hunter2@example.com",
        "webhook+https://example.com/hunter2#headers=NOT_SET",
        "webhook+https://example.com/hunter2#nonsense=1",
        "webhook+https://[hunter2",
        "file:calls.jsonl",
        "file://host/calls.jsonl",
        "file:///calls.jsonl#max_bytes=many",
        "stdout:#x",
        "s3:///prefix",
        "gs:///prefix",
        "gs://bucket/prefix?versioned=1",
        "otlp+hunter2:",
        "hunter2@there",
        "webhook+https://u:hunter2@host:port/",
        "otlp+https://host:99999/v1/logs",
    ],
)
def test_what_is_none_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(BadSink) as refused:
        make_sink(url, {})
    if "hunter2@" in url or "/hunter2" in url:
        assert "hunter2" not in str(refused.value)


def test_headers_are_read_as_opentelemetry_has_them() -> None:
    text = "Authorization=Basic%20dTpw, x-langfuse-ingestion-version = 4,"
    expected = {"authorization": "Basic dTpw", "x-langfuse-ingestion-version": "4"}
    assert parse_headers(text) == expected


@given(st.text())
def test_no_header_can_begin_another(text: str) -> None:
    try:
        headers = parse_headers(text)
    except BadSink as refused:
        assert len(text) < 9 or text not in str(refused)  # noqa: PT017 -- any text is refused or read
        return
    assert all((name + value).isprintable() for name, value in headers.items())


def _entry_points(*, group: str, name: str) -> EntryPoints:
    found = EntryPoint("mine", f"{__name__}:make_mine", "sluicegate.log_sinks")
    broken = EntryPoint("broken", f"{__name__}:make_broken", "sluicegate.log_sinks")
    return EntryPoints([found, broken]).select(group=group, name=name)


class Mine:
    name = "mine"
    of_traces = False


def test_a_package_may_bring_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def load(point: EntryPoint) -> object:
        def make(url: str, environ: dict[str, str]) -> Mine:
            assert environ == {"A": "b"}
            if point.name == "broken":
                raise RuntimeError(url)
            made.append(url)
            return Mine()

        return make

    monkeypatch.setattr(urls, "entry_points", _entry_points)
    monkeypatch.setattr(EntryPoint, "load", load)
    assert make_sink("mine://user:pw@there", {"A": "b"}).name == "mine"
    assert made == ["mine://user:pw@there"]
    with pytest.raises(BadSink) as refused:
        make_sink("broken://user:hunter2@there", {"A": "b"})
    assert "hunter2" not in str(refused.value)


def test_traces_go_where_opentelemetrys_variables_say() -> None:
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}

    def found(environ: dict[str, str], *urls: str) -> tuple[str, ...]:
        made = sink_settings(urls, (), 1.0, environ, content=False)
        return () if made is None else made.urls

    assert found({}) == ()
    assert found(there) == ("otlp-traces:",)
    assert found(there, "stdout:") == ("stdout:", "otlp-traces:")
    own = "otlp-traces+https://example.com/v1/traces"
    assert found(there, own) == (own,)
    assert found(there | {"OTEL_SDK_DISABLED": "true"}) == ()
    assert found(there | {"OTEL_TRACES_EXPORTER": "none"}) == ()


def test_nothing_of_the_settings_shows_a_secret() -> None:
    url = "webhook+https://user:hunter2@example.com/h#headers=TOKEN"
    environ = {"TOKEN": "authorization=hunter3"}
    made = sink_settings((url,), (), 1.0, environ, content=False)
    sink = make_sink(url, environ)
    shown = f"{made!r} {sink!r} {vars(sink)!r}"
    assert "hunter" not in shown
