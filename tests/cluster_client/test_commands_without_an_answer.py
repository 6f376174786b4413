"""What a person is told whose kubeconfig leads to something that is no API server of theirs."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scripted_api_server import ScriptedApiServer
from scripted_upstream import Script, answers
from sluicegate.cli.explain import command as explain
from sluicegate.cli.status import status

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: home
contexts: [{{name: home, context: {{cluster: home, user: me, namespace: default}}}}]
clusters: [{{name: home, cluster: {{server: "{server}"}}}}]
users: [{{name: me, user: {{token: sk-secret-token}}}}]
"""
PAGE = b'{"metadata": {"resourceVersion": "1"}, "items": [%b]}'


async def told(server: ScriptedApiServer, folder: Path, script: Script, *arguments: str) -> str:
    """What both commands say in one line; they end with 1."""
    server.upstream.script = script
    path = folder / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=server.access().server))

    def run() -> Result:
        asked = explain if arguments else status
        return CliRunner().invoke(asked, [*arguments, f"--kubeconfig={path}"])

    result = await asyncio.to_thread(run)
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "secret" not in result.output
    assert len(result.output.splitlines()) == 1
    return result.output


@pytest.mark.parametrize("arguments", [(), ("gpt",)], ids=["status", "explain"])
@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b"null", PAGE % b"1", PAGE % b'{"metadata": {"name": 5}}'],
)
async def test_what_is_no_answer_of_kubernetes_is_told_with_its_server(
    server: ScriptedApiServer, tmp_path: Path, body: bytes, arguments: tuple[str, ...]
) -> None:
    said = await told(server, tmp_path, answers(body), *arguments)
    assert said.startswith(f"Error: {server.access().server}: ")
