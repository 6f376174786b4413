"""Names of objects for names that LiteLLM allows: stable, unique, and as alike as may be."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_FOREIGN = re.compile(r"[^a-z0-9.-]+")
_DOTS = re.compile(r"[-.]*\.[-.]*")
_MAX = 200  # of 253: something may be added
_HASH = 6


def slug(text: str) -> str:
    """The nearest text that may be an object's name. A `*` becomes `any`."""
    lowered = text.replace("*", "-any-").lower()
    plain = _DOTS.sub(".", _FOREIGN.sub("-", lowered)).strip("-.")
    plain = re.sub(r"-{2,}", "-", plain) if plain != lowered else plain
    if len(plain) > _MAX:
        plain = f"{plain[:_MAX].rstrip('-.')}-{_digest(text)}"
    return plain or "model"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]


class Names:
    """Gives each thing of one kind a name that no other has."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, wanted: str, identity: str) -> str:
        """`wanted`, or where that is taken, with something of `identity`'s hash added."""
        name, salt = wanted, identity
        while name in self._taken:
            name = f"{wanted}-{_digest(salt)}"
            salt += "'"
        self._taken.add(name)
        return name


def allocate(models: Sequence[str]) -> list[str]:
    """A name for each deployment, given its public model.

    The first of a model is named after it, the next ones are numbered. A model whose name is one
    already goes before those whose name had to be changed, so no model takes another's name because
    of its place in the file.
    """
    names = Names()
    order = sorted(set(models), key=lambda model: (slug(model) != model, model))
    bases = {model: names.claim(slug(model), model) for model in order}
    seen: Counter[str] = Counter()
    found: list[str] = []
    for model in models:
        seen[model] += 1
        count = seen[model]
        if count == 1:
            found.append(bases[model])
        else:
            found.append(names.claim(f"{bases[model]}-{count}", f"{model}\n{count}"))
    return found
