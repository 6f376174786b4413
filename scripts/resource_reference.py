"""docs/resources.md, made from the models of the custom resources.

Without an argument it writes the page; with `--check` it only says whether the page is current.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sluicegate.crds import page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "resources.md"


def main() -> int:
    """Write or check; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write("docs/resources.md is not what the models say: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
