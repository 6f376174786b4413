"""What LiteLLM's router settings say about pools: strategy, shares, order, fallbacks, aliases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from sluicegate.litellm_config.deployment import Draft
from sluicegate.litellm_config.findings import Findings, Place
from sluicegate.litellm_config.secrets import JsonObject
from sluicegate.litellm_config.values import Section
from sluicegate.resources.yaml_documents import JsonValue

ALL = ("Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy")
_MOST_FALLBACKS = 16
_MOST_WEIGHT = 1_000_000
_PRIORITIES = 1000
_STRATEGIES = {
    "simple-shuffle": "Weighted",
    "least-busy": "LeastBusy",
    "latency-based-routing": "LowestLatency",
    "cost-based-routing": "LowestCost",
}
_USAGE = frozenset({"usage-based-routing", "usage-based-routing-v2"})


def strategy(router: Section) -> str | None:
    """`spec.pool.strategy`; None: Weighted, which is what holds without."""
    name = router.text("routing_strategy")
    if name is None:
        return None
    if name in _USAGE:
        router.findings.warning(
            router.place("routing_strategy"),
            "becomes Weighted: deployments get shares by their rpm and tpm, and a full one is "
            "skipped",
        )
        return None
    found = _STRATEGIES.get(name)
    if found is None:
        router.findings.warning(
            router.place("routing_strategy"),
            "has no counterpart: write spec.pool.strategy: Weighted, LeastBusy, LowestLatency or "
            "LowestCost",
        )
    return None if found == "Weighted" else found


# --- order and weight -----------------------------------------------------------------------------


def place_in_pool(drafts: Sequence[Draft], findings: Findings, *, weighted: bool) -> None:
    """Give the deployments of one pool their `priority` and `weight`.

    LiteLLM takes those of the lowest `order` first and those without one last. Shares are by
    `weight`, else by `rpm`, else by `tpm`: by the first of these that the first deployment has.
    Where they are not chosen as `weighted`, only a `weight` is a wish for one.
    """
    orders = [draft.order for draft in drafts if draft.order is not None]
    last = max(orders, default=-1) + 1
    for draft in drafts:
        priority = draft.order if draft.order is not None else last
        if priority:
            draft.spec["priority"] = min(priority, _PRIORITIES)
    keys = ("weight", "rpm", "tpm") if weighted else ("weight",)
    by = next((key for key in keys if key in drafts[0].shares), None)
    if by is None or len(drafts) == 1:
        return
    shares = [draft.shares.get(by, Decimal(0 if weighted else 1)) for draft in drafts]
    for draft, weight in zip(drafts, weights(shares), strict=True):
        if weight != 1:
            draft.spec["weight"] = weight
        if weighted and by not in draft.shares:
            findings.warning(
                draft.place,
                f"has no {by}, by which the others of its model share: it gets nothing while one "
                "of them can answer, as with LiteLLM; give it one",
            )


def weights(shares: Sequence[Decimal]) -> list[int]:
    """Whole numbers in the same proportions, as small as may be; nothing but 0 becomes 0."""
    parts = [Fraction(share) for share in shares]
    scale = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * scale) for part in parts]
    divisor = math.gcd(*whole) or 1
    whole = [number // divisor for number in whole]
    largest = max(whole)
    if largest <= _MOST_WEIGHT:
        return whole
    return [max(1, number * _MOST_WEIGHT // largest) if number else 0 for number in whole]


# --- names ----------------------------------------------------------------------------------------


def pool_of(name: str, pools: Mapping[str, object]) -> str | None:
    """The pool that serves a name: an exact one, else the longest prefix."""
    if name in pools:
        return name
    prefixes = [pool for pool in pools if pool.endswith("*") and name.startswith(pool[:-1])]
    return max(prefixes, key=len, default=None)


class Alias(NamedTuple):
    """Another name for a model."""

    name: str
    target: str
    place: Place


def aliases(router: Section) -> list[Alias]:
    """`model_group_alias`: names to models, or to mappings with `model` and `hidden`."""
    found: list[Alias] = []
    section = router.section("model_group_alias")
    if section is None:
        return found
    for name, value in list(section.left()):
        place = section.place(name)
        inner = section.section(name) if isinstance(value, dict) else None
        target = inner.text("model") if inner is not None else section.text(name)
        if inner is not None and inner.flag("hidden"):
            router.findings.warning(
                inner.place("hidden"),
                "has no counterpart: /v1/models shows every model that a key may call",
            )
        if target is None:
            router.findings.error(place, "must name a model of model_list")
        else:
            found.append(Alias(name, target, place))
    return found


# --- fallbacks ------------------------------------------------------------------------------------


class _Edge(NamedTuple):
    target: str
    causes: tuple[str, ...]
    place: Place


class _Table(NamedTuple):
    """The fallbacks of one kind: by model, and for every other model."""

    by_model: dict[str, list[tuple[str, Place]]]
    others: list[tuple[str, Place]]
    written: bool


def fallbacks(
    router: Section, settings: Section, pools: Mapping[str, str | None]
) -> dict[str, list[JsonObject]]:
    """`spec.pool.fallbacks` of each pool.

    `pools` are all public names; for an alias, with the model whose fallbacks it has where it has
    none itself. In LiteLLM a failure for lack of context goes by `context_window_fallbacks` alone
    once there are any, and by `fallbacks` otherwise; content policy likewise.
    """
    findings = router.findings
    general = _table("fallbacks", router, settings)
    general = general._replace(others=general.others or _default(router, settings))
    window = _table("context_window_fallbacks", router, settings)
    content = _table("content_policy_fallbacks", router, settings)
    causes = [*ALL[:3]]
    causes += [] if window.written else [ALL[3]]
    causes += [] if content.written else [ALL[4]]
    kinds = ((general, tuple(causes)), (window, (ALL[3],)), (content, (ALL[4],)))
    edges: dict[str, list[_Edge]] = {}
    for pool, original in pools.items():
        for table, kind in kinds:
            listed = table.by_model.get(pool) or table.by_model.get(original or "")
            # The fallback of every other model is not one of its own.
            chosen = table.others if listed is None else listed
            edges.setdefault(pool, []).extend(
                _Edge(target, kind, place) for target, place in chosen if target != pool
            )
    for table, _ in kinds:
        _unknown(table, pools, findings)
    kept = _without_circles(edges, pools, findings)
    return {pool: [_fallback(edge) for edge in found] for pool, found in kept.items() if found}


def _fallback(edge: _Edge) -> JsonObject:
    if edge.causes == ALL:
        return {"model": edge.target}
    return {"model": edge.target, "causes": list[JsonValue](edge.causes)}


def _table(key: str, router: Section, settings: Section) -> _Table:
    """One kind of fallbacks; those of router_settings hold before those of litellm_settings."""
    table = _Table({}, [], router.has(key) or settings.has(key))
    if router.has(key) and settings.has(key):
        settings.findings.note(
            settings.place(key), "is not used: router_settings has the same key, and that one holds"
        )
    holder = router if router.has(key) else settings
    other = settings if router.has(key) else router
    other.take(key)
    for place, item in holder.items(key):
        if not isinstance(item, dict):
            holder.findings.error(place, "must be a mapping of a model to a list of models")
            continue
        for model, targets in item.items():
            found = list(_targets(holder.findings, place.below(model), targets))
            if model == "*":
                table.others.extend(found)
            else:
                table.by_model.setdefault(model, []).extend(found)
    return table


def _default(router: Section, settings: Section) -> list[tuple[str, Place]]:
    key = "default_fallbacks"
    holder = router if router.has(key) else settings
    names, other = holder.texts(key), settings if holder is router else router
    if other.has(key) and other is not holder:
        other.take(key)
        other.findings.note(other.place(key), "is not used: router_settings has the same key")
    return [(name, holder.place(key).below(index)) for index, name in enumerate(names)]


def _targets(findings: Findings, place: Place, targets: JsonValue) -> Iterable[tuple[str, Place]]:
    for index, target in enumerate(targets if isinstance(targets, list) else [targets]):
        if isinstance(target, str):
            yield target, place.below(index) if isinstance(targets, list) else place
        elif isinstance(target, dict):
            findings.warning(
                place.below(index),
                "is left out: a fallback is a model's name; write a deployment for it with its own "
                "parameters",
            )
        else:
            findings.error(place.below(index), "must be the name of a model")


def _unknown(table: _Table, pools: Mapping[str, object], findings: Findings) -> None:
    """Fallbacks from or to models that are not there."""
    for model, targets in table.by_model.items():
        if model not in pools and targets:
            findings.warning(
                targets[0][1],
                "is left out: the model that it is a fallback of is not in model_list",
            )
    listed = [target for targets in table.by_model.values() for target in targets]
    for target, place in (*listed, *table.others):
        if pool_of(target, pools) is None or target.endswith("*"):
            findings.warning(place, "is left out: it is no model of model_list")


def _without_circles(
    edges: Mapping[str, Sequence[_Edge]], pools: Mapping[str, object], findings: Findings
) -> dict[str, list[_Edge]]:
    """The fallbacks that close no circle, taken in order."""
    kept: dict[str, list[_Edge]] = {pool: [] for pool in edges}
    reach: dict[str, list[str]] = {pool: [] for pool in edges}
    for pool, wanted in edges.items():
        for edge in wanted:
            target = pool_of(edge.target, pools)
            if target is None or edge.target.endswith("*"):
                continue
            if _reaches(reach, target, pool):
                findings.warning(
                    edge.place,
                    "is left out for at least one model: its fallbacks would lead back to itself, "
                    "and a circle is refused",
                )
            elif len(kept[pool]) == _MOST_FALLBACKS:
                findings.warning(edge.place, f"is left out: {_MOST_FALLBACKS} are the most")
            else:
                kept[pool].append(edge)
                reach[pool].append(target)
    return kept


def _reaches(reach: Mapping[str, Sequence[str]], start: str, goal: str) -> bool:
    waiting, seen = [start], set[str]()
    while waiting:
        pool = waiting.pop()
        if pool == goal:
            return True
        if pool not in seen:
            seen.add(pool)
            waiting.extend(reach.get(pool, ()))
    return False
