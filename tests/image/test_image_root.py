"""What Dockerfile builds, built by the same commands without a container engine, and started."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    shlex.split(line)
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
PLACE = "/opt/sluicegate"

# Where pip has nothing cached it fetches 60 MB.
pytestmark = pytest.mark.timeout(900)


def arguments(instruction: str) -> Iterator[list[str]]:
    return (words[1:] for words in INSTRUCTIONS if words[0] == instruction)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has in /opt/sluicegate, built from what the build stage copies."""
    context, out = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("out")
    for words in arguments("COPY"):
        *sources, target = words
        if not sources[0].startswith("--from="):
            copy(sources, context / target)
    environ = {**os.environ, "PYTHON": sys.executable, "PIP_ROOT_USER_ACTION": "ignore"}
    for words in arguments("RUN"):
        command = [word.replace("/out", str(out)) for word in words]
        subprocess.run([context / command[0], *command[1:]], env=environ, check=True)
    place = tmp_path_factory.mktemp("image") / "sluicegate"
    for words in arguments("COPY"):
        if words[0] == "--from=build":
            source, target = words[1:]
            assert target == PLACE
            part = source.replace("/out", str(out))
            shutil.copytree(part, place, dirs_exist_ok=True)
            shutil.rmtree(part)
    return place


def copy(sources: list[str], target: Path) -> None:
    """As COPY does: a folder's content, or a file to a path or into a folder."""
    for source in (ROOT / each for each in sources):
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            into = target.is_dir() or len(sources) > 1 or source.parent.name == target.name
            if into:
                target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / source.name if into else target)


def environment(root: Path) -> dict[str, str]:
    """The image's ENV, with the base image's PATH, and nothing else."""
    *_, final = arguments("ENV")
    variables = dict(word.split("=", 1) for word in final)
    base = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        name: value.replace("$PATH", base).replace(PLACE, str(root))
        for name, value in variables.items()
    }


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sluicegate --version", "sluicegate, version "),
        ("sluicegate serve --help", "--cluster"),
        ("sluicegate-operator --help", "run"),
        ("sluicegate-operator run --help", "--watch-namespace"),
        ("kubectl-sluicegate --version", "sluicegate, version "),
        ("kubectl-sluicegate status --help", "kubectl sluicegate status"),
    ],
)
def test_each_command_starts_from_the_image_and_write_nothing(
    root: Path, command: str, told: str
) -> None:
    before = sorted(root.rglob("*"))
    # -P -s: neither the working directory nor the user's packages.
    program, *rest = command.split()
    answer = subprocess.run(
        [sys.executable, "-P", "-s", root / "bin" / program, *rest],
        env=environment(root),
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert told in answer.stdout
    assert sorted(root.rglob("*")) == before


def test_the_image_has_all_our_commands(root: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {each.name for each in (root / "bin").iterdir()} == set(project["scripts"])


def test_packages_come_from_the_image_alone(root: Path) -> None:
    """Not from the interpreter that the test runs with, which has all of them too."""
    listing = (
        "import sys, importlib as i; [print(i.import_module(n).__file__) for n in sys.argv[1:]]"
    )
    names = ["sluicegate", "sluicegate_operator", "kopf", "kubernetes", "psycopg", "redis", "boto3"]
    answer = subprocess.run(
        [sys.executable, "-S", "-c", listing, *names],
        env=environment(root),
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = answer.stdout.splitlines()
    assert len(paths) == len(names)
    assert [path for path in paths if not path.startswith(str(root / "lib"))] == []


def test_the_image_runs_as_nobody_from_a_pinned_base() -> None:
    assert re.search(r"^ARG BASE=\S+:[\w.-]+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    assert {words[0] for words in arguments("FROM")} == {"${BASE}"}
    assert list(arguments("USER")) == [["65532:65532"]]


def test_the_build_context_has_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for words in arguments("COPY")
        if not words[0].startswith("--from=")
        for source in words[:-1]
    }
    assert "*" in lines
    assert copied == allowed
