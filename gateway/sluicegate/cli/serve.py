"""`sluicegate serve`: a gateway process."""

from __future__ import annotations

import errno
import importlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import uvloop

from sluicegate.cli.log_options import log_options, sink_settings
from sluicegate.cli.state_dir import STATE_DIR
from sluicegate.compile import Settings
from sluicegate.ledger import LedgerSettings
from sluicegate.limits import OnFailure
from sluicegate.pipeline.gateway import END_USER_HEADER
from sluicegate.ports import port_or
from sluicegate.server.exchange import ExchangeLimits
from sluicegate.server.process import CannotListen, MakeSource, ServerSettings, run
from sluicegate.server.tls import PairRefused
from sluicegate.source.folder import FolderSource
from sluicegate.source.keystore import default_state_dir
from sluicegate.telemetry import logs
from sluicegate.transport import TransportSettings, proxies_from_environment

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PORT, _ADMIN_PORT = 4000, 4001
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, section 5.6.2


class _Callers(click.Choice[str]):
    """Whom to serve without a key; what variables of the environment say for "yes" is loopback."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        said_yes = isinstance(value, str) and value.lower() in {"1", "true", "yes", "on"}
        return super().convert("loopback" if said_yes else value, param, ctx)


def _header_name(value: str) -> str:
    """A header's name, in small letters. Raises ValueError."""
    if _TOKEN.fullmatch(value) is None:
        raise ValueError("that is no name of a header")
    return value.lower()


def _hash_key(value: str) -> bytes:
    """Raises ValueError for an empty one: names that are to be hidden would be seen."""
    if not value:
        raise ValueError("it is empty: give a key, or leave the option out")
    return value.encode()


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
@click.option(
    "--cluster",
    is_flag=True,
    show_envvar=True,
    help="What the operator publishes in a Kubernetes cluster: KUBECONFIG's, else the pod's own.",
)
@click.option(
    "--config-namespace",
    help="With --cluster: namespace of the config Secrets.  [default: the pod's, or the context's]",
)
@click.option("--config-name", default="sluicegate", help="With --cluster: name of the config.")
@click.option(
    "--pod-name",
    default=socket.gethostname,
    show_default="hostname",
    help="With --cluster: by what name this gateway tells the operator what it serves.",
)
@click.option(
    "--pod-uid",
    default="",
    help="With --cluster: uid of this pod, in the config's namespace, that the Lease ends with.",
)
@click.option("--host", default="127.0.0.1", help="Address of the public port.")
@click.option(
    "--port", type=port_or(_PORT), default=_PORT, help="Public port; 0 takes any free one."
)
@click.option("--admin-host", default="127.0.0.1", help="Address of the admin port.")
@click.option(
    "--admin-port", type=port_or(_ADMIN_PORT), default=_ADMIN_PORT, help="Probes, metrics, /config."
)
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
    type=STATE_DIR,
    help="Where minted keys, the last good bundle and the ledger are kept.  [default: per user]",
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
    "--limits-url",
    show_envvar=True,
    help="Valkey or Redis where limits and budgets are counted with other gateways.  "
    "[default: in memory, for this one alone]",
)
@click.option(
    "--limits-on-failure",
    type=click.Choice([each.value for each in OnFailure]),
    default=OnFailure.LOCAL.value,
    help="While that is away: count in memory, or reject what is limited.",
)
@click.option(
    "--store-url",
    metavar="URL",
    show_envvar=True,
    help="Where the spend ledger is: postgresql://…, sqlite:///file, or none.  "
    "[default: a file in the state folder]",
)
@click.option(
    "--cost-in-streams",
    is_flag=True,
    help="Add usage.cost to the last event of every stream, not only where the client asks.",
)
@click.option(
    "--end-user-hash-key",
    metavar="TEXT",
    type=_hash_key,
    show_envvar=True,
    help="Write end users down as an HMAC with this key, not by their names.",
)
@click.option(
    "--end-user-header",
    metavar="NAME",
    default=END_USER_HEADER,
    show_default=True,
    type=_header_name,
    help="The request header that says whom a request is for.",
)
@log_options
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
def serve(
    *,
    manifests: Path | None,
    litellm_config: Path | None,
    cluster: bool,
    config_namespace: str | None,
    config_name: str,
    pod_name: str,
    pod_uid: str,
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
    limits_url: str | None,
    limits_on_failure: str,
    store_url: str | None,
    cost_in_streams: bool,
    end_user_hash_key: bytes | None,
    end_user_header: str,
    log_sinks: tuple[str, ...],
    log_content: bool,
    log_masks: tuple[str, ...],
    trace_ratio: float,
    log_level: str,
) -> None:
    """Serve /v1/responses from a folder of manifests, and take every change live.

    In place of the folder it may be the configuration of a LiteLLM proxy, or what the operator
    publishes in a cluster.

    Every option has an environment variable: SLUICEGATE_ and its name in capitals.
    """
    if (manifests is not None) + (litellm_config is not None) + cluster != 1:
        raise click.UsageError("Give one of --manifests, --litellm-config and --cluster.")
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    if allow_anonymous == "loopback" and not _is_loopback(host):
        raise click.UsageError(
            f"--allow-anonymous would serve anybody who reaches {host}: "
            "if that is meant, say --allow-anonymous=any."
        )
    logs.configure(log_level)
    environ = dict(os.environ)
    state_dir = state_dir or default_state_dir(environ)
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
        ledger=None if store_url == "none" else LedgerSettings(state_dir, store_url or None),
        end_user_key=end_user_hash_key,
        end_user_header=end_user_header,
        cost_in_streams=cost_in_streams,
        sinks=sink_settings(log_sinks, log_masks, trace_ratio, environ, content=log_content),
        limits_url=limits_url or None,
        limits_on_failure=OnFailure(limits_on_failure),
    )
    if manifests is not None:
        served, source = str(manifests), _folder_source(manifests, state_dir, environ)
    elif litellm_config is not None:
        served, source = _source("litellm")(litellm_config, environ)
    else:
        place = (config_namespace, config_name, pod_name, pod_uid)
        served, source = _source("cluster")(environ, state_dir, *place)
    _run(served, settings, upstream_ca, environ, source)


def _source(kind: str) -> Callable[..., tuple[str, MakeSource]]:
    """What names a source for people and makes it; imported when it is meant, for its memory."""
    return getattr(importlib.import_module(f"sluicegate.cli.{kind}_source"), f"{kind}_source")


def _folder_source(folder: Path, state_dir: Path, environ: Mapping[str, str]) -> MakeSource:
    return lambda store: FolderSource(
        folder,
        state_dir=state_dir,
        environ=environ,
        settings=Settings.folder(),
        publish=lambda compilation: store.publish_steps(compilation.config),
    )


def _run(
    served: str,
    settings: ServerSettings,
    upstream_ca: Path | None,
    environ: Mapping[str, str],
    source: MakeSource,
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
        with logs.written_first():
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
