"""Google's access tokens: from every kind of credential, shared, renewed in time, off the loop.

Google's servers are stood in for by one on loopback; google-auth itself is the real one.
"""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from event_grammar import JsonObject
from sluicegate.auth.upstream import Authorizer, CredentialFailed
from sluicegate.auth.upstream.google import GoogleAuthorizer
from sluicegate.config import AmbientCredential, GoogleCredential
from sluicegate.providers.contract import GoogleToken, UpstreamCall

LIFE = 3599
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class TokenServer:
    """Answers token requests; `gate` holds them back, `answer` says what comes."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.status = 200
        self.answer: Callable[[int], JsonObject] = lambda number: {
            "access_token": f"token-{number}",
            "expires_in": LIFE,
            "token_type": "Bearer",
        }
        self.url = ""

    def reply(self, path: str, body: bytes) -> tuple[int, bytes]:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.asked.append((path, form))
        self.arrived.set()
        assert self.gate.wait(10)
        return self.status, json.dumps(self.answer(len(self.asked))).encode()


@contextmanager
def serving() -> Generator[TokenServer]:
    made = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.respond(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self.respond(b"")

        def respond(self, body: bytes) -> None:
            status, answer = made.reply(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Metadata-Flavor", "Google")
            if status in {301, 302, 307}:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def service_account(server: TokenServer, private_key: str) -> GoogleCredential:
    return GoogleCredential(json.dumps(service_account_file(server, private_key)))


def service_account_file(server: TokenServer, private_key: str) -> JsonObject:
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": private_key,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }


class Clock:
    """Unix seconds that a test can move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def calling(
    credential: GoogleCredential | AmbientCredential, *headers: tuple[bytes, bytes]
) -> UpstreamCall:
    return UpstreamCall("http://x", "POST", "/", headers, b"", GoogleToken(credential))


async def token(authorizer: GoogleAuthorizer, credential: GoogleCredential) -> str:
    headers = await authorizer.headers(calling(credential), GoogleToken(credential))
    return dict(headers)[b"authorization"].decode()


async def failure(credential: GoogleCredential | AmbientCredential) -> str:
    with pytest.raises(CredentialFailed) as caught:
        await GoogleAuthorizer().headers(calling(credential), GoogleToken(credential))
    return str(caught.value)


def refusing(_: int) -> JsonObject:
    return {"error": "invalid_grant", "error_description": "secret-words"}


async def until(ask: Callable[[], Awaitable[str]], wanted: str) -> None:
    """Ask again and again; what answers is another thread, which tells nobody."""
    async with asyncio.timeout(10):
        answer = await ask()
        while answer != wanted:
            await asyncio.sleep(0.01)
            answer = await ask()


def claims(assertion: str) -> Any:  # noqa: ANN401 - any JSON value
    part = assertion.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# ----------------------------------------------------------------------------------------- kinds


async def test_a_service_account(server: TokenServer, service_account: GoogleCredential) -> None:
    call = calling(service_account)
    authorizer = Authorizer()
    headers = await authorizer.headers(call)
    assert headers == ((b"authorization", b"Bearer token-1"),)
    assert await authorizer.headers(call) is headers
    ((path, form),) = server.asked
    assert (path, form["grant_type"]) == ("/token", "urn:ietf:params:oauth:grant-type:jwt-bearer")
    said = claims(form["assertion"])
    assert (said["scope"], said["iss"]) == (SCOPE, "robot@p.iam.gserviceaccount.com")


async def test_workload_identity_federation(server: TokenServer, tmp_path: Path) -> None:
    subject = tmp_path / "subject"
    subject.write_text("the-pods-own-token")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server.url}/sts",
        "credential_source": {"file": str(subject)},
    }
    server.answer = lambda number: {
        "access_token": f"federated-{number}",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "expires_in": LIFE,
        "token_type": "Bearer",
    }
    credential = GoogleCredential(json.dumps(info))
    assert await token(GoogleAuthorizer(), credential) == "Bearer federated-1"
    assert server.asked[0][1]["subject_token"] == "the-pods-own-token"


async def test_a_file_that_the_environment_names(
    server: TokenServer, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(service_account_file(server, private_key)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "billing")
    authorizer, wanted = GoogleAuthorizer(), GoogleToken(AmbientCredential())
    headers = await authorizer.headers(calling(AmbientCredential()), wanted)
    assert headers == (
        (b"authorization", b"Bearer token-1"),
        (b"x-goog-user-project", b"billing"),
    )
    own = calling(AmbientCredential(), (b"x-goog-user-project", b"other"))
    assert await authorizer.headers(own, wanted) == headers[:1]
    assert len(server.asked) == 1


METADATA = """
import asyncio, sys
from sluicegate.auth.upstream.google import GoogleAuthorizer
from sluicegate.config import AmbientCredential
from sluicegate.providers.contract import GoogleToken, UpstreamCall
wanted = GoogleToken(AmbientCredential())
call = UpstreamCall("http://x", "POST", "/", (), b"", wanted)
headers = asyncio.run(GoogleAuthorizer().headers(call, wanted))
print(dict(headers)[b"authorization"].decode())
"""


def test_the_metadata_server(server: TokenServer, tmp_path: Path) -> None:
    """What GKE gives a pod. google-auth reads the server's name when it is imported."""
    token_answer = server.answer
    server.answer = lambda number: {
        **token_answer(number),
        "email": "robot@p",
        "scopes": [SCOPE],
    }
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", METADATA],
        env={
            "PYTHONPATH": str(root / "gateway"),
            "GCE_METADATA_HOST": server.url.removeprefix("http://"),
            "GCE_METADATA_IP": server.url.removeprefix("http://"),
            "GOOGLE_CLOUD_PROJECT": "p",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (run.stdout, run.stderr) == (f"Bearer token-{len(server.asked)}\n", "")
    assert all(path.startswith("/") for path, _ in server.asked)
    assert "service-accounts/default/token" in server.asked[-1][0]


# ----------------------------------------------------------------------------------------- sharing


async def test_many_requests_wait_for_one_token(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    server.gate.clear()
    authorizer = GoogleAuthorizer()
    waiting = [asyncio.create_task(token(authorizer, service_account)) for _ in range(50)]
    await asyncio.to_thread(server.arrived.wait, 10)
    ticks = 0
    while ticks < 10:  # the loop goes on meanwhile
        await asyncio.sleep(0)
        ticks += 1
    server.gate.set()
    assert set(await asyncio.gather(*waiting)) == {"Bearer token-1"}
    assert len(server.asked) == 1


async def test_whoever_leaves_does_not_stop_it(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    server.gate.clear()
    authorizer = GoogleAuthorizer()
    first = asyncio.create_task(token(authorizer, service_account))
    await asyncio.to_thread(server.arrived.wait, 10)
    second = asyncio.create_task(token(authorizer, service_account))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.gate.set()
    assert await second == "Bearer token-1"
    assert len(server.asked) == 1


async def test_each_credential_has_its_own(server: TokenServer, private_key: str) -> None:
    files = [
        {**service_account_file(server, private_key), "client_email": f"{name}@p"} for name in "ab"
    ]
    authorizer = GoogleAuthorizer()
    credentials = [GoogleCredential(json.dumps(each)) for each in files]
    for each in (*credentials, *credentials):
        await token(authorizer, each)
    assert [claims(form["assertion"])["iss"] for _, form in server.asked] == ["a@p", "b@p"]


async def test_a_token_is_renewed_before_it_ends(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    clock = Clock()
    authorizer = GoogleAuthorizer(clock)
    assert await token(authorizer, service_account) == "Bearer token-1"
    clock.ahead = LIFE / 2
    assert await token(authorizer, service_account) == "Bearer token-1"
    assert len(server.asked) == 1
    server.gate.clear()
    server.arrived.clear()
    clock.ahead = LIFE - 300
    assert await token(authorizer, service_account) == "Bearer token-1"  # and asks for the next
    await asyncio.to_thread(server.arrived.wait, 10)
    assert await token(authorizer, service_account) == "Bearer token-1"
    server.gate.set()
    await until(lambda: token(authorizer, service_account), "Bearer token-2")
    assert len(server.asked) == 2


async def test_a_failing_renewal_does_not_hurt_while_the_token_holds(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    clock = Clock()
    authorizer = GoogleAuthorizer(clock)
    await token(authorizer, service_account)
    server.status, server.answer = 400, refusing
    server.arrived.clear()
    clock.ahead = LIFE - 300
    assert await token(authorizer, service_account) == "Bearer token-1"
    await asyncio.to_thread(server.arrived.wait, 10)
    assert await token(authorizer, service_account) == "Bearer token-1"
    clock.ahead = LIFE + 10
    with pytest.raises(CredentialFailed, match="invalid_grant"):
        await token(authorizer, service_account)


# ---------------------------------------------------------------------------------------- failures


async def test_what_went_wrong_is_told_without_secrets(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    server.status, server.answer = 400, refusing
    said = await failure(service_account)
    assert said == "getting a Google access token failed: RefreshError, invalid_grant"
    assert "PRIVATE KEY" not in repr(service_account)


async def test_redirects_are_not_followed(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    server.status = 307
    assert "failed" in await failure(service_account)
    assert {path for path, _ in server.asked} == {"/token"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the JSON"),
        ("[]", "not the JSON"),
        ("{", "not the JSON"),
        ("{}", "must be of type"),
        ('{"type": 5}', "must be of type"),
        ('{"type": "external_account of AWS"}', "failed"),
        ('{"type": "service_account"}', "failed"),
        ('{"type": "service_account", "private_key": "x", "client_email": "a"}', "failed"),
        ('{"type": "external_account", "credential_source": {"executable": {}}}', "failed"),
    ],
)
async def test_files_that_are_none(text: str, words: str) -> None:
    assert words in await failure(GoogleCredential(text))


async def test_a_token_that_no_header_can_hold(
    server: TokenServer, service_account: GoogleCredential
) -> None:
    server.answer = lambda _: {"access_token": "a\r\nb: c", "expires_in": LIFE}
    assert "no token" in await failure(service_account)


async def test_no_identity_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    assert "spec.credentials" in await failure(AmbientCredential())


async def test_google_auth_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth.exceptions", None)
    said = await failure(GoogleCredential("{}"))
    assert said == "google-auth is not installed: pip install 'sluicegate[google]'"


def test_a_gateway_without_vertex_does_not_load_it() -> None:
    root = Path(__file__).resolve().parents[2]
    script = (
        "import sys, sluicegate.cli.serve, sluicegate.auth.upstream.google, sluicegate.providers\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'google', 'requests'}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(root / "gateway")},
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    assert run.stdout == "[]\n"
