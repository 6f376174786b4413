"""`sluicegate responses`: text on standard output, tokens and cost on standard error."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

import spoken_wires
from responses_wire import frames
from scripted_upstream import answers, hangs, streams
from served_upstream import Served
from sluicegate.cli import main
from spoken_wires import responses_stream

MODEL = "openai/o1-pro"


@pytest.fixture(autouse=True)
def _environment(upstream: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.origin}/v1")


def run(*arguments: str, stdin: str = "") -> Result:
    done = CliRunner().invoke(main, ["responses", *arguments], input=stdin)
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert "sk-secret" not in done.output
    return done


def test_an_answer(upstream: Served) -> None:
    upstream.says(spoken_wires.openai)
    done = run(MODEL, "hi", "--effort", "low", "--instructions", "be brief")
    assert done.exit_code == 0
    assert done.stdout == "Hello there\n"
    assert done.stderr == "o1-pro: 20 input + 9 output tokens, $0.0084\n"
    assert upstream.last.json() == {
        "model": "o1-pro",
        "input": "hi",
        "instructions": "be brief",
        "reasoning": {"effort": "low"},
        "stream": True,
    }


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_text_from_standard_input(upstream: Served, arguments: list[str]) -> None:
    upstream.says(spoken_wires.openai)
    assert run(MODEL, *arguments, stdin="from a pipe\n").exit_code == 0
    assert upstream.last.json()["input"] == "from a pipe\n"


def test_json(upstream: Served) -> None:
    upstream.says(spoken_wires.openai)
    done = run(MODEL, "hi", "--json")
    answer = json.loads(done.stdout)
    assert answer["usage"]["cost"] == 0.0084
    assert answer["output"][0]["content"][0]["text"] == "Hello there"


def test_a_refusal(upstream: Served) -> None:
    upstream.says(answers(b'{"error": {"message": "no \\u001b]0;x such model"}}', 404))
    done = run(MODEL, "hi")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr == "Error: no \ufffd]0;x such model\n"


def test_a_stream_that_fails(upstream: Served) -> None:
    failed = {"type": "error", "sequence_number": 6, "error": {"message": "overloaded"}}
    upstream.says(streams(*responses_stream("o1-pro", events=6), *frames([failed])))
    done = run(MODEL, "hi")
    assert done.exit_code == 1
    assert done.stdout == "Hello there\n"
    assert done.stderr.endswith("Error: overloaded\n")


def test_no_provider() -> None:
    done = run("gpt-4o", "hi")
    assert done.exit_code == 1
    assert "openai/…" in done.stderr


def test_ctrl_c(upstream: Served) -> None:
    upstream.says(hangs(*responses_stream("o1-pro", events=5)))
    # Where the tests run in the background, Ctrl-C is ignored, and what they start inherits that.
    at_a_terminal = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = at_a_terminal + "from sluicegate.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", start, "responses", MODEL, "hi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert b"Traceback" not in process.stderr.read()
    upstream.closed()


def test_a_reader_that_leaves(upstream: Served) -> None:
    """As in `sluicegate responses … | head`."""
    upstream.says(hangs(*responses_stream("o1-pro", events=5)))
    start = "from sluicegate.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", start, "responses", MODEL, "hi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(15) == 1
        assert b"Traceback" not in process.stderr.read()
    upstream.closed()
