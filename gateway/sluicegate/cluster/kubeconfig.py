"""Reading kubeconfig files (client-go's clientcmd/v1), as far as we need them."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from sluicegate.cluster.errors import AccessError
from sluicegate.cluster.exec_credential import ExecPlugin


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _User(msgspec.Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    exec_plugin: ExecPlugin | None = msgspec.field(name="exec", default=None)
    auth_provider: object = None
    username: str = ""
    impersonate: str = msgspec.field(name="as", default="")

    def __repr__(self) -> str:
        return "_User(…)"


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster = msgspec.field(default_factory=_Cluster)


class _NamedUser(msgspec.Struct):
    name: str
    user: _User = msgspec.field(default_factory=_User)


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context = msgspec.field(default_factory=_Context)


class _File(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate and key, PEM."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)

    def load_into(self, tls: ssl.SSLContext) -> None:
        """Raises ssl.SSLError. OpenSSL reads only files: this one is ours and gone at once."""
        with tempfile.NamedTemporaryFile(prefix="sluicegate-") as file:  # made with mode 0600
            file.write(self.certificate + b"\n" + self.key)
            file.flush()
            tls.load_cert_chain(file.name)


@dataclass(frozen=True, slots=True)
class Connection:
    """What the current context says, with the files it names read (but for a token's)."""

    server: str
    namespace: str
    authority: str = field(repr=False)  # PEM
    insecure: bool
    server_name: str
    certificate: ClientCertificate | None
    token: str = field(repr=False)
    token_file: Path | None
    plugin: ExecPlugin | None = None
    folder: Path = Path()  # of the file that names the plugin


T = TypeVar("T")


def read_kubeconfig(
    paths: Iterable[Path], context_name: str = "", *, plugins: bool = False
) -> Connection:
    """Of several files the first that says a thing holds, as with kubectl.

    `context_name`: instead of the current context. `plugins`: a user may have `exec`. Raises
    AccessError, OSError.
    """
    files = [(path, _parsed(path)) for path in paths]
    current = next((file.current_context for _, file in files if file.current_context), "")
    wanted = context_name or current
    contexts = [(path, c.name, c.context) for path, file in files for c in file.contexts or ()]
    clusters = [(path, c.name, c.cluster) for path, file in files for c in file.clusters or ()]
    users = [(path, u.name, u.user) for path, file in files for u in file.users or ()]
    if not wanted:
        raise AccessError(f"{_names(files)}: no current-context")
    _, context = _find("context", wanted, contexts)
    at, cluster = _find("cluster", context.cluster, clusters)
    home, user = _find("user", context.user, users)
    if not cluster.server.startswith(("https://", "http://")):
        raise AccessError(f"{at}: cluster {context.cluster!r} has no http(s) server")
    _refuse(at, f"cluster {context.cluster!r}", {"proxy-url": cluster.proxy_url})
    refused = {
        "exec": None if plugins else user.exec_plugin,
        "auth-provider": user.auth_provider,
        "username": user.username,
        "as": user.impersonate,
    }
    _refuse(home, f"user {context.user!r}", refused)
    return Connection(
        server=cluster.server,
        namespace=context.namespace or "default",
        # Beside the certificates there may be anything, as somebody's name: OpenSSL passes over it,
        # but Python wants ASCII.
        authority=_content(
            at, cluster.certificate_authority_data, cluster.certificate_authority
        ).decode("ascii", "backslashreplace"),
        insecure=cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name,
        certificate=_certificate(home, user),
        token=user.token,
        token_file=home.parent / user.token_file if user.token_file else None,
        plugin=user.exec_plugin,
        folder=home.parent,
    )


def _parsed(path: Path) -> _File:
    try:
        return msgspec.convert(yaml.safe_load(path.read_bytes()) or {}, _File)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)  # its text would quote the line
        line = f", line {mark.line + 1}" if isinstance(mark, yaml.Mark) else ""
        raise AccessError(f"{path}: not YAML{line}") from None
    except msgspec.ValidationError as error:
        raise AccessError(f"{path}: {error}") from None


def _find(what: str, name: str, among: list[tuple[Path, str, T]]) -> tuple[Path, T]:
    for path, known, value in among:
        if known == name:
            return path, value
    raise AccessError(f"KUBECONFIG: {what} {name!r} is not there")


def _names(files: list[tuple[Path, _File]]) -> str:
    return ", ".join(str(path) for path, _ in files)


def _refuse(path: Path, where: str, values: dict[str, object]) -> None:
    for name, value in values.items():
        if value:
            raise AccessError(
                f"{path}: {where} uses {name!r}, which Sluicegate does not support:"
                " give it a token, a tokenFile or a client certificate"
            )


def _content(path: Path, data: str, file: str) -> bytes:
    """As kubectl: base64 in the file itself before the name of another, relative to it."""
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except ValueError:
            raise AccessError(f"{path}: a value named …-data is not base64") from None
    return (path.parent / file).read_bytes() if file else b""


def _certificate(path: Path, user: _User) -> ClientCertificate | None:
    certificate = _content(path, user.client_certificate_data, user.client_certificate)
    key = _content(path, user.client_key_data, user.client_key)
    if bool(certificate) != bool(key):
        raise AccessError(f"{path}: a client certificate needs its key, and the other way round")
    return ClientCertificate(certificate, key) if certificate else None
