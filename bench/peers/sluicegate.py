"""Our gateway: one process with client keys, limits, cost and metrics on."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench import calls, manifests
from bench.calls import Call, Workload
from bench.peers.contract import Launch, Site

NAME = "sluicegate"


@dataclass(frozen=True, slots=True)
class Sluicegate:
    """The gateway's command on a folder of manifests that is made for it."""

    command: tuple[str, ...]
    version: str
    name: str = NAME
    deployments: int = 0
    keys: int = 1
    limited: bool = True  # whether the keys have limits and a budget
    folder: Path | None = None  # an existing folder of manifests instead of a generated one
    options: tuple[str, ...] = ()

    def launch(self, site: Site) -> Launch:
        """Ready when the admin port says so."""
        folder = self.folder or manifests_of(site)
        if self.folder is None:
            manifests.write_folder(
                folder,
                mock_port=site.mock_port,
                deployments=self.deployments,
                keys=self.keys,
                limited=self.limited,
            )
        return Launch(
            argv=(
                *(*self.command, "serve", "--manifests", str(folder), "--host", "127.0.0.1"),
                *("--port", str(site.port), "--admin-port", str(site.admin_port)),
                *("--state-dir", str(site.folder / "state"), *self.options),
            ),
            ready_port=site.admin_port,
            ready_path="/readyz",
            # What the user has set for a gateway of their own is no part of the measurement.
            env={k: v for k, v in os.environ.items() if not k.startswith("SLUICEGATE_")},
        )

    def call(self, workload: Workload, site: Site) -> Call | None:
        """A request of the first key."""
        del site
        model = manifests.model_of(workload)
        return calls.call("/v1/responses", model, workload, calls.client_key())


def manifests_of(site: Site) -> Path:
    """Where the generated manifests of a site lie."""
    return site.folder / "manifests"
