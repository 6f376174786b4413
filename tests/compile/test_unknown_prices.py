"""A model whose price nobody knows is served, and said to be so."""

from __future__ import annotations

from typing import Any

import pytest

from manifest_objects import compiled, condition, deployment, deployment_entry
from sluicegate.compile import Settings

OWN_PRICES = {"input": "1", "output": "2"}
PLACE = {"project": "p", "location": "us-central1"}


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ({"provider": {"openai": {"model": "my-own"}}}, False),
        ({"provider": {"openai": {"model": "my-own"}}, "pricing": {"input": "1"}}, False),
        ({"provider": {"openai": {"model": "my-own"}}, "pricing": OWN_PRICES}, True),
        ({"provider": {"openai": {"model": "gpt-4.1"}}}, True),
        ({"provider": {"vertexAI": {"model": "my-own", **PLACE}}}, False),
        ({"provider": {"vertexAI": {"model": "gemini-2.5-flash", **PLACE}}}, True),
        ({"model": "openai/*", "provider": {"openai": {"model": "*"}}}, True),
        ({"provider": {"echo": {}}}, True),
    ],
)
def test_a_price_that_nobody_knows_is_a_warning(spec: dict[str, Any], known: bool) -> None:
    each = deployment("a", spec=spec)
    for settings in (Settings.folder(), Settings.cluster("default")):
        result = compiled(each, settings=settings)
        deployment_entry(result, "a")
        said = None if known else ("True", "PriceUnknown")
        assert condition(result, each, "PriceUnknown") == said
        assert condition(result, each) == ("True", "Valid")
        assert condition(result, each, "ResolvedRefs") == ("True", "Resolved")


def test_the_last_good_version_says_too_that_nobody_knows_its_price() -> None:
    spec = {"provider": {"openai": {"model": "my-own"}}}
    broken = deployment("a", spec={**spec, "weight": "heavy"})
    result = compiled(broken, previous=compiled(deployment("a", spec=spec)))
    assert condition(result, broken, "PriceUnknown") == ("True", "PriceUnknown")
