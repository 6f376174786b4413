"""The load harness: one gateway process and its peers over one mock upstream, in one run."""

import sys
from pathlib import Path

# The control plane that the tests start is measured on, too.
sys.path += [str(Path(__file__).parents[1] / "tests" / part) for part in ("support", "fakes")]
