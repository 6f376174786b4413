"""docs/resources.md, made from the models of the custom resources.

Without an argument it writes the page; with `--check` it only says whether the page is current.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.generated_page import keep

from sluicegate.crds import page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "resources.md"


if __name__ == "__main__":
    sys.exit(keep(PAGE, lambda _: page(), "The reference of both kinds."))
