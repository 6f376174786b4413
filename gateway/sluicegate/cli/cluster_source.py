"""`sluicegate serve --cluster`: a gateway that serves what the operator publishes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from sluicegate.cluster import AccessError, load_access
from sluicegate.server.process import MakeSource
from sluicegate.source.cluster import ClusterSource
from sluicegate.source.cluster_lease import ClusterPlace


def cluster_source(
    environ: Mapping[str, str],
    state_dir: Path,
    namespace: str | None,
    name: str,
    pod_name: str,
    pod_uid: str,
) -> tuple[str, MakeSource]:
    """The place, and its source. Without a namespace it is the one of whom the access is for."""
    try:
        access = load_access(environ)
    except AccessError as error:
        raise click.ClickException(f"--cluster: {error}") from error
    place = ClusterPlace(namespace or access.namespace, name, pod_name, pod_uid)
    return str(place), lambda store: ClusterSource(
        access,
        place,
        state_dir=state_dir,
        publish=store.publish_steps,
        refused=lambda: store.current.snapshot.refused,
    )
