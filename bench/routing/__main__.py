"""`python -m bench.routing`: strategies and settings compared; see docs/decisions/0008."""

import argparse
from pathlib import Path

from bench.routing import report

_RESULTS = Path(__file__).parents[1] / "results" / "routing"


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.routing",
        description="Simulates the routing on a virtual clock; compares strategies and settings.",
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs of each, with other numbers")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FOLDER")
    given = parser.parse_args()
    report.write(given.results, range(1, given.seeds + 1))


main()
