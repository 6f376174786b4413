"""Batches as objects, put by boto3 to a server that speaks S3's protocol."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from log_records import log_records
from sluicegate.sinks.sink import Sink, SinkRefused, SinkUnavailable
from sluicegate.sinks.urls import make_sink

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"


@dataclass
class Bucket:
    """What has been put, and what is answered."""

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    signed: list[str] = field(default_factory=list[str])
    status: int = 200
    code: str = ""

    async def put(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.signed.append(request.headers["authorization"])
        if self.status == 200:
            self.objects[request.path] = body
        text = f"<Error><Code>{self.code}</Code></Error>" if self.code else ""
        return web.Response(status=self.status, text=text, content_type="application/xml")


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    made = Bucket()
    app = web.Application()
    app.router.add_put("/{name:.*}", made.put)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield made
    await runner.cleanup()


async def sent(sink: Sink) -> None:
    try:
        await sink.send(log_records(3))
    finally:
        await sink.close()


async def test_each_batch_is_one_signed_object(bucket: Bucket) -> None:
    await sent(make_sink("s3://calls/of/today", {}))
    [(path, body)] = bucket.objects.items()
    assert re.fullmatch(r"/calls/of/today/\d{4}/\d\d/\d\d/\d{6}-[0-9a-f]{32}\.jsonl\.gz", path)
    lines = gzip.decompress(body).splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["gpt"] * 3
    [signature] = bucket.signed
    assert re.match(
        rf"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/\d{{8}}/eu-central-1/s3/", signature
    )


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (503, "SlowDown", SinkUnavailable),
        (500, "InternalError", SinkUnavailable),
        (403, "AccessDenied", SinkRefused),
        (404, "NoSuchBucket", SinkRefused),
    ],
)
async def test_what_an_error_means(
    bucket: Bucket, status: int, code: str, raised: type[Exception]
) -> None:
    bucket.status, bucket.code = status, code
    with pytest.raises(raised, match=f"{status} {code}"):
        await sent(make_sink("s3://calls", {}))


async def test_without_a_server_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with pytest.raises(SinkUnavailable, match="EndpointConnectionError"):
        await sent(make_sink("s3://calls", {}))
