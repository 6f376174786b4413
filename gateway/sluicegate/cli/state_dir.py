"""The state folder as an option: an empty one, as of a variable that is not set, is none."""

from __future__ import annotations

import os
from pathlib import Path

import click


class _StateDir(click.Path):
    """`Path("")` would be the working folder, and minted keys would be in it."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """See click.ParamType."""
        if value == "":
            self.fail("it is empty: name a folder, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


STATE_DIR = _StateDir(path_type=Path)
