"""Upstream connections: the only code of the gateway that opens them.

A lean HTTP/1.1 client, because the general one costs more than the rest of a request: `client` has
the pool, `dial` opens connections, `connection` carries exchanges, `decoder` reads the wire.
"""

from .addresses import AddressPolicy, parse_allow_list
from .client import Transport
from .connection import UpstreamAnswer
from .errors import (
    AddressRefused,
    AnswerTooLarge,
    ConnectFailed,
    ConnectionLost,
    ProtocolViolation,
    RequestRefused,
    TimedOut,
    UpstreamError,
)
from .messages import (
    AttemptTimeouts,
    Headers,
    Origin,
    UpstreamRequest,
    end_to_end,
    forget_heads,
    parse_base_url,
)
from .settings import Proxy, ProxySettings, TransportSettings, proxies_from_environment

__all__ = [
    "AddressPolicy",
    "AddressRefused",
    "AnswerTooLarge",
    "AttemptTimeouts",
    "ConnectFailed",
    "ConnectionLost",
    "Headers",
    "Origin",
    "ProtocolViolation",
    "Proxy",
    "ProxySettings",
    "RequestRefused",
    "TimedOut",
    "Transport",
    "TransportSettings",
    "UpstreamAnswer",
    "UpstreamError",
    "UpstreamRequest",
    "end_to_end",
    "forget_heads",
    "parse_allow_list",
    "parse_base_url",
    "proxies_from_environment",
]
