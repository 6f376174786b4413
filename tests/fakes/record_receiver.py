"""Servers that records are sent to: an OTLP/HTTP receiver and a webhook, on one loopback port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span


def plain(attributes: list[KeyValue]) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@dataclass
class Receiver:
    """What has come. `statuses` are answered in turn, then 200; `hang` answers nothing at all."""

    port: int = 0
    records: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    logs: list[LogRecord] = field(default_factory=list[LogRecord])
    spans: list[Span] = field(default_factory=list[Span])
    resources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    statuses: list[int] = field(default_factory=list[int])
    always: int | None = None
    rejects: int = 0
    hang: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _status(self, request: web.Request) -> int:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.hang:
            await asyncio.Event().wait()
        if self.always is not None:
            return self.always
        return self.statuses.pop(0) if self.statuses else 200

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = await self._status(request)
        if status == 200:
            self.records += json.loads(body)
        return web.Response(status=status)

    async def take_logs(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = await self._status(request)
        if status == 200:
            sent = ExportLogsServiceRequest.FromString(body)
            for resource in sent.resource_logs:
                self.resources.append(plain(list(resource.resource.attributes)))
                for scope in resource.scope_logs:
                    self.logs += scope.log_records
        return web.Response(status=status)

    async def take_spans(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = await self._status(request)
        if status == 200:
            sent = ExportTraceServiceRequest.FromString(body)
            for resource in sent.resource_spans:
                self.resources.append(plain(list(resource.resource.attributes)))
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        return web.Response(
            status=status, body=answer.SerializeToString(), content_type="application/x-protobuf"
        )


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    """One that listens until the end of the block."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_post("/v1/logs", receiver.take_logs)
    app.router.add_post("/v1/traces", receiver.take_spans)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
