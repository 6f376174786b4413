"""How stores name who is limited. Pure; documented in docs/limits.md."""

from __future__ import annotations

import hashlib

PREFIX = "{sluicegate}:limits:"  # braces: on a Redis Cluster all keys lie on one node


def counts_key(subject: str) -> str:
    """The key that a shared store has a subject's counts at."""
    return f"{PREFIX}counts:{subject}"


def key_subject(key: str) -> str:
    """An ApiKey, given as namespace/name."""
    return f"key:{key}"


def end_user_subject(key: str, end_user: str) -> str:
    """An end user of a key, by the name that is written down of them.

    Whatever a client sends becomes a name of bounded length that tells nothing of anybody.
    """
    digest = hashlib.blake2b(end_user.encode(errors="replace"), digest_size=16).hexdigest()
    return f"user:{key}:{digest}"


def deployment_subject(deployment: str) -> str:
    """A ModelDeployment, given as namespace/name."""
    return f"deployment:{deployment}"


def namespace_subject(caller: str, deployment: str) -> str:
    """A namespace whose keys call a deployment of another one."""
    return f"namespace:{caller}:{deployment}"
