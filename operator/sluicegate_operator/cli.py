"""The `sluicegate-operator` command."""

from __future__ import annotations

import logging
import os
import socket
from importlib.metadata import version

import click
import uvloop

from sluicegate.bundle import Refused
from sluicegate.cluster import AccessError, load_access
from sluicegate.compile import Settings
from sluicegate.limits.spent import SpentReader
from sluicegate.ports import port_or
from sluicegate.telemetry import logs
from sluicegate_operator.leader import LeadershipLost
from sluicegate_operator.observe import Scope
from sluicegate_operator.process import OperatorSettings
from sluicegate_operator.process import run as run_operator
from sluicegate_operator.status.fleet import SILENCE

_PORT = 4002


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("sluicegate"), prog_name="sluicegate-operator")
def main() -> None:
    """What turns ModelDeployments and ApiKeys into the configuration of gateways."""


@main.command(context_settings={"auto_envvar_prefix": "SLUICEGATE", "show_default": True})
@click.option("--watch-namespace", multiple=True, help="Look after this namespace only; repeat it.")
@click.option("--selector", default="", help="Look after objects with these labels only.")
@click.option("--config-namespace", help="Where gateways run.  [default: the operator's own]")
@click.option("--config-name", default="sluicegate", help="Name of the bundle's Secrets.")
@click.option(
    "--sharing-namespace",
    multiple=True,
    help="Deployments of this namespace may be shared; repeat it.  [default: the config namespace]",
)
@click.option(
    "--ambient-namespace",
    multiple=True,
    help="Objects here may use the gateway's own credentials.  [default: the config namespace]",
)
@click.option(
    "--ambient-base-url", multiple=True, help="Ambient credentials may go to this URL; repeat it."
)
@click.option(
    "--upstream-allow",
    multiple=True,
    help="Private upstreams that are allowed: a CIDR, a host or a .suffix; repeat it.",
)
@click.option(
    "--gateway-deployment", help="Deployment of the gateways: its replicas are how many there are."
)
@click.option(
    "--gateway-silence",
    type=click.FloatRange(1),
    default=SILENCE,
    help="Seconds after which a gateway that does not renew its Lease counts as unreachable.",
)
@click.option(
    "--require-label/--no-require-label",
    default=True,
    help='Use only Secrets with the label sluicegate.dev/credential: "true".',
)
@click.option(
    "--limits-url",
    show_envvar=True,
    help="Valkey or Redis where the gateways count limits and budgets: ApiKeys then say what they "
    "have spent.",
)
@click.option("--pod-name", help="Name in the Lease of the leader.  [default: the host's]")
@click.option("--host", default="0.0.0.0", help="Address of the port.")  # noqa: S104 -- kubelet and Prometheus come from outside
@click.option(
    "--port", type=port_or(_PORT), default=_PORT, help="Probes and metrics; 0 takes any free one."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
def run(
    *,
    watch_namespace: tuple[str, ...],
    selector: str,
    config_namespace: str | None,
    config_name: str,
    sharing_namespace: tuple[str, ...],
    ambient_namespace: tuple[str, ...],
    ambient_base_url: tuple[str, ...],
    upstream_allow: tuple[str, ...],
    gateway_deployment: str | None,
    gateway_silence: float,
    require_label: bool,
    limits_url: str | None,
    pod_name: str | None,
    host: str,
    port: int,
    log_level: str,
) -> None:
    """Follow the objects of a cluster, publish the configuration, and say what came of it.

    Reads KUBECONFIG, else the pod's ServiceAccount. Every option has an environment variable:
    SLUICEGATE_ and its name in capitals; several values are separated by spaces.
    """
    logs.configure(log_level)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        access = load_access(os.environ)
    except AccessError as error:
        raise click.ClickException(str(error)) from error
    try:
        spent = SpentReader(limits_url) if limits_url else None
    except ValueError as error:
        raise click.ClickException(f"--limits-url: {error}") from error
    namespace = config_namespace or access.namespace
    settings = OperatorSettings(
        scope=Scope(
            config_namespace=namespace,
            config_name=config_name,
            namespaces=tuple(dict.fromkeys(watch_namespace)),
            selector=selector,
            require_label=require_label,
            gateway_deployment=gateway_deployment,
        ),
        compile=Settings.cluster(
            namespace,
            sharing_namespaces=frozenset(sharing_namespace),
            ambient_namespaces=frozenset(ambient_namespace),
            ambient_base_urls=frozenset(ambient_base_url),
            upstream_allow=upstream_allow,
            require_label=require_label,
        ),
        identity=pod_name or socket.gethostname(),
        host=host,
        port=port,
        gateway_silence=gateway_silence,
        spent=spent,
    )
    try:
        with logs.written_first():
            uvloop.run(run_operator(settings, access))
    except (LeadershipLost, Refused, OSError) as error:
        raise click.ClickException(str(error)) from error
