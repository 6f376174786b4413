"""Where the client finds its server and identity, and how it says what is missing."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from scripted_api_server import item
from scripted_upstream import ScriptedUpstream, answers
from sluicegate.cluster import (
    SECRETS,
    Access,
    AccessError,
    ClusterClient,
    ClusterUnreachable,
    Metadata,
    load_access,
)

SERVER = "https://127.0.0.1:6443"
SECRET = "very-secret"


def write(
    path: Path,
    user: Mapping[str, object],
    cluster: Mapping[str, object] | None = None,
    namespace: str = "team",
) -> Path:
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    config: dict[str, Any] = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": context}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return path


async def loaded(*paths: Path) -> Access:
    environ = {"KUBECONFIG": os.pathsep.join(map(str, paths))}
    return await asyncio.to_thread(load_access, environ)


async def test_a_token_of_a_kubeconfig(tmp_path: Path) -> None:
    access = await loaded(write(tmp_path / "config", {"token": SECRET}))
    assert (access.server, access.namespace) == (SERVER, "team")
    assert await access.token.current() == SECRET
    assert SECRET not in repr(access)


async def test_a_token_file_is_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    access = await loaded(write(tmp_path / "config", {"tokenFile": "token", "token": "other"}))
    assert await access.token.current() == SECRET


async def test_of_several_files_the_first_word_holds(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(json.dumps({"users": [{"name": "u", "user": {"token": "first"}}]}))
    access = await loaded(users, write(tmp_path / "config", {"token": "second"}))
    assert await access.token.current() == "first"


@pytest.mark.parametrize("inline", [True, False], ids=["in the file", "in files"])
async def test_a_client_certificate_is_presented(tmp_path: Path, *, inline: bool) -> None:
    ca = trustme.CA()
    mine = ca.issue_cert("me")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    ca.configure_trust(serving)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    serving.verify_mode = ssl.CERT_REQUIRED

    def given(name: str, content: bytes) -> dict[str, str]:
        if inline:
            return {f"{name}-data": base64.b64encode(content).decode()}
        (tmp_path / name).write_bytes(content)
        return {name: name}

    upstream = ScriptedUpstream(answers(item("a", 1)))
    async with upstream.listening(serving):
        cluster = {
            "server": f"https://127.0.0.1:{upstream.port}/",
            **given("certificate-authority", ca.cert_pem.bytes()),
        }
        user = {
            **given("client-certificate", mine.cert_chain_pems[0].bytes()),
            **given("client-key", mine.private_key_pem.bytes()),
        }
        async with ClusterClient(await loaded(write(tmp_path / "config", user, cluster))) as client:
            await client.get(SECRETS, "a", Metadata, namespace="ns")
        async with ClusterClient(await loaded(write(tmp_path / "config", {}, cluster))) as client:
            with pytest.raises(ClusterUnreachable):
                await client.get(SECRETS, "a", Metadata, namespace="ns")


async def test_the_name_in_the_certificate_may_be_another(tmp_path: Path) -> None:
    ca = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("kubernetes.test").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType] (pyOpenSSL's type)
    upstream = ScriptedUpstream(answers(item("a", 1)))
    async with upstream.listening(serving):
        cluster: dict[str, object] = {
            "server": f"https://127.0.0.1:{upstream.port}",
            "certificate-authority-data": base64.b64encode(
                "# the CA of Köln\n".encode() + ca.cert_pem.bytes()
            ).decode(),
        }
        for more, fits in (
            ({}, False),
            ({"tls-server-name": "kubernetes.test"}, True),
            ({"insecure-skip-tls-verify": True}, True),
        ):
            path = write(tmp_path / "config", {}, {**cluster, **more})
            async with ClusterClient(await loaded(path)) as client:
                if fits:
                    await client.get(SECRETS, "a", Metadata, namespace="ns")
                else:
                    with pytest.raises(ClusterUnreachable):
                        await client.get(SECRETS, "a", Metadata, namespace="ns")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {"command": "aws"}}, "user 'u' uses 'exec', which Sluicegate does not support"),
        ({"auth-provider": {"name": "gcp"}}, "uses 'auth-provider'"),
        ({"username": "me", "password": SECRET}, "uses 'username'"),
        ({"token": SECRET, "as": "root"}, "uses 'as'"),
        ({"client-certificate-data": "AAAA"}, "needs its key"),
        ({"client-key-data": f"{SECRET}!"}, "is not base64"),
        (
            {"client-key-data": "AAAA", "client-certificate-data": "AAAA"},
            "config: ",
        ),
        ({"tokenFile": "absent"}, "No such file"),
        ({"token": [SECRET]}, "token"),
        ({"token": f"{SECRET}\nx"}, "not ASCII text in one line"),
        ({"client-key-data": "é"}, "is not base64"),
    ],
)
async def test_what_a_user_cannot_be(tmp_path: Path, user: dict[str, object], words: str) -> None:
    path = write(tmp_path / "config", user)
    with pytest.raises(AccessError, match=words) as raised:
        await loaded(path)
    assert str(path) in str(raised.value)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no current-context"),
        ("current-context: x", "context 'x' is not there"),
        (f"a: b\ntoken: '{SECRET}\n", "not YAML"),
        ("[1]", "Expected `object`"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]", "cluster 'c'"),
    ],
)
async def test_what_a_kubeconfig_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(AccessError, match=words) as raised:
        await loaded(path)
    assert SECRET not in str(raised.value)


async def test_a_server_needs_its_scheme(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="has no http"):
        await loaded(write(tmp_path / "config", {}, {"server": "127.0.0.1:6443"}))


async def test_a_proxy_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="proxy-url"):
        await loaded(write(tmp_path / "config", {}, {"proxy-url": "http://127.0.0.1:1"}))


def mount(folder: Path, *, token: str = SECRET) -> Path:
    trustme.CA().cert_pem.write_to_path(str(folder / "ca.crt"))
    (folder / "namespace").write_text("sluicegate\n")
    (folder / "token").write_text(token)
    return folder


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
async def test_the_service_account_of_a_pod(tmp_path: Path, host: str, url: str) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    access = await asyncio.to_thread(load_access, environ, mount(tmp_path))
    assert (access.server, access.namespace) == (url, "sluicegate")
    assert access.tls is not None
    assert access.tls.verify_mode == ssl.CERT_REQUIRED
    assert len(access.tls.get_ca_certs()) == 1
    assert await access.token.current() == SECRET


def test_neither_kubeconfig_nor_pod(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="neither KUBECONFIG is set nor is this a pod"):
        load_access({}, mount(tmp_path))


def test_a_pod_without_its_token(tmp_path: Path) -> None:
    (mount(tmp_path) / "token").unlink()
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(AccessError, match="token"):
        load_access(environ, tmp_path)


def test_a_token_that_is_none(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(AccessError, match="not ASCII") as raised:
        load_access(environ, mount(tmp_path, token=f"{SECRET}é"))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("content", [f"{SECRET}\nanother", f"{SECRET}é", "\0", ""])
async def test_a_token_that_becomes_none_is_not_taken_up(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(SECRET)
    access = await loaded(write(tmp_path / "config", {"tokenFile": "token"}))
    (tmp_path / "token").write_text(content)
    assert await access.token.current(fresh=True) == SECRET
