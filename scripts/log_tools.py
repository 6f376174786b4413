"""The table of docs/logging.md: how records get to each tool, and what each reads of them.

Without an argument it writes the table; with `--check` it only says whether the page is current.
`reads` are the attributes that the tool's own documentation (`source`) says it looks for; a test
sends a record to a server and finds each of them there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from scripts.generated_page import keep

PAGE = Path(__file__).resolve().parents[1] / "docs" / "logging.md"
_TABLE = re.compile(r"(?P<begin><!-- table: tools -->\n).*?(?P<end><!-- /table -->)", re.DOTALL)


class Tool(NamedTuple):
    """`sink` is the URL; `headers` are what the environment variable of its fragment holds."""

    name: str
    sink: str
    headers: str
    reads: tuple[str, ...]
    source: str
    content: tuple[str, ...] = ()  # what it reads where content is logged
    note: str = ""


_GEN_AI = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
)
_MESSAGES = ("gen_ai.input.messages", "gen_ai.output.messages")
_OPEN_INFERENCE = (
    "openinference.span.kind",
    "llm.model_name",
    "llm.provider",
    "llm.token_count.prompt",
    "llm.token_count.completion",
    "llm.token_count.total",
)
_VALUES = ("input.value", "output.value")

TOOLS = (
    Tool(
        "Langfuse",
        "otlp-traces+https://cloud.langfuse.com/api/public/otel/v1/traces#headers=LANGFUSE",
        "authorization=Basic%20<base64 of public key:secret key>,x-langfuse-ingestion-version=4",
        (*_GEN_AI, "gen_ai.usage.cost", "user.id"),
        "https://langfuse.com/integrations/native/opentelemetry",
        _VALUES,
        "US: `us.cloud.langfuse.com`; your own server: its address",
    ),
    Tool(
        "Arize Phoenix",
        "otlp-traces+http://localhost:6006/v1/traces#headers=PHOENIX",
        "authorization=Bearer%20<API key>",
        _OPEN_INFERENCE,
        "https://arize.com/docs/phoenix",
        _VALUES,
        "`OTEL_RESOURCE_ATTRIBUTES=openinference.project.name=…` names the project; without "
        "authentication leave `#headers` out",
    ),
    Tool(
        "Arize AX",
        "otlp-traces+https://otlp.arize.com/v1/traces#headers=ARIZE",
        "space_id=<space id>,api_key=<API key>",
        _OPEN_INFERENCE,
        "https://arize.com/docs/ax/integrations/opentelemetry/opentelemetry-arize-otel",
        _VALUES,
        "`OTEL_RESOURCE_ATTRIBUTES=openinference.project.name=…` names the project",
    ),
    Tool(
        "Datadog LLM Observability",
        "otlp-traces+https://otlp.datadoghq.com/v1/traces#headers=DATADOG",
        "dd-api-key=<API key>,dd-otlp-source=llmobs",
        _GEN_AI,
        "https://docs.datadoghq.com/llm_observability/instrumentation/otel_instrumentation",
        _MESSAGES,
        "other sites: `otlp.<site>`",
    ),
    Tool(
        "Datadog Logs",
        "otlp+https://otlp.datadoghq.com/v1/logs#headers=DATADOG",
        "dd-api-key=<API key>",
        _GEN_AI,
        "https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/logs/",
    ),
    Tool(
        "Grafana Cloud (Tempo)",
        "otlp-traces+https://otlp-gateway-<zone>.grafana.net/otlp/v1/traces#headers=GRAFANA",
        "authorization=Basic%20<base64 of instance id:token>",
        _GEN_AI,
        "https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
        _MESSAGES,
    ),
    Tool(
        "Grafana Cloud (Loki)",
        "otlp+https://otlp-gateway-<zone>.grafana.net/otlp/v1/logs#headers=GRAFANA",
        "authorization=Basic%20<base64 of instance id:token>",
        _GEN_AI,
        "https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
    ),
    Tool(
        "LangSmith",
        "otlp-traces+https://api.smith.langchain.com/otel/v1/traces#headers=LANGSMITH",
        "x-api-key=<API key>,langsmith-project=<project>",
        (
            *("langsmith.span.kind", "gen_ai.system", "gen_ai.operation.name"),
            *("gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
        ),
        "https://docs.langchain.com/langsmith/trace-with-opentelemetry",
        _VALUES,
        "EU: `eu.api.smith.langchain.com`",
    ),
    Tool(
        "MLflow (3.6 and later)",
        "otlp-traces+http://localhost:5000/v1/traces#headers=MLFLOW",
        "x-mlflow-experiment-id=<id>",
        _GEN_AI,
        "https://mlflow.org/docs/latest/genai/tracing/opentelemetry/ingest",
        _MESSAGES,
        "the server needs an SQL store",
    ),
    Tool(
        "Pydantic Logfire",
        "otlp-traces+https://logfire-us.pydantic.dev/v1/traces#headers=LOGFIRE",
        "authorization=<write token>",
        _GEN_AI,
        "https://logfire.pydantic.dev/docs/how-to-guides/alternative-clients",
        _MESSAGES,
        "EU: `logfire-eu.pydantic.dev`",
    ),
    Tool(
        "Honeycomb",
        "otlp-traces+https://api.honeycomb.io/v1/traces#headers=HONEYCOMB",
        "x-honeycomb-team=<ingest key>",
        _GEN_AI,
        "https://docs.honeycomb.io/send-data/opentelemetry",
        _MESSAGES,
        "EU: `api.eu1.honeycomb.io`",
    ),
    Tool(
        "OpenTelemetry Collector, traces",
        "otlp-traces+http://localhost:4318/v1/traces",
        "",
        _GEN_AI,
        "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans",
        _MESSAGES,
        "and from it to any tool that it has an exporter for",
    ),
    Tool(
        "OpenTelemetry Collector, logs",
        "otlp+http://localhost:4318/v1/logs",
        "",
        _GEN_AI,
        "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/",
        _MESSAGES,
    ),
)


def page(text: str) -> str:
    """The page with its table made anew."""
    return _TABLE.sub(lambda found: found["begin"] + _table() + found["end"], text)


def _table() -> str:
    rows = [
        "| tool | `--log-sink` | headers | it reads, beside others |\n| --- | --- | --- | --- |\n"
    ]
    for tool in TOOLS:
        reads = ", ".join(f"`{name}`" for name in tool.reads)
        note = f"; {tool.note}" if tool.note else ""
        headers = f"`{tool.headers}`" if tool.headers else "none"
        rows.append(
            f"| [{tool.name}]({tool.source}) | `{tool.sink}`{note} | {headers} | {reads} |\n"
        )
    return "".join(rows)


if __name__ == "__main__":
    sys.exit(keep(PAGE, page, "The table of docs/logging.md."))
