"""Batches as objects, put by boto3 or inserted by Google's JSON API: one contract for both."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from log_records import log_records
from sluicegate.auth.upstream.google import access
from sluicegate.config import AmbientCredential
from sluicegate.sinks.gcs import GcsSink
from sluicegate.sinks.sink import Sink, SinkRefused, SinkUnavailable
from sluicegate.sinks.urls import make_sink

Kind: TypeAlias = Literal["s3", "gs"]
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
GONE = "http://127.0.0.1:1"


@dataclass
class Store:
    """A server of buckets: what has been put, and what is answered."""

    kind: Kind
    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    authorized: list[str] = field(default_factory=list[str])
    status: int = 200
    tokens: int = 0
    token_text: str = "token-of-the-test"
    wants: str = ""  # in the header that authorises

    @property
    def environ(self) -> Mapping[str, str]:
        """What a gateway that uses it is started with."""
        if self.kind == "gs":
            return {"STORAGE_EMULATOR_HOST": self.url}
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    async def put(self, request: web.Request) -> web.Response:
        """S3's PutObject."""
        bucket, _, name = request.path.lstrip("/").partition("/")
        return await self._take(request, bucket, name)

    async def insert(self, request: web.Request) -> web.Response:
        """Objects: insert, of Google's JSON API."""
        assert request.query["uploadType"] == "media"
        return await self._take(request, request.match_info["bucket"], request.query["name"])

    async def _take(self, request: web.Request, bucket: str, name: str) -> web.Response:
        body = await request.read()
        assert request.headers["content-type"] == "application/gzip"
        assert request.headers.get("content-encoding") != "gzip"
        self.authorized.append(request.headers.get("authorization", ""))
        if self.wants not in self.authorized[-1]:
            code = "InvalidAccessKeyId" if self.kind == "s3" else "Unauthorized"
            status = 403 if self.kind == "s3" else 401
            return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")
        if self.status != 200:
            return web.Response(status=self.status, text="<Error><Code>Why</Code></Error>")
        self.objects[f"{bucket}/{name}"] = body
        return web.Response()

    async def token(self, request: web.Request) -> web.Response:
        """Google's token endpoint."""
        await request.read()
        self.tokens += 1
        return web.json_response({"access_token": self.token_text, "expires_in": 3600})


@pytest.fixture(params=["s3", "gs"])
async def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    made = Store(request.param)
    app = web.Application()
    app.router.add_put("/{name:.*}", made.put)
    app.router.add_post("/upload/storage/v1/b/{bucket}/o", made.insert)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    yield made
    await runner.cleanup()


async def sent(sink: Sink) -> None:
    try:
        await sink.send(log_records(3))
    finally:
        await sink.close()


@pytest.mark.parametrize("prefix", ["", "/of/today", "/of/today/", "/a b+c&d%25é"])
async def test_each_batch_is_one_object(store: Store, prefix: str) -> None:
    sink = make_sink(f"{store.kind}://calls{prefix}", store.environ)
    assert sink.name == store.kind
    await sent(sink)
    [(name, body)] = store.objects.items()
    folder = f"calls{prefix.rstrip('/')}/"
    assert name.startswith(folder)
    rest = r"\d{4}/\d\d/\d\d/\d{6}-[0-9a-f]{32}\.jsonl\.gz"
    assert re.fullmatch(rest, name.removeprefix(folder))
    lines = gzip.decompress(body).splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["gpt"] * 3


async def test_batches_never_share_a_name(store: Store) -> None:
    sink = make_sink(f"{store.kind}://calls", store.environ)
    for _ in range(3):
        await sink.send(log_records(1))
    await sink.close()
    assert len(store.objects) == 3


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (503, SinkUnavailable),
        (500, SinkUnavailable),
        (429, SinkUnavailable),
        (403, SinkRefused),
        (404, SinkRefused),
    ],
)
async def test_what_an_error_means(store: Store, status: int, raised: type[Exception]) -> None:
    store.status = status
    with pytest.raises(raised, match=f"it answered {status}"):
        await sent(make_sink(f"{store.kind}://calls", store.environ))


async def test_without_a_server_it_is_unavailable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.url = GONE
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", GONE)
    with pytest.raises(SinkUnavailable, match=r"no (answer|connection): "):
        await sent(make_sink(f"{store.kind}://calls", store.environ))


# --- whose it is ------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_objects_of_s3_are_signed(store: Store) -> None:
    await sent(make_sink("s3://calls", {}))
    [signature] = store.authorized
    credential = rf"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/\d{{8}}/eu-central-1/s3/"
    assert re.match(credential, signature)


@pytest.mark.parametrize("store", ["gs"], indirect=True)
async def test_an_emulator_is_shown_no_token(store: Store) -> None:
    host = store.url.removeprefix("http://")
    await sent(make_sink("gs://calls", {"STORAGE_EMULATOR_HOST": host}))
    assert (store.authorized, store.tokens) == ([""], 0)


def account_file(store: Store, folder: Path) -> Path:
    """The credential file of a Google service account whose tokens the store gives."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "client_email": "gateway@example.com",
        "private_key": key.decode(),
        "token_uri": f"{store.url}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    return path


@pytest.mark.parametrize("store", ["gs"], indirect=True)
async def test_google_is_shown_the_token_of_the_gateways_own_identity(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account_file(store, tmp_path)))
    sink = GcsSink("calls", "", store.url, access(AmbientCredential()))
    for _ in range(2):
        await sink.send(log_records(1))
    await sink.close()
    assert store.authorized == ["Bearer token-of-the-test"] * 2
    assert store.tokens == 1
    assert "token-of-the-test" not in f"{sink!r} {vars(sink)!r}"


@pytest.mark.parametrize("store", ["gs"], indirect=True)
async def test_without_an_identity_records_wait_for_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "not-there.json"))
    sink = GcsSink("calls", "", store.url, access(AmbientCredential()))
    with pytest.raises(SinkUnavailable, match="Google credentials") as raised:
        await sent(sink)
    assert "spec.credentials" not in str(raised.value)
    assert store.authorized == []


@pytest.mark.parametrize("store", ["gs"], indirect=True)
async def test_a_token_that_google_refuses_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account_file(store, tmp_path)))
    sink = GcsSink("calls", "", store.url, access(AmbientCredential()))
    await sink.send(log_records(1))
    store.token_text = store.wants = "the-next-token"
    with pytest.raises(SinkUnavailable, match="it answered 401"):
        await sink.send(log_records(1))
    await sent(sink)
    assert store.tokens == 2
    assert len(store.objects) == 2


def shared_credentials(path: Path, access_key: str) -> None:
    path.write_text(f"[default]\naws_access_key_id={access_key}\naws_secret_access_key=secret\n")


@pytest.mark.parametrize("store", ["s3"], indirect=True)
async def test_credentials_in_a_file_may_come_late_and_be_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    sink = make_sink("s3://calls", {})
    with pytest.raises(SinkUnavailable, match="NoCredentialsError"):
        await sink.send(log_records(1))
    shared_credentials(path, "AKIATHEFIRST")
    await sink.send(log_records(1))
    store.wants = "AKIATHESECOND"
    with pytest.raises(SinkUnavailable, match="it answered 403 InvalidAccessKeyId"):
        await sink.send(log_records(1))
    shared_credentials(path, store.wants)
    await sent(sink)
    assert len(store.objects) == 2
