"""`import sluicegate` loads next to nothing, and the gateway never loads the SDK's packages."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType

import pytest

import sluicegate

HEAVY = (
    *("openai", "httpx2", "pydantic", "aiohttp", "asyncio", "msgspec", "genai_prices", "click"),
    *("sluicegate.sdk", "sluicegate.config", "sluicegate.providers"),
)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(code: str) -> set[str]:
    return set(run(f"{code}\nimport sys\nprint(*sys.modules)").split())


def test_the_package_alone() -> None:
    assert not loaded_after("import sluicegate; dir(sluicegate)") & set(HEAVY)


@pytest.mark.parametrize(
    "module",
    [
        "sluicegate.server.process",
        "sluicegate.pipeline.serve",
        "sluicegate.providers",
        "sluicegate.cli.serve",
        "sluicegate.cli.responses",
    ],
)
def test_the_gateway_does_not_load_the_sdk(module: str) -> None:
    assert not loaded_after(f"import {module}") & {"openai", "sluicegate.sdk"}


def test_the_names_of_the_package() -> None:
    assert isinstance(sluicegate.responses, FunctionType)
    assert isinstance(sluicegate.aresponses, FunctionType)
    assert set(sluicegate.__all__) <= set(dir(sluicegate))
    with pytest.raises(AttributeError, match="no attribute 'response'"):
        _ = getattr(sluicegate, "response")  # noqa: B009 - the name is not there, which is the point


WITHOUT = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name: None if name == "openai" else find(name)
import sluicegate
try:
    sluicegate.responses
except ImportError as error:
    print(error)
try:
    from sluicegate import aresponses
except ImportError as error:
    print(error)
"""


def test_a_call_without_the_extra() -> None:
    said = run(WITHOUT)
    assert said.count("pip install 'sluicegate[sdk]'") == 2


def test_the_command_without_the_extra() -> None:
    command = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name: None if name == "openai" else find(name)
from click.testing import CliRunner
from sluicegate.cli import main
print(CliRunner().invoke(main, ["--help"]).output)
done = CliRunner().invoke(main, ["responses", "echo/any", "hi"])
print(done.exit_code, done.output)
"""
    said = run(command)
    assert "Ask MODEL" in said
    assert "1 Error: sluicegate's Python calls need" in said


def test_a_forked_process_calls_anew() -> None:
    code = """
import os, warnings, sluicegate
def ask():
    return sluicegate.responses("echo/any", "hello").output_text
assert ask() == "hello"
child = os.fork()
if child == 0:
    os._exit(0 if ask() == "hello" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code).strip() == "0"
