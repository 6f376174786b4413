"""Where the API server is, and as whom we speak to it."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sluicegate.cluster.errors import AccessError
from sluicegate.cluster.exec_credential import ExecCluster, ExecPlugin, run_plugin
from sluicegate.cluster.kubeconfig import ClientCertificate, Connection, read_kubeconfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The kubelet writes a new token when a fifth of the old one's life is left; client-go looks once a
# minute too.
TOKEN_SECONDS = 60.0
_TOKEN = re.compile(r"[ -~]*")


class NoToken(Exception):
    """A text that no header can hold (RFC 9110 section 5.5). The message does not repeat it."""


class Token:
    """The bearer token, read anew from its file as it rotates; `""` where there is none."""

    def __init__(self, value: str = "", path: Path | None = None) -> None:
        """Raises NoToken for what is none, OSError for a file that can't be read."""
        self._path = path
        self._value = _token(value) if path is None else _read_token(path)
        self._read_at = time.monotonic()

    def __repr__(self) -> str:
        """Without the token."""
        return f"Token(path={self._path!r})"

    @property
    def rotates(self) -> bool:
        """Whether reading it again may find another."""
        return self._path is not None

    async def current(self, *, fresh: bool = False) -> str:
        """The token. `fresh`: the server refused the last one, so look at the file now."""
        path = self._path
        if path is not None and (fresh or time.monotonic() - self._read_at > TOKEN_SECONDS):
            self._read_at = time.monotonic()
            try:
                self._value = await asyncio.to_thread(_read_token, path) or self._value
            except (OSError, NoToken):
                # Mid-rotation, or unmounted as the pod ends: the last one may still do.
                return self._value
        return self._value


def _read_token(path: Path) -> str:
    return _token(path.read_text(encoding="ascii", errors="replace").strip())


def _token(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise NoToken("a token that is not ASCII text in one line")
    return text


@dataclass(frozen=True, slots=True)
class Access:
    """An API server and an identity there."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    token: Token = field(default_factory=Token, repr=False)


def load_access(environ: Mapping[str, str] = os.environ, mounted: Path = SERVICE_ACCOUNT) -> Access:
    """From `KUBECONFIG`, else from the pod's ServiceAccount. Reads files, so not in the event loop.

    Raises AccessError, whose text names the file and never a credential.
    """
    paths = _listed(environ)
    try:
        if paths:
            return _access(read_kubeconfig(paths))
        return _in_pod(environ, mounted)
    except (OSError, ssl.SSLError, NoToken) as error:
        where = f"KUBECONFIG={environ['KUBECONFIG']}" if paths else str(mounted)
        raise AccessError(f"{where}: {error}") from None


def load_personal_access(
    environ: Mapping[str, str], kubeconfig: Path | None = None, context: str = ""
) -> Access:
    """As kubectl finds it: `kubeconfig`, else `KUBECONFIG`, else `~/.kube/config`.

    For commands that a person runs: a program that the kubeconfig names for a credential is run
    once, so the answer is good for as long as that credential. Raises AccessError as `load_access`.
    """
    default = Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"
    listed = _listed(environ)
    if len(listed) > 1:  # of several files some may be missing
        listed = [path for path in listed if path.exists()] or listed
    if kubeconfig is None and not listed and not default.exists():
        raise AccessError(f"there is no kubeconfig: KUBECONFIG is not set, nor is {default} there")
    paths = [kubeconfig] if kubeconfig is not None else listed or [default]
    try:
        found = read_kubeconfig(paths, context, plugins=True)
        if found.plugin is not None:
            found = _with_made_credential(found, found.plugin, environ)
        return _access(found)
    except (OSError, ssl.SSLError, NoToken) as error:
        where = ", ".join(map(str, paths))
        raise AccessError(f"{where}: {error}") from None


def _listed(environ: Mapping[str, str]) -> list[Path]:
    return [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]


def _with_made_credential(
    found: Connection, plugin: ExecPlugin, environ: Mapping[str, str]
) -> Connection:
    """With what the plugin answers in place of what the file says."""
    cluster = ExecCluster(
        found.server, found.server_name, found.insecure, found.authority.encode("ascii")
    )
    made = run_plugin(plugin, cluster, found.folder, environ)
    certificate = found.certificate
    if made.client_certificate_data:
        certificate = ClientCertificate(
            made.client_certificate_data.encode(), made.client_key_data.encode()
        )
    return replace(found, token=made.token, token_file=None, certificate=certificate, plugin=None)


def _access(found: Connection) -> Access:
    tls = None
    if found.server.startswith("https://"):
        tls = ssl.create_default_context(cadata=found.authority or None)
        if found.insecure:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        if found.certificate is not None:
            found.certificate.load_into(tls)
    return Access(
        server=found.server.rstrip("/"),
        namespace=found.namespace,
        tls=tls,
        server_name=found.server_name or None,
        token=Token(found.token, found.token_file),
    )


def _in_pod(environ: Mapping[str, str], mounted: Path) -> Access:
    host, port = (environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        raise AccessError("neither KUBECONFIG is set nor is this a pod of a Kubernetes cluster")
    shown = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{shown}:{port}",
        namespace=(mounted / "namespace").read_text(encoding="ascii", errors="replace").strip(),
        tls=ssl.create_default_context(cafile=mounted / "ca.crt"),
        token=Token(path=mounted / "token"),
    )
