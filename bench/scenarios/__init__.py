"""What can be measured, by the names that `--only` takes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.rig import Rig
from bench.scenarios import (
    accounting,
    cluster,
    faults,
    latency,
    memory,
    startup,
    throughput,
    translated,
)

# These start gateways of their own, or want no peer beside it.
ALONE = frozenset({"accounting", "reload", "faults", "memory", "startup", "cluster"})
GATEWAY_ONLY = ALONE | {"echo", "translated"}

SCENARIOS: Mapping[str, Callable[[Rig], None]] = MappingProxyType(
    {
        "passthrough": throughput.passthrough,
        "streams": throughput.streams,
        "echo": throughput.echo,
        "translated": translated.run,
        "accounting": accounting.run,
        "latency": latency.added,
        "reload": latency.during_reloads,
        "faults": faults.run,
        "memory": memory.run,
        "startup": startup.run,
        "cluster": cluster.run,
    }
)
