"""`sluicegate crds`: the CustomResourceDefinitions of both kinds."""

from __future__ import annotations

from pathlib import Path

import click

from sluicegate.crds import FILES, manifest


@click.command()
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="write one file for each kind into this folder, instead of printing them",
)
@click.option(
    "--check",
    "checked",
    type=click.Path(file_okay=False, path_type=Path),
    is_flag=False,
    flag_value=Path("crds"),
    help="only say whether the files in this folder (default: crds) are these; exit 1 if not",
)
def crds(folder: Path | None, checked: Path | None) -> None:
    """Print the CustomResourceDefinitions, as `kubectl apply -f` takes them."""
    if folder is not None and checked is not None:
        raise click.UsageError("--write and --check do not go together")
    made = {name: manifest(kind) for name, kind in FILES.items()}
    if checked is not None:
        _check(checked, made)
    elif folder is not None:
        _write(folder, made)
    else:
        click.echo("---\n".join(made.values()), nl=False)


def _write(folder: Path, made: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{folder} can't be written: {error.strerror}") from error


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _check(folder: Path, made: dict[str, str]) -> None:
    stale = [name for name, text in made.items() if not _holds(folder / name, text)]
    if stale:
        raise click.ClickException(
            f"not what this version has: {', '.join(str(folder / name) for name in stale)}; "
            f"write them with: sluicegate crds --write {folder}"
        )
