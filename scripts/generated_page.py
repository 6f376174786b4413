"""Pages that are made from the code, or have a table that is: written, or judged with `--check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def keep(path: Path, made: Callable[[str], str], what: str) -> int:
    """Make the page anew from its text, or judge it. The answer is the exit status."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 if it is not current"
    )
    check: bool = parser.parse_args().check
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    wanted = made(text)
    if wanted == text:
        return 0
    if check:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not current: run `make docs`\n")
        return 1
    path.write_text(wanted, encoding="utf-8")
    return 0
