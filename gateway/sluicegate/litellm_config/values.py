"""Reads the values of a configuration: each key is taken once, and what nobody took is told.

`os.environ/NAME` in place of a value stands for an environment variable, as in LiteLLM. A
credential stays a reference to the variable; anything else is read from the environment at once,
because a manifest has no variables outside of Secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from sluicegate.litellm_config.findings import Findings, Place
from sluicegate.resources.yaml_documents import JsonValue

_REFERENCE = "os.environ/"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Beyond these a number is no price, limit or time.
_LARGEST = Decimal(10) ** 18
_MOST_DIGITS = 64


class Unreadable(Exception):
    """A file can't be read; the message says why."""


ReadFile: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class FromVariable:
    """A credential that is in an environment variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A credential that is written in the configuration."""

    text: str

    def __repr__(self) -> str:
        return "Literal(…)"


Credential: TypeAlias = FromVariable | Literal


class Environment:
    """The environment variables: those of the process, and those of `environment_variables`."""

    def __init__(self, process: Mapping[str, str], written: Mapping[str, str]) -> None:
        self._process = process
        self._written = written
        self.used: set[str] = set()  # which of the written ones something refers to

    def credential(self, name: str) -> Credential:
        """What a variable holds, for a Secret."""
        for _ in range(len(self._written) + 1):
            self.used.add(name)
            text = self._written.get(name)
            if text is None:
                return FromVariable(name)
            referred = text.removeprefix(_REFERENCE)
            if referred == text or _VARIABLE.fullmatch(referred) is None:
                return Literal(text)
            name = referred
        return FromVariable(name)  # they refer to each other in a circle

    def get(self, name: str) -> str | None:
        """The value of a variable; None: it is not set."""
        found = self.credential(name)
        return self._process.get(found.name) if isinstance(found, FromVariable) else found.text

    def is_written(self, name: str) -> bool:
        """Whether the configuration itself sets it."""
        return name in self._written


class Section:
    """A mapping of the configuration."""

    def __init__(
        self,
        value: Mapping[str, JsonValue],
        place: Place,
        findings: Findings,
        environment: Environment,
    ) -> None:
        self._value = value
        self._taken: set[str] = set()
        self._places: dict[str, Place] = {}
        self.root = place
        self.findings = findings
        self.environment = environment

    def place(self, key: str) -> Place:
        """Where a key is."""
        return self._places.get(key) or self.root.below(key)

    def has(self, key: str) -> bool:
        """Whether a key is there with a value. Does not take it."""
        return self._value.get(key) is not None

    def take(self, key: str) -> JsonValue:
        """The value of a key, of whatever type; None: there is none."""
        self._taken.add(key)
        return self._value.get(key)

    def left(self) -> Iterator[tuple[str, JsonValue]]:
        """What nobody took."""
        for key, value in self._value.items():
            if key not in self._taken and value is not None:
                yield key, value

    def with_defaults(self, other: Section) -> Section:
        """This one, and what another has besides, at its own place."""
        merged = Section(
            {**other._value, **self._value}, self.root, self.findings, self.environment
        )
        for key in other._value.keys() - self._value.keys():
            merged._places[key] = other.place(key)
        merged._places.update(self._places)
        return merged

    def replacing(self, key: str, value: JsonValue) -> Section:
        """This one with another value for a key; nothing is taken yet."""
        made = Section({**self._value, key: value}, self.root, self.findings, self.environment)
        made._places.update(self._places)
        return made

    def missing(self, key: str, message: str) -> None:
        """Say that a key is needed; of one that is there it has been said what is wrong."""
        if not self.has(key):
            self.wrong(key, message)

    def wrong(self, key: str, message: str) -> None:
        """Say that a key's value is wrong."""
        self.findings.error(self.place(key), message)

    def section(self, key: str) -> Section | None:
        """A mapping."""
        value = self.take(key)
        if isinstance(value, dict):
            return Section(value, self.place(key), self.findings, self.environment)
        if value is not None:
            self.wrong(key, "must be a mapping")
        return None

    def items(self, key: str) -> Iterator[tuple[Place, JsonValue]]:
        """The items of a list."""
        value = self.take(key)
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield self.place(key).below(index), item
        elif value is not None:
            self.wrong(key, "must be a list")

    def text(self, key: str) -> str | None:
        """A string that is no credential; numbers count as such."""
        value = self.take(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.wrong(key, "must be a string")
            return None
        return self.resolve(str(value), self.place(key))

    def resolve(self, text: str, place: Place) -> str | None:
        """A value with its variable in place; one that is not set is an error."""
        if not text.startswith(_REFERENCE):
            return text
        name = text.removeprefix(_REFERENCE)
        value = self.environment.get(name)
        if value is None:
            self.findings.error(
                place,
                f"takes its value from the environment variable {_shown(name)}, which is not set "
                "here, and a manifest can't refer to a variable: set it, or write the value",
            )
        return value or None

    def credential(self, key: str) -> Credential | None:
        """A credential."""
        value = self.take(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(key, "must be a string")
            return None
        if not value.startswith(_REFERENCE):
            return Literal(value.strip()) if value.strip() else None
        found = self.environment.credential(value.removeprefix(_REFERENCE))
        if isinstance(found, FromVariable) and _VARIABLE.fullmatch(found.name) is None:
            self.wrong(key, "must name an environment variable of letters, digits and '_'")
            return None
        return found

    def number(self, key: str) -> Decimal | None:
        """A number, exactly as it was written; 0 or more."""
        value = self.take(key)
        if isinstance(value, str):
            value = self.resolve(value, self.place(key))
        if value is None or value == "":
            return None
        number = None if isinstance(value, bool) else _decimal(value)
        if number is None:
            self.wrong(key, "must be a number, 0 or more")
        return number

    def whole(self, key: str) -> int | None:
        """A whole number; a fraction is cut off."""
        number = self.number(key)
        return int(number) if number is not None else None

    def flag(self, key: str) -> bool:
        """True or false; false where it is not there."""
        value = self.take(key)
        if isinstance(value, str):
            value = self.resolve(value, self.place(key))
        if value is None or isinstance(value, bool):
            return value is True
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        self.wrong(key, "must be true or false")
        return False

    def texts(self, key: str) -> list[str]:
        """A list of strings; a single one counts as a list."""
        value = self.take(key)
        parts = value if isinstance(value, list) else [value]
        texts = [part for part in parts if isinstance(part, str)]
        if value is not None and len(texts) != len(parts):
            self.wrong(key, "must be a list of strings")
        return texts


def _decimal(value: JsonValue) -> Decimal | None:
    # repr() of a float gives back the digits that were written, up to 15 of them.
    if not isinstance(value, (int, float, str)) or len(str(value)) > _MOST_DIGITS:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number <= _LARGEST else None


def _shown(name: str) -> str:
    return name if _VARIABLE.fullmatch(name) and len(name) <= 128 else "of that name"
