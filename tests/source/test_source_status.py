"""What a source says of itself: in its status, and once in the log."""

import logging

import pytest

from sluicegate.source.report import Report
from sluicegate.source.status import StatusBoard
from watched_folder import Served, api_key, echo


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    found = [(record.levelno, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return found


def test_before_the_first_load_nothing_is_well() -> None:
    status = StatusBoard(Clock()).status
    assert (status.ok, status.loaded, status.since) == (False, False, 100.0)
    assert status.problems == ("the manifests have not been loaded yet",)


def test_a_problem_is_logged_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    board = StatusBoard(clock)
    board.judge(Report((), ()))
    assert board.status.ok
    assert lines(caplog) == []
    clock.now = 200.0
    for _ in range(3):
        board.judge(
            Report(
                (
                    "a.yaml:3: wrong",
                    "b.yaml:1: wrong too",
                ),
                (),
            )
        )
    ((level, line),) = lines(caplog)
    assert level == logging.ERROR
    assert line.startswith("manifests: a.yaml:3: wrong (and 1 more); nothing is served until")
    clock.now = 300.0
    board.judge(Report(("b.yaml:1: wrong too",), ()))
    assert len(lines(caplog)) == 1
    assert (board.status.ok, board.status.since, board.status.problem_count) == (False, 200.0, 1)
    clock.now = 400.0
    board.judge(Report((), ()))
    assert [level for level, _ in lines(caplog)] == [logging.INFO]
    assert (board.status.ok, board.status.since, board.status.problems) == (True, 400.0, ())


def test_of_many_problems_a_few_are_spelt_out_and_all_are_counted() -> None:
    board = StatusBoard(Clock())
    board.judge(Report(tuple([f"a.yaml:{line}: wrong" for line in range(1000)]), ()))
    assert board.status.problem_count == 1000
    assert len(board.status.problems) == 20


def test_each_load_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    board = StatusBoard(Clock())
    board.loaded(seconds=0.5, changed=3, files=1)
    board.loaded(seconds=0.01, changed=1, files=1)
    board.count(files=4, objects=9, ignored=2)
    status = board.status
    assert (status.loads, status.loaded, status.loaded_at, status.load_seconds) == (
        2,
        True,
        100.0,
        0.01,
    )
    assert (status.files, status.objects, status.ignored) == (4, 9, 2)
    assert [line for _, line in lines(caplog)] == ["manifests loaded"] * 2


def test_what_is_missing_is_told_but_is_no_failed_load(caplog: pytest.LogCaptureFixture) -> None:
    board = StatusBoard(Clock())
    report = Report((), ("a.yaml:3: no such Secret",))
    board.judge(report)
    board.judge(report)
    assert board.status.ok
    assert board.status.problems == ("a.yaml:3: no such Secret",)
    ((level, line),) = lines(caplog)
    assert (level, line) == (
        logging.WARNING,
        "manifests: a.yaml:3: no such Secret; left out until that is there",
    )


UNPRICED = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: mine}
spec: {provider: {openai: {model: my-own}}}
"""


async def test_what_somebody_should_look_at_is_logged_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    (served.root / "a.yaml").write_text(UNPRICED)
    status = await served.source.load()
    assert (status.ok, status.problems) == (True, ())
    ((level, line),) = [each for each in lines(caplog) if "price" in each[1]]
    assert level == logging.WARNING
    assert "a.yaml: ModelDeployment default/mine: no price is known for 'my-own'" in line
    assert line.endswith("; served as it is written")
    (served.root / "b.yaml").write_text(echo("b"))
    assert (await served.source.load()).loads == 2
    assert not [each for each in lines(caplog) if "price" in each[1]]


BROKEN_ECHO = echo("a").replace("spec: {", "spec: {weight: -1, ")
BROKEN_KEY = api_key("k", "keyHash: no")


async def test_what_becomes_of_a_broken_object_is_said(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    path = served.root / "a.yaml"
    path.write_text(BROKEN_ECHO)
    status = await served.source.load()
    assert status.problems[0].endswith("(not served until this is right)")
    path.write_text(echo("a"))
    assert (await served.source.load()).ok
    path.write_text(BROKEN_ECHO)
    status = await served.source.load()
    assert status.problems[0].endswith("(its last good version is served)")
    lines(caplog)
    path.write_text(api_key("k", f"keyHash: 'sha256:{1:064x}'"))
    assert (await served.source.load()).ok
    path.write_text(BROKEN_KEY)
    status = await served.source.load()
    assert served.keys == {}
    assert status.problems[0].endswith("(the key is out until this is right)")
    assert lines(caplog)[-1][1].endswith(
        "(the key is out until this is right); all else still serves"
    )


async def test_of_a_folder_that_never_was_nothing_is_served(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.root.rmdir()
    status = await served.source.load()
    assert (status.ok, status.loaded) == (False, False)
    assert lines(caplog)[-1][1].endswith("; nothing is served until there is something to load")
