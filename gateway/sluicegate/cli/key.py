"""`sluicegate key`: make a client key, or the hash of one.

A key is never an argument, so no process list and no shell history shows it.
"""

from __future__ import annotations

import json
import re
import sys

import click

from sluicegate.auth.keys import (
    MAX_LENGTH,
    MIN_LENGTH,
    is_admissible,
    is_mistyped,
    key_hash,
    key_id,
    mint,
)
from sluicegate.resources.fields import SUBDOMAIN

_MANIFEST = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}}}
spec:
  client:
    keyHash: "{key_hash}"
"""


def _object_name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if re.fullmatch(SUBDOMAIN, value, re.ASCII) is None:
        raise click.BadParameter(
            "an object's name has lower-case letters, digits, '-' and '.', "
            "and begins and ends with a letter or digit"
        )
    return value


@click.group(name="key")
def key_group() -> None:
    """Make client keys and their hashes."""


@key_group.command()
@click.option(
    "--name",
    default="my-key",
    show_default=True,
    callback=_object_name,
    help="metadata.name of the manifest",
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object instead")
def new(*, name: str, as_json: bool) -> None:
    """Print a new key, once, on standard output; nothing keeps it.

    The manifest that admits it goes to standard error. It holds the key's hash only, so it may go
    into Git.
    """
    key = mint()
    if as_json:
        click.echo(json.dumps({"id": key_id(key), "key": key, "keyHash": key_hash(key)}))
        return
    click.echo(key)
    click.echo("\n" + _MANIFEST.format(name=name, key_hash=key_hash(key)), err=True, nl=False)


@key_group.command(name="hash")
def hash_() -> None:
    """Print the hash of a key that is typed in, or read from standard input.

    It is the value of spec.client.keyHash.
    """
    key = _read_key()
    if not is_admissible(key):
        raise click.ClickException(
            f"a key is {MIN_LENGTH} to {MAX_LENGTH} printable ASCII characters, "
            "without space at its ends"
        )
    if is_mistyped(key):
        raise click.ClickException(
            "this looks like a minted key, but its checksum is wrong: it is mistyped or cut off"
        )
    click.echo(key_hash(key))


def _read_key() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Key", hide_input=True, err=True))
    # Bytes that are no text make an inadmissible key, not a traceback; a key longer than allowed is
    # not read whole.
    data = sys.stdin.buffer.read(MAX_LENGTH + 3)
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("ascii", "replace")
