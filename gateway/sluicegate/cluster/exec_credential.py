"""Credentials that another program makes: `exec` of a kubeconfig (client.authentication.k8s.io).

As managed clusters give them to people. A server process has none of that: its credential has to
last, and to need nobody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sluicegate.cluster.errors import AccessError


class _Variable(msgspec.Struct):
    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, rename="camel"):
    """Which program, and how it is called."""

    command: str = ""
    api_version: str = ""
    args: list[str] | None = None
    env: list[_Variable] | None = None
    interactive_mode: str = ""
    provide_cluster_info: bool = False
    install_hint: str = ""

    def __repr__(self) -> str:
        """Without its arguments and variables, which may hold secrets."""
        return f"ExecPlugin({self.command!r})"


class ExecCluster(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """The cluster that a credential is wanted for, as a plugin is told; the authority is PEM."""

    server: str
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority_data: bytes = b""


class MadeCredential(msgspec.Struct, frozen=True, rename="camel"):
    """What a plugin answers: a token, or a client's certificate and key (PEM), or both."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""

    def __repr__(self) -> str:
        """Without the credential."""
        return "MadeCredential(…)"


class _Answer(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: MadeCredential = MadeCredential()

    def __repr__(self) -> str:
        return "_Answer(…)"


def run_plugin(
    plugin: ExecPlugin, cluster: ExecCluster, folder: Path, environ: Mapping[str, str]
) -> MadeCredential:
    """Run it and read what it prints; what it says to the person goes to standard error.

    `folder` is the kubeconfig's: a command with a slash is relative to it. Waits for as long as it
    runs, since it may ask for a login. Raises AccessError, which never has what it printed.
    """
    interactive = plugin.interactive_mode != "Never" and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not interactive:
        raise AccessError(f"{plugin.command!r} of the kubeconfig wants a terminal")
    spec: dict[str, object] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        spec["cluster"] = cluster
    asked = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    command = str(folder / plugin.command) if os.sep in plugin.command else plugin.command
    more = {each.name: each.value for each in plugin.env or ()}
    try:
        ended = subprocess.run(  # noqa: S603 -- the kubeconfig's owner wants this program run, as kubectl does
            [command, *(plugin.args or ())],
            env={**environ, **more, "KUBERNETES_EXEC_INFO": msgspec.json.encode(asked).decode()},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        hint = f"\n{plugin.install_hint.strip()}" if plugin.install_hint else ""
        raise AccessError(f"{plugin.command!r} of the kubeconfig: {error.strerror}{hint}") from None
    if ended.returncode:
        raise AccessError(
            f"{plugin.command!r} of the kubeconfig gave no credential: it ended with status"
            f" {ended.returncode}"
        )
    return _read(plugin, ended.stdout)


def _read(plugin: ExecPlugin, printed: bytes) -> MadeCredential:
    try:
        answer = msgspec.json.decode(printed, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):  # their texts might quote it
        answer = _Answer()
    made = answer.status
    if answer.kind != "ExecCredential" or answer.api_version != plugin.api_version:
        raise _printed_no(plugin, f"ExecCredential of {plugin.api_version!r}")
    if not made.token and not (made.client_certificate_data and made.client_key_data):
        raise _printed_no(plugin, "credential")
    return made


def _printed_no(plugin: ExecPlugin, what: str) -> AccessError:
    return AccessError(f"{plugin.command!r} of the kubeconfig printed no {what}")
