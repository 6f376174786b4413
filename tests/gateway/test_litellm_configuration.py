"""`sluicegate serve --litellm-config`: the command itself, an upstream, an edit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from pathlib import Path

from eventually import eventually
from gateway_rig import Rig
from raw_client import Answer, RawClient, request
from responses_wire import answer_body
from scripted_upstream import answers

MASTER_KEY = "sk-1234"  # as LiteLLM's own pages have it


def configuration(base_url: str, *models: str) -> str:
    entries = "".join(
        f"- model_name: {model}\n"
        "  litellm_params:\n"
        f"    model: openai/responses/{model}-upstream\n"
        f"    api_base: {base_url}\n"
        "    api_key: os.environ/UPSTREAM_KEY\n"
        for model in models
    )
    return f"model_list:\n{entries}general_settings:\n  master_key: os.environ/MASTER_KEY\n"


@contextlib.asynccontextmanager
async def serving(config: Path) -> AsyncGenerator[int]:
    """The command in a process of its own; gives its public port."""
    arguments = ["serve", "--litellm-config", str(config), "--port", "0", "--admin-port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from sluicegate.cli import main; main()",
        *arguments,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "UPSTREAM_KEY": "sk-for-the-upstream",
            "MASTER_KEY": MASTER_KEY,
        },
        stderr=PIPE,
    )
    log: list[str] = []
    try:
        async with asyncio.timeout(60):
            port = await _port(process, log)
        yield port
        assert "sk-for-the-upstream" not in "".join(log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _port(process: Process, log: list[str]) -> int:
    assert process.stderr is not None
    async for line in process.stderr:
        log.append(line.decode())
        found = re.search(r"serves .* at http://127\.0\.0\.1:(\d+)/v1", log[-1])
        if found is not None:
            return int(found[1])
    raise AssertionError(log)


async def ask(port: int, model: str, key: str = MASTER_KEY) -> Answer:
    body = json.dumps({"model": model, "input": "hi"}).encode()
    async with await RawClient.open(port) as client:
        client.send(request(body, {"Authorization": f"Bearer {key}"}))
        return await client.answer()


async def test_an_edit_is_served_and_a_bad_one_is_not(rig: Rig, tmp_path: Path) -> None:
    upstream = await rig.upstream(answers(answer_body("hello")))
    config = tmp_path / "config.yaml"
    _write(config, configuration(upstream.base_url, "first"))
    async with serving(config) as port:
        served = await ask(port, "first")
        assert (served.status, served.body) == (200, answer_body("hello"))
        assert upstream.last.header("authorization") == "Bearer sk-for-the-upstream"
        assert upstream.last.json()["model"] == "first-upstream"
        assert (await ask(port, "first", "sk-another")).status == 401
        assert (await ask(port, "second")).status == 400

        async def is_served(model: str = "second") -> bool:
            return (await ask(port, model)).status == 200

        _write(config, configuration(upstream.base_url, "first", "second"))
        await eventually(is_served)
        _write(config, "model_list: [\n")
        await asyncio.sleep(0.5)  # long enough for it to be noticed
        assert await is_served("first")
        assert await is_served()
        _write(config, configuration(upstream.base_url, "second"))

        async def is_gone() -> bool:
            return (await ask(port, "first")).status == 400

        await eventually(is_gone)
        assert await is_served()


def _write(path: Path, text: str) -> None:
    path.write_text(text)
