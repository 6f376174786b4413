"""The Valkey of a release: its arguments before a real server, and the URL that gateways get."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from eventually import eventually
from free_ports import free_ports
from helm_chart import VALUES, rendered
from valkey_process import SERVER, ValkeyProcess

PASSWORD = "Word0of1the2tests"


def named(found: list[Any], kind: str, name: str) -> dict[str, Any]:
    (one,) = (each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return one["spec"]


def container(spec: dict[str, Any]) -> dict[str, Any]:
    (only,) = spec["template"]["spec"]["containers"]
    return only


def url_in(env: list[dict[str, Any]]) -> str:
    """As a kubelet puts it together: a variable is put in only where it stands before."""
    names = [one["name"] for one in env]
    assert names.index("VALKEY_PASSWORD") < names.index("SLUICEGATE_LIMITS_URL")
    url: str = env[names.index("SLUICEGATE_LIMITS_URL")]["value"]
    return url.replace("$(VALKEY_PASSWORD)", PASSWORD)


@pytest.fixture
def port() -> Iterator[int]:
    with free_ports(1) as (free,):
        yield free


@pytest.mark.skipif(SERVER is None, reason="no valkey-server and no redis-server here")
async def test_gateways_and_operator_are_let_in_and_nobody_else(tmp_path: Path, port: int) -> None:
    program = SERVER
    assert program is not None
    found = await asyncio.to_thread(rendered, VALUES["valkey"])
    inside = {"/data": str(tmp_path), "$(VALKEY_PASSWORD)": PASSWORD}
    given = container(named(found, "StatefulSet", "sluicegate-valkey"))["args"]
    arguments = [inside.get(str(one), str(one)) for one in given]
    process = await asyncio.create_subprocess_exec(
        program,
        *(*arguments, "--bind", "127.0.0.1", "--port", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    server = ValkeyProcess(port, tmp_path, process)

    async def refuses() -> bool:
        try:
            return (await server.command("PING")).startswith("-NOAUTH")
        except OSError:
            return False

    try:
        await eventually(refuses)
        (service,) = named(found, "Service", "sluicegate-valkey")["ports"]
        for role in ("gateway", "operator"):
            env = container(named(found, "Deployment", f"sluicegate-{role}"))["env"]
            url = urlsplit(url_in(env))
            assert (url.scheme, url.hostname, url.path) == ("redis", "sluicegate-valkey", "/0")
            assert url.port == service["port"]
            assert await server.command("AUTH", str(url.password)) == "+OK"
    finally:
        await server.kill()
