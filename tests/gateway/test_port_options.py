"""The ports that both programs listen on, where Kubernetes sets variables of the same names."""

from pathlib import Path

import click
import pytest

from sluicegate.cli.serve import serve
from sluicegate_operator.cli import run

LINK = "tcp://10.0.0.1:80"


def read(command: click.Command, option: str, *arguments: str) -> int:
    return command.make_context("command", list(arguments)).params[option]


@pytest.mark.parametrize(("option", "otherwise"), [("port", 4000), ("admin_port", 4001)])
def test_a_service_of_our_name_moves_no_port_of_a_gateway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, otherwise: int
) -> None:
    monkeypatch.setenv(f"SLUICEGATE_{option.upper()}", LINK)
    assert read(serve, option, f"--manifests={tmp_path}") == otherwise
    monkeypatch.setenv(f"SLUICEGATE_{option.upper()}", "8080")
    assert read(serve, option, f"--manifests={tmp_path}") == 8080


def test_nor_that_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_PORT", LINK)
    assert read(run, "port") == 4002


@pytest.mark.parametrize("port", ["-1", "65536", "http", "tcp"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(click.BadParameter, match="a port is a number from 0 to 65535"):
        read(run, "port", f"--port={port}")
