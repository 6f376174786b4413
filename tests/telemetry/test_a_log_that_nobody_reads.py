"""Standard error may be a pipe whose reader stands still: nothing else does."""

import json
import os
import subprocess
import sys
from pathlib import Path

LINES = 30_000
CHILD = """\
import logging, sys
from sluicegate.telemetry.logs import configure, log
configure("info")
for number in range(int(sys.argv[1])):
    log(logging.INFO, "a line", {"number": number, "filling": "x" * 50})
print("all told", flush=True)
sys.stdin.readline()
log(logging.INFO, "the last", {})
"""


def _child(stderr: int, lines: int = LINES) -> subprocess.Popen[str]:
    arguments = (sys.executable, "-c", CHILD, str(lines))
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=stderr, text=True)


def test_who_logs_does_not_wait_for_the_reader() -> None:
    reading, writing = os.pipe()
    with _child(writing) as child, os.fdopen(reading) as log:
        os.close(writing)
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "all told\n"
        numbers: list[int] = []
        dropped = 0
        while len(numbers) + dropped < LINES:  # the reader is back
            line = json.loads(log.readline())
            if line["message"] == "a line":
                numbers.append(line["number"])
            else:
                assert line["message"] == "lines of the log were dropped"
                assert line["level"] == "warning"
                dropped += line["lines"]
        assert len(numbers) + dropped == LINES
        assert dropped
        assert numbers == sorted(set(numbers))
        child.stdin.write("\n")
        child.stdin.flush()
        assert json.loads(log.readline())["message"] == "the last"
        assert log.read() == ""
        assert child.wait() == 0


def test_nor_does_the_end_of_the_process() -> None:
    reading, writing = os.pipe()
    with _child(writing) as child, os.fdopen(reading) as log:
        os.close(writing)
        child.communicate("\n", timeout=60)
        assert child.returncode == 0
        read = log.read()
        assert json.loads(read[: read.index("\n")])["number"] == 0


def test_a_file_has_all_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as log, _child(log.fileno(), 1000) as child:
        child.communicate("\n", timeout=60)
        assert child.returncode == 0
        log.seek(0)
        lines = [json.loads(line) for line in log]
    assert [line.get("number") for line in lines] == [*range(1000), None]
    assert lines[-1]["message"] == "the last"


def test_what_was_logged_comes_before_the_last_word() -> None:
    text = """\
import logging, os
from sluicegate.telemetry import logs
logs.configure("info")
with logs.written_first():
    for number in range(2000):
        logs.log(logging.INFO, "a line")
os.write(2, b"Error: the last word\\n")
"""
    said = subprocess.run([sys.executable, "-c", text], stderr=subprocess.PIPE, check=True).stderr
    lines = said.splitlines()
    assert len(lines) == 2001
    assert lines[-1] == b"Error: the last word"
