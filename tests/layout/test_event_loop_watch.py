"""The watch of tests/conftest.py sees our own code block the event loop, and only that."""

import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def read_a_file() -> str:
    return Path(__file__).read_text(encoding="utf-8")


def list_a_folder() -> list[str]:
    return os.listdir(ROOT)  # noqa: PTH208 - pathlib goes another way


def as_gateway_code(function: Callable[[], object]) -> Callable[[], object]:
    """Give the same function, as if it were written in the gateway's package."""
    assert isinstance(function, FunctionType)
    name = str(ROOT / "gateway" / "sluicegate" / "imagined.py")
    return FunctionType(function.__code__.replace(co_filename=name), function.__globals__)


@pytest.mark.parametrize("function", [read_a_file, list_a_folder])
async def test_a_blocking_call_of_the_gateway_fails(function: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=r"in the event loop, from .*imagined\.py"):
        as_gateway_code(function)()


async def test_a_tests_own_call_may_block() -> None:
    assert read_a_file().startswith('"""')


def test_outside_the_loop_the_gateway_may_block() -> None:
    assert str(as_gateway_code(read_a_file)()).startswith('"""')
