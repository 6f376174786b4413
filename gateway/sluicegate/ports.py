"""Ports as the options of both programs take them."""

from __future__ import annotations

from collections.abc import Callable


def port_or(otherwise: int) -> Callable[[str], int]:
    """Reads a TCP port; raises ValueError for what is none.

    In a cluster SLUICEGATE_PORT may be `tcp://…`, set for a Service of that name (Kubernetes:
    "Accessing the Service", environment variables). That is not meant for us: then it is
    `otherwise`.
    """

    def port(value: str) -> int:
        if str(value).startswith("tcp://"):
            return otherwise
        try:
            number = int(value)
        except ValueError:
            number = -1
        if not 0 <= number < 65536:
            raise ValueError("a port is a number from 0 to 65535")
        return number

    return port
