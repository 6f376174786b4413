"""`sluicegate serve`: a gateway process."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import uvloop

from sluicegate.compile import Settings
from sluicegate.pipeline.live import LiveStore
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.process import CannotListen, ServerSettings, Source, run
from sluicegate.server.tls import PairRefused
from sluicegate.source.folder import FolderSource
from sluicegate.source.keystore import default_state_dir
from sluicegate.source.litellm import LiteLLMSource
from sluicegate.telemetry import logs
from sluicegate.transport import TransportSettings, proxies_from_environment

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PORT = 4000


class _Callers(click.Choice[str]):
    """Whom to serve without a key; what variables of the environment say for "yes" is loopback."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        said_yes = isinstance(value, str) and value.lower() in {"1", "true", "yes", "on"}
        return super().convert("loopback" if said_yes else value, param, ctx)


def _port(value: str) -> int:
    """A TCP port. Raises ValueError.

    In a cluster SLUICEGATE_PORT may be `tcp://…`, set for a Service of that name: not meant for us.
    """
    number = _PORT if str(value).startswith("tcp://") else int(value)
    if not 0 <= number < 65536:
        raise ValueError("a port is a number from 0 to 65535")
    return number


@click.command(context_settings={"auto_envvar_prefix": "SLUICEGATE", "show_default": True})
@click.option(
    "--manifests",
    type=_FOLDER,
    show_envvar=True,
    help="Folder of manifests; it is watched, and every change is served without a restart.",
)
@click.option(
    "--litellm-config",
    type=_FILE,
    show_envvar=True,
    help="LiteLLM's configuration in place of manifests; it is watched as the folder is.",
)
@click.option("--host", default="127.0.0.1", help="Address of the public port.")
@click.option("--port", type=_port, default=_PORT, help="Public port; 0 takes any free one.")
@click.option("--admin-host", default="127.0.0.1", help="Address of the admin port.")
@click.option("--admin-port", type=_port, default=4001, help="Probes, metrics, /config.")
@click.option(
    "--allow-anonymous",
    is_flag=False,
    flag_value="loopback",
    type=_Callers(["loopback", "any"]),
    help="Serve callers without a known key as namespace `default`; off loopback only with `=any`.",
)
@click.option("--tls-cert", type=_FILE, help="Certificate chain (PEM); followed when it changes.")
@click.option("--tls-key", type=_FILE, help="Private key (PEM).")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Where minted keys are kept.  [default: per user]",
)
@click.option(
    "--max-body", type=click.IntRange(1), default=20 * 1024 * 1024, help="Bytes a request may have."
)
@click.option(
    "--body-timeout", type=click.FloatRange(0.1), default=60.0, help="Seconds to send it."
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(1),
    default=75.0,
    help="Seconds to send a request's head, and that a connection may stay unused.",
)
@click.option(
    "--stall-timeout",
    type=click.FloatRange(0.1),
    default=60.0,
    help="Seconds a client may leave an answer unread.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    default=30.0,
    help="Seconds that running requests get after SIGTERM.",
)
@click.option(
    "--upstream-ca", type=_FILE, help="Further CAs (PEM) that upstreams may be signed by."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
def serve(
    *,
    manifests: Path | None,
    litellm_config: Path | None,
    host: str,
    port: int,
    admin_host: str,
    admin_port: int,
    allow_anonymous: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    state_dir: Path | None,
    max_body: int,
    body_timeout: float,
    idle_timeout: float,
    stall_timeout: float,
    drain_timeout: float,
    upstream_ca: Path | None,
    log_level: str,
) -> None:
    """Serve /v1/responses from a folder of manifests, and take every change live.

    In place of the folder it may be the configuration of a LiteLLM proxy.

    Every option has an environment variable: SLUICEGATE_ and its name in capitals.
    """
    served = manifests or litellm_config
    if served is None or (manifests is not None and litellm_config is not None):
        raise click.UsageError("Give either --manifests or --litellm-config.")
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    if allow_anonymous == "loopback" and not _is_loopback(host):
        raise click.UsageError(
            f"--allow-anonymous would serve anybody who reaches {host}: "
            "if that is meant, say --allow-anonymous=any."
        )
    logs.configure(log_level)
    environ = dict(os.environ)
    settings = ServerSettings(
        host=host,
        port=port,
        admin_host=admin_host,
        admin_port=admin_port,
        tls=(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None,
        drain_seconds=drain_timeout,
        idle_seconds=idle_timeout,
        limits=ExchangeLimits(max_body, body_timeout, stall_timeout),
        allow_anonymous=allow_anonymous is not None,
    )

    def source(store: LiveStore) -> Source:
        if manifests is None:
            return LiteLLMSource(
                served,
                environ=environ,
                settings=Settings.folder(),
                publish=lambda compilation: store.publish_steps(compilation.config),
            )
        return FolderSource(
            manifests,
            state_dir=state_dir or default_state_dir(environ),
            environ=environ,
            settings=Settings.folder(),
            publish=lambda compilation: store.publish_steps(compilation.config),
        )

    _run(served, settings, upstream_ca, environ, source)


def _run(
    served: Path,
    settings: ServerSettings,
    upstream_ca: Path | None,
    environ: Mapping[str, str],
    source: Callable[[LiveStore], Source],
) -> None:
    """Serve until asked to stop; what keeps the gateway from starting is told in one line."""

    def started(public: int, admin: int) -> None:
        scheme = "https" if settings.tls is not None else "http"
        click.echo(
            f"sluicegate serves {served} at {scheme}://{_in_url(settings.host)}:{public}/v1 "
            f"(admin: http://{_in_url(settings.admin_host)}:{admin})",
            err=True,
        )

    if upstream_ca is not None:
        _check_authorities(upstream_ca)
    try:
        transport = TransportSettings(
            ca_file=str(upstream_ca) if upstream_ca is not None else None,
            proxies=proxies_from_environment(environ),
        )
        uvloop.run(run(settings, transport, environ, source, started))
    except CannotListen as error:
        raise click.ClickException(_cannot_listen(error, settings)) from error
    except PairRefused as error:
        option = "--tls-key" if error.of_key else "--tls-cert"
        raise click.ClickException(f"{option}: {error}.") from error
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _check_authorities(path: Path) -> None:
    """Raises click.ClickException for a file that holds no certificates."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise click.ClickException(
            f"--upstream-ca: {path} holds no certificates in PEM form."
        ) from error


def _cannot_listen(error: CannotListen, settings: ServerSettings) -> str:
    """Why a port can't be opened, and which option changes that."""
    if error.public:
        host, port, prefix = settings.host, settings.port, "--"
    else:
        host, port, prefix = settings.admin_host, settings.admin_port, "--admin-"
    match error.cause:
        case OSError(errno=errno.EADDRINUSE):
            return f"Port {port} is in use; choose another with {prefix}port."
        case OSError(errno=errno.EACCES):
            return f"Port {port} may not be opened by this user; choose another with {prefix}port."
        case OSError(errno=errno.EADDRNOTAVAIL):
            return f"{prefix}host: {host} is not an address of this machine."
        case OSError(errno=errno.EAFNOSUPPORT):
            return f"{prefix}host: this machine has no addresses of the kind of {host}."
        case socket.gaierror() | UnicodeError():
            return f"{prefix}host: {host!r} is not an address, nor a name that resolves to one."
        case _:
            return f"{prefix}host {host}, {prefix}port {port}: {error}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
