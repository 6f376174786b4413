"""`kubectl sluicegate spend`: `sluicegate spend`, run in a gateway's pod, which has the ledger.

Guide: docs/cost.md.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click

from sluicegate.cli.cluster_objects import (
    Cluster,
    cluster_options,
    controllers,
    gateway_leases,
    stored_objects,
)
from sluicegate.cluster import ClusterClient, Lease


@click.command(
    name="spend", context_settings={"ignore_unknown_options": True, "auto_envvar_prefix": None}
)
@click.option(
    "-n", "--namespace", metavar="NS", help="of the gateways  [default: of your objects']"
)
@click.option("--config-name", default="sluicegate", show_default=True, help="of the gateways")
@cluster_options
@click.argument("arguments", metavar="[OPTIONS OF SPEND]...", nargs=-1, type=click.UNPROCESSED)
def spend_in_pod(
    *,
    arguments: tuple[str, ...],
    namespace: str | None,
    config_name: str,
    kubeconfig: Path | None,
    context: str,
) -> None:
    """Show what was spent, by key, end user, model, tag or day.

    Runs `sluicegate spend` in a gateway's pod, by `kubectl exec`; all options but those below are
    that command's: --by key|end-user|model|tag|day, --since 7d, --json, --csv.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise click.ClickException("kubectl is not on PATH")

    async def find(client: ClusterClient) -> tuple[str, str]:
        controller = f"{namespace}/{config_name}"
        if namespace is None:
            found = controllers(await stored_objects(client, client.access.namespace))
            if len(found) != 1:
                raise click.UsageError("--namespace has to say where the gateways are")
            controller = found[0]
        leases = await gateway_leases(client, controller)
        if not leases:
            raise click.ClickException(f"no gateway of {controller} is running")
        return controller.partition("/")[0], max(leases, key=_renewed).metadata.name

    cluster = Cluster(kubeconfig, context)
    where, pod = cluster.ask(find)
    command = ["exec", *cluster.arguments(), "-n", where, pod, "--", "sluicegate", "spend"]
    ended = subprocess.run([kubectl, *command, *arguments], check=False)  # noqa: S603 -- kubectl, which has run us
    raise click.exceptions.Exit(ended.returncode)


def _renewed(lease: Lease) -> str:
    """RFC 3339 of one server: the latest is the greatest."""
    return lease.spec.renew_time or ""
