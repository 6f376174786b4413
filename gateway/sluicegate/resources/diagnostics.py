"""What is wrong with a manifest, and where.

One value for the log, for `lint` and for conditions.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sluicegate.resources.yaml_documents import FieldPath

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
            text += f".{part}" if text else part
    return text
