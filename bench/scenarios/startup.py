"""From the start of the process until the admin port's /readyz answers 200."""

from dataclasses import replace

from bench.options import ROOT
from bench.rig import Rig

_MORE_STARTS = 2  # than rounds
QUICK_START, MANY = "startup-quickstart", "startup-many"


def run(rig: Rig) -> None:
    """The quick start as `make run` serves it, then many deployments and keys."""
    rig.rest()
    quick_start = replace(
        rig.gateway, folder=ROOT / "examples" / "quickstart", options=("--allow-anonymous",)
    )
    many = replace(rig.gateway, deployments=rig.options.deployments, keys=rig.options.deployments)
    for number in range(rig.options.rounds + _MORE_STARTS):
        for scenario, gateway in ((QUICK_START, quick_start), (MANY, many)):
            target = rig.launch(gateway, name=f"{scenario}-{number}")
            values = {"ready_s": target.start_seconds, "rss_mb": target.server.rss_mb()}
            rig.stop(target)
            rig.record(scenario, gateway.name, number, values)
