"""What is wrong with a manifest, and where.

One value for the log, for `lint` and for conditions.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sluicegate.resources.yaml_documents import FieldPath

_MAX_NAME = 128
Severity = Literal["error", "warning"]


class Diagnostic(Struct, frozen=True, gc=False):
    """One finding at one place.

    `line` counts from 1; `field` is a path such as `spec.provider.openai.baseURL`.

    `kind`, `namespace` and `name` are empty where the document could not be read that far. The
    message never holds a value from a Secret, nor the value of the field.
    """

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    field: str
    reason: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        subject = f"{self.kind} {self.namespace}/{self.name}" if self.name else self.kind
        return ": ".join(part for part in (place, subject, self.field, self.message) if part)


def field_name(path: FieldPath) -> str:
    """A path as people write it: `spec.pool.fallbacks[0].model`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(name: str) -> str:
    """A field's name as it may stand in a log: short, and escaped where it is not printable."""
    if not name.isprintable():
        name = ascii(name)
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
