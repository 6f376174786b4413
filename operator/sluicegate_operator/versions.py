"""Resource versions: numbers that grow (KEP-5504); of others nothing is known but equality."""

from __future__ import annotations


def is_older(one: str, other: str) -> bool:
    """Whether one resource version is known to be older than another."""
    if one.isascii() and one.isdigit() and other.isascii() and other.isdigit():
        return int(one) < int(other)
    return False
