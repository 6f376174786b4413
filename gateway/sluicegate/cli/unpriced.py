"""Deployments whose cost nobody would know."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.compile import Compilation
from sluicegate.compile.findings import Finding
from sluicegate.config import Deployment, SecretCredential
from sluicegate.model import Usage
from sluicegate.pricing import Priced, answer_cost
from sluicegate.pricing.catalogue import has_prices
from sluicegate.providers import PROVIDERS
from sluicegate.resources import ResourceRef
from sluicegate.routing.snapshot import Unavailable

_NOT_KNOWN = SecretCredential("not-known-here")  # every provider takes a single key
_SOME = Usage(input_tokens=1, output_tokens=1)


def unpriced(compilation: Compilation) -> Iterator[tuple[ResourceRef, Finding]]:
    """A warning for each deployment with a model that neither it nor the catalogue has a price of.

    Nothing is said of `*`, which is any model, nor of providers that nobody pays.
    """
    for entry in compilation.config.entries.values():
        if not isinstance(entry, Deployment) or entry.upstream.model == "*":
            continue
        provider = _provider(entry)
        if provider is None or not has_prices(provider):
            continue
        called = Priced(provider, entry.upstream.model, entry.pricing)
        if answer_cost(called, _SOME, at=compilation.now) is None:
            message = (
                f"no price is known for {entry.upstream.model!r}: write spec.pricing, or no budget "
                "counts what it costs (unless its answers name a model that the catalogue knows)"
            )
            ref = ResourceRef("ModelDeployment", entry.namespace, entry.name)
            path = ("spec", "provider")
            yield ref, Finding(None, "PriceUnknown", message, path, "warning")


def _provider(entry: Deployment) -> str | None:
    """Its name by which models are priced; None where it can't be called as it stands."""
    try:
        return PROVIDERS[type(entry.upstream)].connector(entry, _NOT_KNOWN, {}).provider
    except Unavailable:
        return None
