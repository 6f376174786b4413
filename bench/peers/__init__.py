"""What is measured: our gateway and the proxies it is compared with, one file each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.peers import envoy, litellm, nginx, portkey
from bench.peers.contract import Peer
from bench.tools import Cache

# What `--peers` may name. Each is installed when it is asked for the first time.
PEERS: Mapping[str, Callable[[Cache], Peer]] = MappingProxyType(
    {
        "envoy": envoy.install,
        "litellm": litellm.install,
        "nginx": nginx.install,
        "portkey": portkey.install,
    }
)
