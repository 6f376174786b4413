"""Manifests to YAML: the same text for the same manifests, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from sluicegate.resources.yaml_documents import JsonValue
from sluicegate.resources.yaml_scalars import ScalarError, plain_scalar


class _Dumper(yaml.CSafeDumper):
    """Quotes what kubectl would not read as text, and uses no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    del dumper
    try:
        plain = plain_scalar(text) == text
    except ScalarError:
        plain = False
    style = None if plain and text.isprintable() else '"'
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(manifests: Iterable[Mapping[str, JsonValue]]) -> str:
    """One document for each."""
    return "---\n".join(
        yaml.dump(dict(manifest), Dumper=_Dumper, sort_keys=False, width=2**30)
        for manifest in manifests
    )
