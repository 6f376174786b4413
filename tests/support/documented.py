"""What README, CONTRIBUTING and docs/ tell people to type, and how each of it is tried.

A scene is a page's commands in order; where a page changes, its scene has to change too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from control_plane import ROOT

PAGES = (
    *("README.md", "CONTRIBUTING.md", "changes/README.md", "helm/sluicegate/README.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
LANGUAGES = frozenset({"console", "json", "python", "sh", "text", "toml", "yaml"})
# What a reader fills in.
ELLIPSIS = "test-0123456789abcdef"
_FENCE = re.compile(r"^(\s*)```(\S*)[^\n]*\n(.*?)^\1```\s*$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_PROGRAMS = re.compile(
    r"(sluicegate|sluicegate-operator|kubectl|helm|make|go|pip|docker|git|curl|python"
    r"|\.venv/bin/\w+) \S"
)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block, or a Python program; `printed` is what the page says it prints."""

    page: str
    line: int
    language: str
    text: str
    printed: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"


@dataclass(frozen=True)
class Step:
    """How one command of a page is tried. `starts`: how it begins.

    `serves`: it goes on until the next one that does. `stays`: what it sets holds for the commands
    after it. `exactly`: it prints what the page shows. `prints`: this is in what it prints.
    `reads`: its standard input. `asks`: a model that what serves is then asked for, with `key`.
    `elsewhere`: the test that runs it. `not_run`: why nothing does.
    """

    starts: str
    serves: bool = False
    stays: bool = False
    exactly: bool = False
    prints: str = ""
    reads: str = ""
    code: int = 0
    asks: str = ""
    key: str = ""
    elsewhere: str = ""
    not_run: str = ""


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[2], found[3])


def commands(page: str) -> list[Command]:
    """Of all shell blocks, and the programs of all Python blocks, in the page's order."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language == "python":
            found.append(Command(page, block.line + 1, "python", block.text))
        elif block.language in {"sh", "console"}:
            found += typed(block)
    return found


def typed(block: Block) -> Iterator[Command]:
    """The lines of a block that are typed; the others are printed by what was typed before."""
    prompt = "$ " if block.language == "console" else ""
    typed, printed, begun = "", "", 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if typed.endswith("\\"):
            typed += f"\n{line}"
        elif line.startswith(prompt) and line.strip():
            if typed:
                yield Command(block.page, begun, block.language, typed, printed)
            typed, printed, begun = line.removeprefix(prompt), "", number
        elif prompt:
            printed += f"{line}\n"
    if typed:
        yield Command(block.page, begun, block.language, typed, printed)


def mentioned(page: str) -> Iterator[str]:
    """Commands with arguments in the running text."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for found in _SPAN.finditer(text):
        span = " ".join(found[1].split())
        if _PROGRAMS.match(span):
            yield span


def paired(page: str, steps: tuple[Step, ...]) -> list[tuple[Command, Step]]:
    """Each command of a page with its step. Fails where one of either is left over."""
    found = commands(page)
    for command, step in zip(found, steps, strict=False):
        assert command.text.startswith(step.starts), (
            f"{command.place} comes where the scene of this page has {step.starts!r}"
        )
    for command in found[len(steps) :]:
        raise AssertionError(f"{command.place} has no step in the scene of this page")
    for step in steps[len(found) :]:
        raise AssertionError(f"{page} has no command {step.starts!r} any more")
    return list(zip(found, steps, strict=True))


def page_folder(page: str) -> str:
    """A name for a folder."""
    return Path(page).stem.lower()
