"""Calls that JSON can't say are refused before anything is sent, and not changed in silence."""

import math
from typing import Any, cast

import openai
import pytest
from click.testing import CliRunner

import sluicegate
from sluicegate.cli.responses import responses_command

ODD: dict[str, dict[str, Any]] = {
    "half a character": {"input": "\ud800"},
    "bytes": {"input": b"hi"},
    "bytes inside": {"input": [{"role": "user", "content": b"hi"}]},
    "no number": {"input": "hi", "temperature": math.nan},
    "infinite": {"input": "hi", "temperature": math.inf},
    "a hidden stream": {"input": "hi", "extra_body": {"stream": True}},
}


@pytest.mark.parametrize("arguments", ODD.values(), ids=ODD.keys())
def test_what_json_can_not_say(arguments: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        sluicegate.responses("echo/x", **arguments)


def test_a_model_that_is_no_name() -> None:
    with pytest.raises(openai.OpenAIError, match="must be a string"):
        sluicegate.responses(cast("str", None), "x")


def test_a_command_without_a_question() -> None:
    result = CliRunner().invoke(responses_command, ["echo/x"], input="")
    assert result.exit_code == 2
    assert "TEXT" in result.output
