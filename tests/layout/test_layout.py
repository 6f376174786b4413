"""The shape of the repository: sizes, names and what no file may say.

Ruff and import-linter have no rule for these. A rule that has to give way gets its exception here,
with the reason.
"""

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("gateway", "operator")  # on sys.path; `operator` is also a stdlib module
CODE_FOLDERS = (*SOURCE_ROOTS, "tests", "bench", "scripts")

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 80
BANNED_MODULES = re.compile(r"(base|base_\w+|common|helpers?|managers?|misc|types|utils?)")

# Each pattern has a bracket so that this file does not match it.
FORBIDDEN_WORDS = {
    "a path of one machine": re.compile(r"/(wor[k]|roo[t]|tm[p]|hom[e]/\w+|opt/whee[l]s)/"),
    "the host of a package registry": re.compile(
        r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|crates[.]io|proxy[.]golang[.]org"
        r"|repo1?[.]maven|deb[.]debian[.]org|registry[.]k8s[.]io|docker[.]io|ghcr[.]io|quay[.]io"
    ),
    "how the work was organised": re.compile(
        r"\bissu[e]s? #?\d+|\bissue[s] show\b|\bth[i]s session\b|\bthe brie[f]\b|\bsub-?agen[t]\b",
        re.IGNORECASE,
    ),
}

SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore)(?P<rest>.*)")
# Codes first, then words: a rule's code, a dash, why it gives way on this line.
CODES_AND_REASON = re.compile(r"(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w, ]+\])[\s#:(—-]+\w+\W+\w+")
FILE_WIDE = re.compile(r"#\s*(ruff:\s*noqa|flake8:\s*noqa|pyright:\s*(basic|standard|report))")


class Problem(NamedTuple):
    """A broken rule and the line that breaks it."""

    line: int
    text: str


def files() -> list[Path]:
    """Every file that is, or is about to be, in the repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is found on PATH
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so the repository's files are not known")
    paths = (ROOT / name.decode() for name in listed.split(b"\0") if name)
    return sorted(path for path in paths if path.is_file())


def code_files() -> list[Path]:
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE_FOLDERS
    ]


def size_problems(source: str) -> Iterator[Problem]:
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield Problem(1, f"{lines} lines, at most {MAX_FILE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield Problem(
                    node.lineno, f"{node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
                )


def late_import_problems(source: str) -> Iterator[Problem]:
    """Imports of our own modules inside a function: they hide a cycle."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = ["sluicegate" if node.level else node.module or ""]
            else:
                continue
            if any(name.split(".")[0] in {"sluicegate", "sluicegate_operator"} for name in names):
                yield Problem(node.lineno, f"{function.name} imports one of our own modules")


def suppression_problems(source: str) -> Iterator[Problem]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if FILE_WIDE.search(token.string):
            yield Problem(token.start[0], "a rule is switched off for a whole file")
        found = SUPPRESSION.search(token.string)
        if found and not CODES_AND_REASON.match(found["rest"]):
            yield Problem(token.start[0], "a suppression without its codes and a reason")


def word_problems(text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in FORBIDDEN_WORDS.items():
            if pattern.search(line):
                yield Problem(number, f"names {what}: {line.strip()[:80]}")


def report(path: Path, problems: Iterator[Problem]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in problems]


def test_files_and_functions_stay_small() -> None:
    assert [
        problem for path in code_files() for problem in report(path, size_problems(read(path)))
    ] == []


def test_own_modules_are_imported_at_the_top() -> None:
    assert [
        problem
        for path in code_files()
        for problem in report(path, late_import_problems(read(path)))
    ] == []


def test_every_suppression_has_a_reason() -> None:
    assert [
        problem
        for path in code_files()
        for problem in report(path, suppression_problems(read(path)))
    ] == []


def test_no_file_names_a_machine_a_registry_or_the_work_itself() -> None:
    found: list[str] = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not text
        found += report(path, word_problems(text))
    assert found == []


def test_source_roots_and_test_folders_are_not_packages() -> None:
    """An `__init__.py` there would put our `operator` in place of the standard library's."""
    folders = [ROOT / root for root in SOURCE_ROOTS]
    folders += [path for path in (ROOT / "tests").rglob("*") if path.is_dir()]
    assert [
        folder for folder in [ROOT / "tests", *folders] if (folder / "__init__.py").exists()
    ] == []
    assert not (ROOT / "tests" / "operator").exists()


def test_module_names_say_what_is_inside() -> None:
    names = {part for path in code_files() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert [name for name in sorted(names) if BANNED_MODULES.fullmatch(name)] == []


def test_the_package_asks_for_what_the_pinned_file_holds() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    extras = dict(project["optional-dependencies"])
    sdk = extras.pop("sdk")  # not for serving: the gateway never loads it
    operator = extras.pop("operator")  # nor this: the operator is a process of its own
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    assert packages(lines) == packages(requirements("runtime"))
    assert packages(sdk) | packages(operator) <= packages(requirements("dev"))
    assert packages(operator) == packages(requirements("image"))  # with runtime.in


def requirements(name: str) -> list[str]:
    lines = read(ROOT / "requirements" / f"{name}.in").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def packages(lines: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", line)[0].lower() for line in lines}


@pytest.mark.parametrize("name", ["build", "dev", "image", "runtime"])
def test_pinned_files_hold_hashes_and_no_address(name: str) -> None:
    text = read(ROOT / "requirements" / f"{name}.txt")
    packages = re.findall(r"^[\w.-]+==\S+ .*\\\n    --hash=sha256:", text, flags=re.MULTILINE)
    assert len(packages) == len(re.findall(r"^\w", text, flags=re.MULTILINE)) > 0
    assert re.findall(r"://|^--.*", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * (MAX_FILE_LINES + 1),
        "async def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES,
    ],
    ids=["file", "function"],
)
def test_the_size_gate_sees(source: str) -> None:
    assert len(list(size_problems(source))) == 1


@pytest.mark.parametrize("line", ["import sluicegate.model", "from . import model"])
def test_the_import_gate_sees(line: str) -> None:
    assert len(list(late_import_problems(f"def f():\n    {line}\n"))) == 1
    assert list(late_import_problems(f"{line}\ndef f():\n    import zlib\n")) == []


@pytest.mark.parametrize(
    ("comment", "problems"),
    [
        ("noqa", 1),
        ("noqa: BLE001", 1),
        ("noqa: BLE001, S101", 1),
        ("type: ignore[attr-defined]", 1),
        ("pyright: ignore[reportPrivateUsage]", 1),
        ("pyright: basic", 1),
        ("ruff: noqa: D100", 1),
        ("noqa: BLE001 - the task's root logs every failure", 0),
        ("pyright: ignore[reportUnknownMemberType] # the stub has no types", 0),
    ],
)
def test_the_suppression_gate_sees(comment: str, problems: int) -> None:
    assert len(list(suppression_problems(f"x = 1  # {comment}\n"))) == problems


@pytest.mark.parametrize(
    "text",
    ["cd /" + "work/x", "https://" + "pypi" + ".org/simple", "see issue" + " #12"],
)
def test_the_word_gate_sees(text: str) -> None:
    assert len(list(word_problems(text))) == 1


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
