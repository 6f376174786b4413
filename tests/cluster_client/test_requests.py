"""Requests to a server that misbehaves: typed errors, and no credential in any of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme
import uvloop

from scripted_api_server import ScriptedApiServer, item, refuses
from scripted_upstream import Call, ScriptedUpstream, answers, hangs, in_turn
from sluicegate.cluster import (
    SECRETS,
    Access,
    AlreadyExists,
    ApiStatusError,
    ClusterClient,
    ClusterError,
    ClusterSecret,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    GarbledAnswer,
    Gone,
    Invalid,
    Metadata,
    NotFound,
    Selection,
    Token,
    Unauthorized,
)

TOKEN = "very-secret-token"


async def get(client: ClusterClient) -> Metadata:
    return await client.get(SECRETS, "a", Metadata, namespace="ns")


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", ApiStatusError),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", ApiStatusError),
        (500, "InternalError", ApiStatusError),
    ],
)
async def test_each_status_has_its_kind(
    server: ScriptedApiServer, client: ClusterClient, code: int, reason: str, kind: type[Exception]
) -> None:
    server.upstream.script = refuses(code, reason, **{"Retry-After": "7"})
    with pytest.raises(ApiStatusError) as raised:
        await get(client)
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.reason) == (code, reason)
    assert raised.value.message == "as scripted"
    assert raised.value.retry_after == 7


async def test_a_proxys_page_is_a_refusal_too(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    server.upstream.script = answers(b"<html>" + b"x" * 5000, 502)
    with pytest.raises(ApiStatusError, match="502 Unknown: <html>x") as raised:
        await get(client)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"metadata":{"name":5}}'])
async def test_an_answer_that_is_no_object(
    server: ScriptedApiServer, client: ClusterClient, body: bytes
) -> None:
    server.upstream.script = answers(body)
    with pytest.raises(GarbledAnswer, match=r"GET /api/v1/namespaces/ns/secrets/a: "):
        await get(client)


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"metadata":{},"items":5}', DEEP, b'{"items":%b}' % DEEP],
    ids=lambda body: str(body[:20]),
)
async def test_an_answer_that_is_no_list(
    server: ScriptedApiServer, client: ClusterClient, body: bytes
) -> None:
    server.upstream.script = answers(body)
    with pytest.raises(GarbledAnswer, match=r"GET /api/v1/namespaces/ns/secrets: "):
        async for _ in client.pages(SECRETS, Selection("ns")):
            pass


async def reset(call: Call) -> None:
    call.reset()


async def half_an_answer(call: Call) -> None:
    call.head(200, [("Content-Length", "100")])
    call.write(b"{")
    call.close()


@pytest.mark.parametrize("script", [reset, half_an_answer, hangs()])
async def test_no_answer(server: ScriptedApiServer, script: object) -> None:
    server.upstream.script = script  # pyright: ignore[reportAttributeAccessIssue] -- pytest types no parameters
    async with ClusterClient(server.access(), timeout=0.2) as client:
        with pytest.raises(ClusterUnreachable, match=r"GET /api/v1/namespaces/ns/secrets/a: "):
            await get(client)


async def test_a_redirect_is_no_way_to_get_the_token(server: ScriptedApiServer) -> None:
    async def elsewhere(call: Call) -> None:
        call.answer(b"", 307, [("Location", f"http://127.0.0.1:{other.port}/")])

    other = ScriptedUpstream(answers(b"{}"))
    server.upstream.script = elsewhere
    async with (
        other.listening(),
        ClusterClient(server.access(Token(TOKEN))) as client,
    ):
        with pytest.raises(ApiStatusError, match="307"):
            await get(client)
        assert not other.calls


async def test_a_token_that_has_rotated_is_read_anew(
    server: ScriptedApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    async with ClusterClient(server.access(await asyncio.to_thread(Token, path=file))) as client:
        server.upstream.script = in_turn(
            answers(item("a", 1)), refuses(401, "Unauthorized"), answers(item("a", 2))
        )
        await get(client)
        file.write_text("new\n")
        assert (await get(client)).metadata.resource_version == "2"
    sent = [call.header("authorization") for call in server.upstream.calls]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_stays_refused_is_not_tried_for_ever(
    server: ScriptedApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    server.upstream.script = refuses(401, "Unauthorized")
    async with ClusterClient(server.access(await asyncio.to_thread(Token, path=file))) as client:
        with pytest.raises(Unauthorized):
            await get(client)
        file.unlink()  # as a pod ends
        with pytest.raises(Unauthorized):
            await get(client)
    assert len(server.upstream.calls) == 2


async def test_credentials_are_told_to_nobody(
    server: ScriptedApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    access = server.access(Token(TOKEN))
    said = [repr(access), repr(access.token), repr(ClusterSecret(data={"key": TOKEN.encode()}))]
    async with ClusterClient(access, timeout=0.2) as client:
        said.append(repr(vars(client)))
        for script in (reset, hangs(), refuses(401), answers(b"{")):
            server.upstream.script = script
            with pytest.raises(ClusterError) as raised:
                await get(client)
            said += [repr(raised.value), str(raised.value), repr(raised.value.__context__)]
    assert server.upstream.last.header("authorization") == f"Bearer {TOKEN}"
    assert TOKEN not in "\n".join([*said, *caplog.messages])


async def test_only_a_server_of_the_right_authority_gets_the_token() -> None:
    theirs, ours = trustme.CA(), trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    upstream = ScriptedUpstream(answers(item("a", 1)))
    trusting = ssl.create_default_context()
    async with upstream.listening(serving):
        url = f"https://127.0.0.1:{upstream.port}"
        for authority, trusted in ((ours, False), (theirs, True)):
            authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
            access = Access(url, "ns", trusting, token=Token(TOKEN))
            async with ClusterClient(access) as client:
                if trusted:
                    await get(client)
                else:
                    with pytest.raises(ClusterUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
                        await get(client)
                    assert not upstream.calls


@pytest.mark.parametrize("left", ["a watch", "a request"])
def test_closing_waits_for_no_farewell_of_a_server_that_stands_still(left: str) -> None:
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    begun, ended = threading.Event(), threading.Event()

    def stand_still(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with serving.wrap_socket(connection, server_side=True) as stream:
            stream.recv(1 << 16)
            if left == "a watch":
                stream.sendall(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"
                )
            begun.set()
            ended.wait(60)

    async def leave(url: str) -> None:
        async with ClusterClient(Access(url, "ns", trusting, token=Token(TOKEN))) as client:
            if left == "a watch":
                watch = client.watch(SECRETS, Selection("ns"), "1", seconds=60, idle=60)
                async with watch as lines:
                    assert await anext(lines) == [b"{}"]
            else:
                request = asyncio.create_task(get(client))
                assert await asyncio.to_thread(begun.wait, 60)
                request.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await request

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=stand_still, args=(listener,))
        server.start()
        try:
            # uvloop refuses to be closed while a connection says farewell.
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(leave(f"https://127.0.0.1:{listener.getsockname()[1]}"))
        finally:
            ended.set()
            server.join()
