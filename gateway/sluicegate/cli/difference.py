"""What a change of manifests does: to objects, to the names that are served, to keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias, cast

import msgspec
from msgspec import Struct

from sluicegate.auth.patterns import allows
from sluicegate.compile import Compilation
from sluicegate.config import Credential, Deployment
from sluicegate.resources.objects import Resource
from sluicegate.resources.validation import Invalid, validate
from sluicegate.routing.snapshot import Route, Snapshot, build_steps

Action: TypeAlias = Literal["add", "change", "remove"]
_LONGEST = 60  # characters of a value that is shown
_ABSENT = object()


class FieldChange(Struct, frozen=True, omit_defaults=True):
    """A field of a manifest; values as JSON, cut where they are long; None: it is not there."""

    path: str
    old: str | None = None
    new: str | None = None


class ObjectChange(Struct, frozen=True):
    """An object that is added, removed or another. Of a Secret's content nothing is said."""

    action: Action
    kind: str
    namespace: str
    name: str
    fields: tuple[FieldChange, ...] = ()


class NameChange(Struct, frozen=True):
    """A public name of a namespace: how many deployments stand behind it, and who may ask for it.

    `audience_*`: `*` is every namespace; the name's own is not listed.
    """

    action: Action
    model: str
    namespace: str
    deployments_before: int
    deployments_after: int
    audience_before: tuple[str, ...]
    audience_after: tuple[str, ...]


class AccessChange(Struct, frozen=True):
    """A client key that is there before and after: the names it can no longer, or can now, call."""

    key: str
    lost: tuple[str, ...]
    gained: tuple[str, ...]


class Difference(Struct, frozen=True):
    """Everything that changes."""

    objects: tuple[ObjectChange, ...]
    names: tuple[NameChange, ...]
    access: tuple[AccessChange, ...]


def difference(old: Compilation, new: Compilation) -> Difference:
    """From one state of the manifests to the next, `new` compiled after `old`."""
    return Difference(
        objects=tuple(_objects(old, new)),
        names=tuple(_names(old, new)),
        access=tuple(_access(old, new)),
    )


# ----------------------------------------------------------------------------------------- objects


def _objects(old: Compilation, new: Compilation) -> Iterator[ObjectChange]:
    before, after = old.inputs.resources, new.inputs.resources
    for ref in sorted(before.keys() | after.keys()):
        was, now = before.get(ref), after.get(ref)
        if was is None or now is None:
            action: Action = "remove" if now is None else "add"
            yield ObjectChange(action, ref.kind, ref.namespace, ref.name)
        elif was.manifest != now.manifest:
            meaning = (_completed(was), _completed(now))
            fields = tuple(_fields(_spec(was), _spec(now), meaning, "spec"))
            if fields:
                yield ObjectChange("change", ref.kind, ref.namespace, ref.name, fields)
    secrets, others = old.inputs.secrets, new.inputs.secrets
    for ref in sorted(secrets.keys() | others.keys()):
        was_there, is_there = secrets.get(ref), others.get(ref)
        if was_there is None or is_there is None:
            gone: Action = "remove" if is_there is None else "add"
            yield ObjectChange(gone, "Secret", ref.namespace, ref.name)
        elif not was_there.same_content(is_there):
            yield ObjectChange("change", "Secret", ref.namespace, ref.name)


class _Manifest(Struct):
    spec: object = None


_manifests = msgspec.json.Decoder(_Manifest)


def _spec(resource: Resource) -> object:
    return _manifests.decode(resource.manifest).spec


def _completed(resource: Resource) -> object:
    """The spec with its defaults, as the API server keeps it; as it is where it is not valid."""
    valid = validate(resource)
    if isinstance(valid, Invalid):
        return _spec(resource)
    return valid.spec.model_dump(mode="json", by_alias=True)


def _members(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _fields(
    old: object, new: object, meaning: tuple[object, object], path: str
) -> Iterator[FieldChange]:
    """The fields that differ, in what they mean too; objects are looked into, lists are one value.

    `meaning`: both with their defaults, which it is no change to write out.
    """
    if meaning[0] == meaning[1] and meaning != (_ABSENT, _ABSENT):
        return
    was, now = _members(old), _members(new)
    if was is not None and now is not None:
        full_was, full_now = (_members(value) or {} for value in meaning)
        for name in sorted(was.keys() | now.keys()):
            inner = (full_was.get(name, _ABSENT), full_now.get(name, _ABSENT))
            yield from _fields(
                was.get(name, _ABSENT), now.get(name, _ABSENT), inner, f"{path}.{name}"
            )
    elif old != new:
        yield FieldChange(path, _shown(old), _shown(new))


def _shown(value: object) -> str | None:
    if value is _ABSENT:
        return None
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


# ------------------------------------------------------------------------------------------- names


def _names(old: Compilation, new: Compilation) -> Iterator[NameChange]:
    before, after = _routes(old), _routes(new)
    for place in sorted(before.keys() | after.keys()):
        was, now = before.get(place), after.get(place)
        if was is None or now is None:
            action: Action = "remove" if now is None else "add"
        else:
            action = "change"
        change = NameChange(
            action, place[1], place[0], _count(was), _count(now), _audience(was), _audience(now)
        )
        if action != "change" or (change.deployments_before, change.audience_before) != (
            change.deployments_after,
            change.audience_after,
        ):
            yield change


def _routes(compilation: Compilation) -> Mapping[tuple[str, str], Route[None]]:
    routes = _snapshot(compilation).routes.values()
    return {(route.pool.namespace, route.pool.model): route for route in routes}


def _count(route: Route[None] | None) -> int:
    """Deployments but for those that are suspended. Whether a Secret is there is not known here."""
    return 0 if route is None else sum(not why.endswith(" is suspended") for why in _all(route))


def _all(route: Route[None]) -> Iterator[str]:
    yield from route.unavailable
    yield from (target.label for tier in route.tiers for target in tier)


def _audience(route: Route[None] | None) -> tuple[str, ...]:
    if route is None:
        return ()
    return ("*",) if route.audience is None else tuple(sorted(route.audience))


def _connect(_deployment: Deployment, _credential: Credential) -> None:
    """Nothing is called here."""


def _snapshot(compilation: Compilation) -> Snapshot[None]:
    steps = build_steps(compilation.config, "0" * 12, 0, _connect)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


# ------------------------------------------------------------------------------------------ access


class _Reach(Struct, frozen=True):
    """What decides what a key can call. Keys are many, and most of them are alike."""

    namespace: str
    models: tuple[str, ...]


def _access(old: Compilation, new: Compilation) -> Iterator[AccessChange]:
    before, after = _keys(old), _keys(new)
    old_names, new_names = _callable(before, old), _callable(after, new)
    for key in sorted(before.keys() & after.keys()):
        was, now = old_names[before[key]], new_names[after[key]]
        if was != now:
            yield AccessChange(key, tuple(sorted(was - now)), tuple(sorted(now - was)))


def _keys(compilation: Compilation) -> dict[str, _Reach]:
    """Client keys by namespace/name, as their manifests say: their Secrets are seldom in Git."""
    keys: dict[str, _Reach] = {}
    for ref, resource in compilation.inputs.resources.items():
        refused = any(
            finding.condition == "Accepted" and finding.severity == "error"
            for finding in compilation.findings.get(ref, ())
        )
        client = _members((_members(_spec(resource)) or {}).get("client"))
        if ref.kind != "ApiKey" or client is None:
            continue
        models = client.get("models", ["*"])
        out = refused or client.get("revoked") is True or not isinstance(models, list)
        patterns = () if out else tuple(map(str, cast("list[object]", models)))
        keys[f"{ref.namespace}/{ref.name}"] = _Reach(ref.namespace, patterns)
    return keys


def _callable(
    keys: Mapping[str, _Reach], compilation: Compilation
) -> Mapping[_Reach, frozenset[str]]:
    """The names that each kind of key can call."""
    snapshot = _snapshot(compilation)
    visible = {
        namespace: [route.pool.model for route in snapshot.visible(namespace)]
        for namespace in {reach.namespace for reach in keys.values()}
    }
    return {
        reach: frozenset(model for model in visible[reach.namespace] if allows(reach.models, model))
        for reach in set(keys.values())
    }
