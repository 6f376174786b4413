"""What the command makes of its options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sluicegate.cluster import Access
from sluicegate_operator import cli
from sluicegate_operator.process import OperatorSettings

KUBECONFIG = """
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
"""


def test_a_namespace_that_is_named_twice_is_watched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else kopf, which watches it once, would be thought to have lost a watch."""
    taken: list[OperatorSettings] = []

    async def take(settings: OperatorSettings, _: Access) -> None:
        taken.append(settings)

    monkeypatch.setattr(cli, "run_operator", take)
    monkeypatch.setattr(cli.logs, "configure", str)  # the log of all tests after this stays theirs
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG)
    environ = {"KUBECONFIG": str(kubeconfig), "SLUICEGATE_WATCH_NAMESPACE": "b a b"}
    ended = CliRunner().invoke(cli.main, ["run"], env=environ)
    assert ended.exit_code == 0, ended.output
    assert taken[0].scope.namespaces == ("b", "a")
