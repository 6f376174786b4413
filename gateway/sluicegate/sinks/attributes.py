"""A record as OpenTelemetry attributes. Pure.

Those of the GenAI semantic conventions; OpenInference's beside them, which Phoenix and Arize read;
a few names of single tools (docs/logging.md says which); and our own under `sluicegate.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from sluicegate.sinks.content import Content
from sluicegate.sinks.entries import RequestEntry
from sluicegate.sinks.messages import input_messages, output_messages
from sluicegate.sinks.record import LogRecord
from sluicegate.telemetry.genai import OPERATION, provider_name

Value: TypeAlias = str | int | float | bool | tuple[str, ...]

_SERVER_ERROR = 500


def call_attributes(record: LogRecord) -> dict[str, Value]:
    """Of an upstream call."""
    provider = provider_name(record.provider)
    said: dict[str, Value | None] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": provider,
        "gen_ai.system": provider,  # the older name, which LangSmith reads
        "gen_ai.request.model": record.upstream_model,
        "gen_ai.request.max_tokens": record.max_output_tokens,
        "gen_ai.request.temperature": record.temperature,
        "gen_ai.request.top_p": record.top_p,
        "gen_ai.request.stream": record.streamed,
        "gen_ai.response.id": record.response_id,
        "gen_ai.response.model": record.response_model,
        "gen_ai.response.finish_reasons": (finish_reason(record),),
        "gen_ai.response.time_to_first_chunk": record.first_event,
        "error.type": record.status if record.failed else None,
        "http.response.status_code": record.http_status,
        "user.id": record.end_user,
        "openinference.span.kind": "LLM",
        "langsmith.span.kind": "llm",
        "llm.model_name": record.response_model or record.upstream_model,
        "llm.provider": provider,
        "sluicegate.record.id": record.id,
        "sluicegate.request.id": record.request_id,
        "sluicegate.namespace": record.namespace,
        "sluicegate.key": record.key,
        "sluicegate.key.id": record.key_id,
        "sluicegate.model": record.model,
        "sluicegate.deployment": record.deployment,
        "sluicegate.attempt": record.attempt,
        "sluicegate.status": record.status,
        "sluicegate.estimated": record.estimated,
        "sluicegate.catalogue": record.catalogue,
    }
    said |= _usage(record)
    if isinstance(record.content, Content):
        said |= _content(record, record.content)
    said |= {f"sluicegate.tag.{name}": value for name, value in record.tags.items()}
    return {name: value for name, value in said.items() if value is not None}


def request_attributes(entry: RequestEntry) -> dict[str, Value]:
    """Of a request."""
    said: dict[str, Value | None] = {
        "http.request.method": "POST",
        "http.route": "/v1/responses",
        "http.response.status_code": int(entry.status),
        "error.type": entry.status if request_failed(entry) else None,
        "user.id": entry.end_user,
        "openinference.span.kind": "CHAIN",
        "langsmith.span.kind": "chain",
        "sluicegate.request.id": entry.request_id,
        "sluicegate.namespace": entry.namespace,
        "sluicegate.key": entry.key,
        "sluicegate.model": entry.model,
        "sluicegate.attempts": entry.course or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def request_failed(entry: RequestEntry) -> bool:
    """Whether the fault was not the client's: of a SERVER span, only that is an error."""
    return int(entry.status) >= _SERVER_ERROR


def finish_reason(record: LogRecord) -> str:
    """Why the model has stopped, in the conventions' words."""
    if record.failed:
        return "error"
    if record.status == "incomplete":
        return "content_filter" if record.incomplete_reason == "content_filter" else "length"
    return "stop"


def _usage(record: LogRecord) -> Mapping[str, Value | None]:
    used = record.input_tokens or record.output_tokens
    if not used:
        return {}
    cost = None if record.cost_usd is None else float(record.cost_usd)
    return {
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
        "gen_ai.usage.cost": cost,  # Langfuse
        "llm.token_count.prompt": record.input_tokens,
        "llm.token_count.completion": record.output_tokens,
        "llm.token_count.total": record.input_tokens + record.output_tokens,
        "llm.token_count.prompt_details.cache_read": record.cached_tokens,
        "llm.token_count.completion_details.reasoning": record.reasoning_tokens,
        "llm.cost.total": cost,
        # Exact: a double is not.
        "sluicegate.cost_usd": None if record.cost_usd is None else f"{record.cost_usd:f}",
    }


def _content(record: LogRecord, content: Content) -> Mapping[str, Value | None]:
    answered = content.output is not None
    messages = output_messages(content.output, finish_reason(record)) if answered else None
    instructions = content.instructions
    system = [{"type": "text", "content": instructions}] if instructions is not None else None
    return {
        "gen_ai.input.messages": _json(input_messages(content.input)),
        "gen_ai.output.messages": None if messages is None else _json(messages),
        "gen_ai.system_instructions": None if system is None else _json(system),
        "input.value": _json(content.input),
        "input.mime_type": "application/json",
        "output.value": _json(content.output) if answered else None,
        "output.mime_type": "application/json" if answered else None,
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
