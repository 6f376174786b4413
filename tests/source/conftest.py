"""A folder to change."""

from pathlib import Path

import pytest

from watched_folder import Served


@pytest.fixture
def served(tmp_path: Path) -> Served:
    served = Served(tmp_path)
    served.root.mkdir()
    return served
