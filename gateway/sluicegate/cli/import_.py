"""`sluicegate import`: manifests from another gateway's configuration.

Guide: docs/from-litellm.md.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from sluicegate.litellm_config import Manifest, Translation, Unreadable, translate, written
from sluicegate.source.litellm import read_text

_HEADER = "# Made by `sluicegate import litellm`."
_SECRETS = """\
# $(NAME) is taken from the environment by `sluicegate serve`. In a cluster put the value in its
# place, or have an operator such as External Secrets make the Secret; keep no key in Git.
"""
_FILES = {"Secret": "secrets.yaml", "ApiKey": "keys.yaml", "ModelDeployment": "models.yaml"}


@click.group("import")
def import_group() -> None:
    """Make manifests from another gateway's configuration."""


@import_group.command("litellm")
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write secrets.yaml, keys.yaml and models.yaml to; standard output if left out.",
)
@click.option("--force", is_flag=True, help="Overwrite files in that folder that are others.")
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
def litellm(*, config: str, output: Path | None, force: bool, strict: bool) -> None:
    """Turn a LiteLLM proxy's CONFIG into manifests.

    What has no counterpart, and what to do about it, is told on standard error, with file and line.
    Credentials stay where they are: os.environ/NAME becomes a Secret with $(NAME).

    Exits with 1 where something of the configuration is wrong; the rest is written all the same.
    """
    try:
        text = read_text(config)
    except Unreadable as error:
        raise click.ClickException(f"{config}: {error}") from error
    found = translate(config, text, read=read_text, environ=os.environ)
    for finding in found.findings:
        click.echo(str(finding), err=True)
    if output is not None and found.readable:
        _write(output, found.manifests, force=force)
    elif found.manifests:
        click.echo(_text(found.manifests), nl=False)
    click.echo(_summary(found), err=True)
    counts = Counter(finding.severity for finding in found.findings)
    if counts["error"] or (strict and counts["warning"]):
        raise click.exceptions.Exit(1)


def _text(manifests: Iterable[Manifest]) -> str:
    every = list(manifests)
    secrets = _SECRETS if any(each.kind == "Secret" for each in every) else ""
    return f"{_HEADER}\n{secrets}{written(each.value for each in every)}"


def _write(folder: Path, manifests: Sequence[Manifest], *, force: bool) -> None:
    """Write a file for each kind; one that an earlier import left and that is no more goes."""
    texts = {
        name: _text(each for each in manifests if each.kind == kind)
        for kind, name in _FILES.items()
        if any(each.kind == kind for each in manifests)
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = {name: folder / name for name in _FILES.values() if (folder / name).exists()}
        changed = [name for name, path in old.items() if path.read_text("utf-8") != texts.get(name)]
        if changed and not force:
            raise click.ClickException(
                f"{folder} already has {', '.join(changed)}, with another content: "
                "--force overwrites"
            )
        for name in old.keys() - texts.keys():
            if old[name].read_text("utf-8").startswith(_HEADER):
                old[name].unlink()
        for name, text in texts.items():
            mode = 0o600 if name == _FILES["Secret"] else 0o666
            _write_file(folder / name, text, mode)
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{folder} can't be written: {error}") from error


def _write_file(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _summary(found: Translation) -> str:
    kinds = Counter(each.kind for each in found.manifests)
    severities = Counter(finding.severity for finding in found.findings)
    counts = [_count(kinds[kind], kind) for kind in ("ModelDeployment", "ApiKey", "Secret")]
    counts += [_count(severities[each], each) for each in ("error", "warning", "note")]
    return ", ".join(counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
