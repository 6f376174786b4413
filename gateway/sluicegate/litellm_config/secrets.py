"""The Secrets and ApiKeys that hold what deployments present to their providers."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from sluicegate.litellm_config.findings import Findings, Place
from sluicegate.litellm_config.naming import Names, slug
from sluicegate.litellm_config.values import Credential, FromVariable, Literal
from sluicegate.resources.documents import CREDENTIAL_LABEL, PLACEHOLDER
from sluicegate.resources.manifest import API_VERSION
from sluicegate.resources.yaml_documents import JsonValue

JsonObject: TypeAlias = dict[str, JsonValue]
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_LITERAL = (
    "is a key in plain text; it is now in a Secret, which does not belong in Git either: keep it "
    "in a secret store, or write os.environ/NAME"
)
_ENTRY = "api-key"


class Made(NamedTuple):
    """An object, and where it comes from."""

    value: JsonObject
    place: Place


class Keyring:
    """Every credential of the configuration, each in one Secret however often it is used."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._names = Names()
        self._key_names = Names()
        self._secrets: dict[tuple[tuple[str, Credential], ...], str] = {}
        self._keys: dict[tuple[str, ...], str] = {}
        self.made: list[Made] = []

    def single(self, value: Credential, place: Place, owner: str) -> JsonObject | None:
        """`spec.credentials` for a single key, or None where it can be none."""
        if not self._usable(value, place):
            return None
        name = self._secret({_ENTRY: value}, place, f"{owner}-key")
        return {"secretRef": {"name": name, "key": _ENTRY}}

    def placeholder(self, place: Place) -> JsonObject:
        """`spec.credentials` for a server that wants no key."""
        values: dict[str, Credential] = {_ENTRY: Literal("none")}
        name = self._secret(values, place, "no-key")
        return {"secretRef": {"name": name, "key": _ENTRY}}

    def aws(
        self, values: Mapping[str, Credential], role: Mapping[str, str], place: Place, owner: str
    ) -> JsonObject | None:
        """`spec.credentials` for AWS keys, a role, or both."""
        if not all(self._usable(value, place) for value in values.values()):
            return None
        aws: JsonObject = dict(role)
        if values:
            aws = {"secretRef": {"name": self._secret(values, place, f"{owner}-aws")}, **aws}
        return self._through_key({"aws": aws}, place, f"{owner}-aws")

    def google(self, value: Credential, place: Place, owner: str) -> JsonObject:
        """`spec.credentials` for a Google credential file."""
        if isinstance(value, Literal):
            self._findings.warning(place, _LITERAL)
        name = self._secret({"credentials.json": value}, place, f"{owner}-google")
        reference: JsonObject = {"name": name, "key": "credentials.json"}
        return self._through_key({"google": {"secretRef": reference}}, place, name)

    def client(self, value: FromVariable, place: Place, name: str) -> JsonObject:
        """The reference of a client key to its Secret. First of all, so that it has its name."""
        return {"name": self._secret({"key": value}, place, name), "key": "key"}

    def client_key(self, name: str, spec: JsonObject, place: Place) -> None:
        """An ApiKey for callers."""
        name = self._key_names.claim(name, name)
        self.made.append(Made(_api_key_manifest(name, {"client": spec}), place))

    def _usable(self, value: Credential, place: Place) -> bool:
        if isinstance(value, FromVariable):
            return True
        if _VISIBLE.fullmatch(value.text) is None:
            self._findings.error(
                place, "must be a key: one line of printable ASCII without white space"
            )
            return False
        if PLACEHOLDER.fullmatch(value.text) is not None:
            self._findings.error(place, "must be a key, or os.environ/NAME for a variable")
            return False
        self._findings.warning(place, _LITERAL)
        return True

    def _secret(self, values: Mapping[str, Credential], place: Place, owner: str) -> str:
        identity = tuple(values.items())
        if identity in self._secrets:
            return self._secrets[identity]
        first = next(iter(values.values()))
        wanted = slug(first.name) if isinstance(first, FromVariable) else owner
        name = self._names.claim(wanted, owner)
        self._secrets[identity] = name
        self.made.append(Made(_secret_manifest(name, values), place))
        return name

    def _through_key(self, upstream: JsonObject, place: Place, owner: str) -> JsonObject:
        identity = (repr(sorted(upstream.items())),)
        if identity not in self._keys:
            name = self._keys[identity] = self._key_names.claim(owner, repr(place.path))
            spec: JsonObject = {"upstream": upstream}
            self.made.append(Made(_api_key_manifest(name, spec), place))
        return {"apiKeyRef": {"name": self._keys[identity]}}


def _secret_manifest(name: str, values: Mapping[str, Credential]) -> JsonObject:
    """A Secret, labelled as a credential."""
    made: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {CREDENTIAL_LABEL: "true"}},
    }
    for key, value in values.items():
        if isinstance(value, FromVariable):
            _entries(made, "stringData")[key] = f"$({value.name})"
        elif value.text.startswith("$("):  # in stringData that would be a variable
            _entries(made, "data")[key] = base64.b64encode(value.text.encode()).decode()
        else:
            _entries(made, "stringData")[key] = value.text
    return made


def _entries(made: JsonObject, section: str) -> JsonObject:
    entries = made.setdefault(section, {})
    assert isinstance(entries, dict)  # noqa: S101 -- set just now
    return entries


def _api_key_manifest(name: str, spec: JsonObject) -> JsonObject:
    """An ApiKey."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "metadata": {"name": name},
        "spec": spec,
    }
