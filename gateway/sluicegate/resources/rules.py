"""Rules that two judges apply: the API server in CEL, and Python wherever a manifest is read.

A rule says both side by side, with one sentence for both. What a pattern or a bound of the schema
can say is no rule. The tests hold the two judges against each other on a real API server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sluicegate.resources.yaml_documents import FieldPath

T = TypeVar("T")
Keywords: TypeAlias = Mapping[str, Any]
VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """A rule over the fields of a mapping.

    `broken` answers where below the mapping it is broken, None where it holds; `at` is that place
    as the API server shows it, for every case.
    """

    cel: str
    says: str
    at: str
    broken: Callable[[T], FieldPath | None]

    def keywords(self) -> Keywords:
        """The rule in a schema's list of validations."""
        return validation(self.cel, self.says, self.at)


def rule(cel: str, says: str, at: str = "") -> Callable[[Callable[[T], FieldPath | None]], Rule[T]]:
    """Make a method of a mapping's model one of its rules."""

    def made(broken: Callable[[T], FieldPath | None]) -> Rule[T]:
        return Rule(cel, says, at, broken)

    return made


def validation(cel: str, says: str, at: str = "") -> Keywords:
    """An entry of `x-kubernetes-validations`."""
    return {"rule": cel, "message": says, **({"fieldPath": at} if at else {})}


def one_of(*names: str) -> str:
    """CEL for: exactly one of these fields is there."""
    return f"[{', '.join(f'has(self.{name})' for name in names)}].filter(x, x).size() == 1"


def missing_or_many(*members: object) -> FieldPath | None:
    """Python for the same."""
    return None if sum(member is not None for member in members) == 1 else ()


def quoted(text: str) -> str:
    """A CEL string."""
    return json.dumps(text)


def quoted_list(texts: Iterable[str]) -> str:
    """A CEL list of strings, in order."""
    return f"[{', '.join(quoted(text) for text in sorted(texts))}]"
