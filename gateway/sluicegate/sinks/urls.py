"""The sink that a URL names.

What a sink needs beside its address stands in the URL's fragment, which no server sees:
`#headers=NAME` says which environment variable holds the headers, as OTEL_EXPORTER_OTLP_HEADERS
does (name=value pairs with commas between them, values percent-encoded).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sluicegate.auth.upstream.google import access
from sluicegate.config import AmbientCredential
from sluicegate.sinks.lines import file, stdout
from sluicegate.sinks.records import SinkSettings
from sluicegate.sinks.sink import Sink

ENTRY_POINTS = "sluicegate.log_sinks"
_COLLECTOR = "http://localhost:4318"
_FILE_BYTES = 100 * 1024 * 1024
_FILE_BACKUPS = 5


class BadSink(ValueError):
    """A URL that names no sink. The message does not repeat it: it may hold a password."""


def make_sinks(settings: SinkSettings) -> list[Sink]:
    """The sinks of all URLs. Raises BadSink."""
    return [make_sink(url, settings.environ) for url in settings.urls]


def make_sink(url: str, environ: Mapping[str, str]) -> Sink:
    """The sink of a URL. Raises BadSink."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.fragment, strict_parsing=bool(parts.fragment)))
    except ValueError as error:
        raise BadSink("the URL of a log sink can't be read") from error
    kind, _, scheme = parts.scheme.partition("+")
    address = parts._replace(scheme=scheme, fragment="")
    match kind:
        case "stdout":
            _only(options)
            return stdout()
        case "file":
            return _file(parts, options)
        case "webhook":
            _only(options, "headers")
            # Imported when it is meant: what speaks HTTP takes memory.
            http = importlib.import_module("sluicegate.sinks.http")
            webhook: Sink = http.WebhookSink(_http(address), _headers(options, environ))
            return webhook
        case "otlp" | "otlp-traces":
            return _otlp(kind, address, options, environ)
        case "s3" | "gs":
            _only(options)
            return _bucket(kind, parts, environ)
        case _:
            return _from_package(kind, url, environ)


def _only(options: Mapping[str, str], *known: str) -> None:
    """Raises BadSink."""
    for name in options:
        if name not in known:
            raise BadSink(f"a log sink has an unknown option in its URL's fragment: {name[:40]!r}")


def _file(parts: SplitResult, options: Mapping[str, str]) -> Sink:
    _only(options, "max_bytes", "backups")
    if parts.netloc or not parts.path.startswith("/"):
        raise BadSink("the log sink of a file is file:///path/of/the/file")
    most, backups = (
        _number(options, "max_bytes", _FILE_BYTES),
        _number(options, "backups", _FILE_BACKUPS),
    )
    return file(Path(unquote(parts.path)), max(most, 1), backups)


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    value = options.get(name, str(default))
    if not (value.isascii() and value.isdigit()):
        raise BadSink(f"{name} of a log sink's URL must be a number")
    return int(value)


def _http(address: SplitResult) -> str:
    if address.scheme not in ("http", "https") or not address.hostname or not _has_port(address):
        raise BadSink("this log sink needs an address: …+https://host/path")
    return address.geturl()


def _has_port(address: SplitResult) -> bool:
    """Whether there is none, or one that can be."""
    try:
        return address.port != 0
    except ValueError:
        return False


def _headers(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    name = options.get("headers")
    if name is None:
        return {}
    if name not in environ:
        raise BadSink(f"the headers of a log sink should be in {name[:80]}, which is not set")
    return parse_headers(environ[name])


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, percent-encoded, as OpenTelemetry has it. Raises BadSink."""
    headers: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = pair.strip().partition("=")
        name, value = unquote(name.strip()).lower(), unquote(value.strip())
        if not pair.strip():
            continue
        if not equals or not name or not (name + value).isprintable() or not value.isascii():
            raise BadSink("headers of a log sink must be name=value pairs, with commas between")
        headers[name] = value
    return headers


def _otlp(
    kind: str, address: SplitResult, options: Mapping[str, str], environ: Mapping[str, str]
) -> Sink:
    """Without an address: the one that OpenTelemetry's own environment variables name."""
    _only(options, "headers")
    signal = "traces" if kind == "otlp-traces" else "logs"
    if address.scheme:
        url, headers = _http(address), _headers(options, environ)
    else:
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _COLLECTOR
        found = environ.get(f"{own}_ENDPOINT") or f"{base.rstrip('/')}/v1/{signal}"
        url = _http(urlsplit(found))
        shared = parse_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
        headers = shared | parse_headers(environ.get(f"{own}_HEADERS", ""))
        headers |= _headers(options, environ)
    name = "OtlpTracesSink" if signal == "traces" else "OtlpLogsSink"
    made: Sink = _extra("sluicegate.sinks.otlp", name, "otel")(url, headers, _resource(environ))
    return made


def _resource(environ: Mapping[str, str]) -> dict[str, str]:
    """OTEL_RESOURCE_ATTRIBUTES, and the service's name, which OTEL_SERVICE_NAME overrides."""
    resource = {"service.name": "sluicegate"}
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, equals, value = pair.strip().partition("=")
        if equals and name:
            resource[unquote(name.strip())] = unquote(value.strip())
    if environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = environ["OTEL_SERVICE_NAME"]
    return resource


def _bucket(kind: str, parts: SplitResult, environ: Mapping[str, str]) -> Sink:
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not parts.hostname or parts.query:
        raise BadSink(f"the log sink of a bucket is {kind}://bucket/prefix")
    if kind == "s3":
        made: Sink = _extra("sluicegate.sinks.s3", "S3Sink", "s3")(bucket, prefix)
        return made
    gcs = importlib.import_module("sluicegate.sinks.gcs")
    # Google's own libraries take another server from there.
    emulator = environ.get("STORAGE_EMULATOR_HOST")
    if emulator:
        url = emulator if "://" in emulator else f"http://{emulator}"
        bare: Sink = gcs.GcsSink(bucket, prefix, _http(urlsplit(url)).rstrip("/"), None)
        return bare
    _extra("google.auth", "default", "google")  # told now rather than with the first record
    google: Sink = gcs.GcsSink(bucket, prefix, gcs.GOOGLE, access(AmbientCredential()))
    return google


def _extra(module: str, name: str, extra: str) -> Callable[..., Any]:
    """A class whose packages are an extra, and take memory. Raises BadSink."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise BadSink(f"this log sink needs the package sluicegate[{extra}]") from error


def _from_package(kind: str, url: str, environ: Mapping[str, str]) -> Sink:
    for found in entry_points(group=ENTRY_POINTS, name=kind):
        try:
            made: Sink = found.load()(url, environ)
        except BadSink:
            raise
        except Exception as error:
            raise BadSink(f"the log sink {kind!r} can't be made: {type(error).__name__}") from error
        return made
    known = "stdout:, file:///…, webhook+https://…, otlp:, otlp-traces:, s3://…, gs://…"
    none = f"there is no log sink {kind[:40]!r}" if kind else "a log sink is told by a URL"
    raise BadSink(f"{none}; known are {known}")
