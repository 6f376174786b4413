"""What a program says that calls a provider itself, and the protocol that turns it into a call.

Each provider's folder has a `direct.py` with a Direct: how keywords and the provider's usual
environment variables become an upstream and a credential. A keyword goes before a variable. The
SDK calls these; the gateway reads manifests instead. Sans-IO.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sluicegate.config import Credential, SecretCredential, Upstream


class NotConfigured(Exception):
    """Something that a call needs was not given. The message names keyword and variable."""


class Unset(NotConfigured):
    """A keyword was not given, and no variable has it; something else on the machine might."""

    def __init__(self, keyword: str, message: str) -> None:
        super().__init__(message)
        self.keyword = keyword


class DirectOptions(NamedTuple):
    """The keywords of one call. `google_credentials` is the text of a credential file (JSON)."""

    api_key: str | None = None
    base_url: str | None = None
    api: str | None = None
    organization: str | None = None
    project: str | None = None
    vertex_project: str | None = None
    vertex_location: str | None = None
    google_credentials: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    aws_region_name: str | None = None
    aws_role_name: str | None = None
    aws_session_name: str | None = None
    aws_external_id: str | None = None

    def __repr__(self) -> str:  # it holds credentials
        return "DirectOptions(…)"


class Direct(Protocol):
    """One provider, called without a deployment."""

    @property
    def name(self) -> str:
        """What comes before the `/` of a model's name; the same as its connectors' `provider`."""
        ...

    @property
    def credentials_from(self) -> str:
        """How a program gives its credentials, for messages."""
        ...

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[Upstream, Credential]:
        """Where `model` is and what is presented there.

        Raises NotConfigured where something is missing or can't be sent.
        """
        ...


def first(*values: str | None) -> str | None:
    """The first that is there and not empty."""
    return next((value for value in values if value), None)


def single_key(
    options: DirectOptions, environ: Mapping[str, str], *variables: str
) -> SecretCredential:
    """The key of `api_key`, else of the first of `variables` that is set. Raises NotConfigured."""
    key = first(options.api_key, *(environ.get(name) for name in variables))
    if key is None:
        raise NotConfigured(f"no credentials: {key_from(variables[0])}")
    return SecretCredential(sendable("the API key", key))


def key_from(variable: str) -> str:
    """How a program gives a single key, for messages."""
    return f"pass api_key, or set {variable}"


def sendable(what: str, value: str) -> str:
    """`value`, if a header can hold it. Raises NotConfigured, without the value."""
    if not (value.isascii() and value.isprintable()):
        raise NotConfigured(f"{what} has characters that no header can hold")
    return value


def matching(what: str, value: str, pattern: re.Pattern[str]) -> str:
    """`value`, which becomes part of a host or a path. Raises NotConfigured."""
    if pattern.fullmatch(value) is None:
        raise NotConfigured(f"{what} is not valid: {value!r}")
    return value
