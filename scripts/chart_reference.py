"""The table of values in helm/sluicegate/README.md, made from values.yaml and its comments.

Without an argument it writes the table; with `--check` it only says whether it is current. The
comment above a value describes it; a value that holds others has no row, nor needs a comment.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml
from scripts.generated_page import keep

Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | int | bool"

CHART = Path(__file__).resolve().parents[1] / "helm" / "sluicegate"
_TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)
_KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):")


class Value(NamedTuple):
    """A row of the table; `default` is YAML in one line."""

    path: str
    default: str
    text: str


class UndescribedError(Exception):
    """A value has no comment; the text names it."""


def values(source: str) -> Iterator[Value]:
    """The values of a values.yaml, in its order. Raises UndescribedError."""
    document: Tree = yaml.safe_load(source)
    path: list[str] = []
    comment: list[str] = []
    inside: int | None = None  # indentation of a value whose lines below are its default
    for line in source.splitlines():
        found = _KEY.match(line)
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif not found:
            comment = []
        elif inside is None or len(found["indent"]) <= inside:
            inside = None
            path = [*path[: len(found["indent"]) // 2], found["name"]]
            opens = line.rstrip().endswith(":")
            if comment:
                yield Value(".".join(path), _default(document, path), " ".join(comment))
                inside = len(found["indent"]) if opens else None
            elif not opens:
                raise UndescribedError(f"{'.'.join(path)} has no comment above it")
            comment = []


def _default(tree: Tree, path: list[str]) -> str:
    for name in path:
        tree = tree[name] if isinstance(tree, dict) else {}
    return json.dumps(tree)


def page(text: str, source: str) -> str:
    """The README with its table made anew from the text of values.yaml."""
    rows = "".join(
        f"| `{path}` | `{default}` | {told} |\n" for path, default, told in values(source)
    )
    return _TABLE.sub(lambda _: f"| value | default | |\n| --- | --- | --- |\n{rows}", text)


if __name__ == "__main__":
    source = (CHART / "values.yaml").read_text(encoding="utf-8")
    sys.exit(
        keep(
            CHART / "README.md",
            lambda text: page(text, source),
            "The table of values in the chart's README.",
        )
    )
