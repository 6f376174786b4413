"""What a reader of a provider's parameters gets, and what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from sluicegate.litellm_config.findings import Findings, Place
from sluicegate.litellm_config.secrets import JsonObject, Keyring
from sluicegate.litellm_config.values import ReadFile, Section

_FULL_URL = re.compile(r"/(chat/completions|completions|responses|embeddings)/?$")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a reader gets: one deployment of `model_list`."""

    name: str  # of the object to be
    model: str  # what follows the prefix
    prefix: str
    params: Section
    info: Section
    keyring: Keyring
    read_file: ReadFile = field(repr=False)

    @property
    def findings(self) -> Findings:
        """Where findings go."""
        return self.params.findings

    @property
    def place(self) -> Place:
        """Where the model is."""
        return self.params.place("model")

    def variable(self, *names: str) -> str | None:
        """The first of these environment variables that is set."""
        values = (self.params.environment.get(name) for name in names)
        return next((value for value in values if value), None)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The provider's part of a spec."""

    provider: str
    fields: JsonObject
    credentials: JsonObject | None = None
    # Which key of litellm_params a field comes from, where that has another name.
    keys: Mapping[str, str] = field(default_factory=lambda: {"baseURL": "api_base"})


class LeftOut(Exception):
    """The deployment has no counterpart; the message says what to do. Nothing is wrong with it."""


Reader: TypeAlias = Callable[[Entry], Upstream]


def single_key(entry: Entry, *variables: str) -> JsonObject | None:
    """The credentials of a provider with a single key.

    Without `api_key` it is in one of the provider's environment variables, which the gateway reads
    by itself; only one that the configuration sets has to be carried over.
    """
    value = entry.params.credential("api_key")
    place = entry.params.place("api_key")
    if value is None:
        environment = entry.params.environment
        name = next((name for name in variables if environment.is_written(name)), None)
        if name is None:
            return None
        value = environment.credential(name)
    return entry.keyring.single(value, place, entry.name)


def base_url(entry: Entry, *, cut: re.Pattern[str] = _FULL_URL) -> str | None:
    """`api_base` without what the provider's SDK appends itself."""
    written = entry.params.text("api_base")
    other = entry.params.text("base_url")
    if written is None and other is not None:
        written = other
    if written is None:
        return None
    return cut.sub("", written.strip().rstrip("/")).rstrip("/")


def host_of(url: str | None) -> str:
    """The host of a URL; empty where there is none."""
    try:
        return (urlsplit(url or "").hostname or "").lower()
    except ValueError:
        return ""
