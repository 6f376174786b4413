"""All objects that there are, by file, and what changed since the last look.

Mutable; one per source.

A frozen `Inputs` is cut off it for each compile. An object that is in two files is held by the
first path in byte order, so neither the order in which files are read nor what was served before
matters.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from operator import itemgetter
from typing import TypeAlias

from msgspec import Struct, field

from sluicegate.resources.diagnostics import Diagnostic
from sluicegate.resources.loading import LoadedFile, conflict
from sluicegate.resources.objects import Resource, ResourceRef, Secret, SecretRef

_Thing: TypeAlias = Resource | Secret
_STEP = 50


class Inputs(Struct, frozen=True, eq=False, gc=False):
    """What compile works on.

    `changed` and `changed_secrets` are what differs from the Inputs `since` (a token).

    Without `since` (or where the previous compile saw other Inputs) compile compares everything.
    """

    resources: Mapping[ResourceRef, Resource]
    secrets: Mapping[SecretRef, Secret]
    token: object = field(default_factory=object)
    since: object | None = None
    changed: frozenset[ResourceRef] = frozenset()
    changed_secrets: frozenset[SecretRef] = frozenset()

    def __repr__(self) -> str:
        return f"Inputs({len(self.resources)} resources, {len(self.secrets)} secrets)"


class Inventory:
    """The objects of all files, and the Secrets that the source minted itself."""

    def __init__(self) -> None:
        self._files: dict[str, LoadedFile] = {}
        self._flawed: dict[str, LoadedFile] = {}  # those of them that have diagnostics
        self._ignored = 0
        self._resources: dict[ResourceRef, Resource] = {}
        self._secrets: dict[SecretRef, Secret] = {}
        self._minted: dict[SecretRef, Secret] = {}
        self._contested: dict[ResourceRef | SecretRef, set[str]] = {}
        self._touched: set[ResourceRef] = set()
        self._touched_secrets: set[SecretRef] = set()
        self._last = Inputs({}, {})

    def replace(self, file: str, loaded: LoadedFile | None) -> None:
        """Take a file's new content; None: the file is gone."""
        for _ in self.replace_steps(file, loaded):
            pass

    def replace_steps(self, file: str, loaded: LoadedFile | None) -> Generator[None, None, None]:
        """As `replace`, in short steps. Take no snapshot before it is through."""
        old = self._files.pop(file, None)
        self._flawed.pop(file, None)
        if old is not None:
            self._ignored -= old.ignored
        if loaded is not None:
            self._files[file] = loaded
            self._ignored += loaded.ignored
            if loaded.diagnostics:
                self._flawed[file] = loaded
        refs: dict[ResourceRef | SecretRef, None] = {}
        for holder in (old, loaded):
            if holder is not None:
                refs.update(dict.fromkeys(holder.resources))
                yield
                refs.update(dict.fromkeys(holder.secrets))
        for count, ref in enumerate(refs, 1):
            self._settle(ref, file)
            if count % _STEP == 0:
                yield

    def mint(self, secret: Secret) -> None:
        """Add (or replace) a Secret that the source minted; it has `minted_for`."""
        self._minted[secret.ref] = secret
        self._touched_secrets.add(secret.ref)

    def unmint(self, ref: SecretRef) -> None:
        """Forget a minted Secret."""
        if self._minted.pop(ref, None) is not None:
            self._touched_secrets.add(ref)

    def _settle(self, ref: ResourceRef | SecretRef, file: str) -> None:
        """Bring one object up to date after `file` changed."""
        here = self._in_file(ref, file)
        current = self._current(ref)
        places = self._contested.get(ref)
        if places is not None or _elsewhere(current, file):
            places = {_file(current), *(places or ())} if current is not None else set(places or ())
            (places.add if here is not None else places.discard)(file)
            current_file = min(places, key=_byte_order, default=None)
            here = self._in_file(ref, current_file) if current_file is not None else None
            if len(places) > 1:
                self._contested[ref] = places
            else:
                self._contested.pop(ref, None)
        self._put(ref, here)

    def _in_file(self, ref: ResourceRef | SecretRef, file: str) -> _Thing | None:
        loaded = self._files.get(file)
        if loaded is None:
            return None
        return (
            loaded.resources.get(ref) if isinstance(ref, ResourceRef) else loaded.secrets.get(ref)
        )

    def _current(self, ref: ResourceRef | SecretRef) -> _Thing | None:
        return self._resources.get(ref) if isinstance(ref, ResourceRef) else self._secrets.get(ref)

    def _put(self, ref: ResourceRef | SecretRef, thing: _Thing | None) -> None:
        if isinstance(ref, ResourceRef):
            old = self._resources.pop(ref, None)
            if isinstance(thing, Resource):
                self._resources[ref] = thing
                if old is not None and old.manifest == thing.manifest:
                    return
            if old is not None or thing is not None:
                self._touched.add(ref)
        else:
            before = self._secrets.pop(ref, None)
            if isinstance(thing, Secret):
                self._secrets[ref] = thing
                if before is not None and before.same_content(thing):
                    return
            if before is not None or thing is not None:
                self._touched_secrets.add(ref)

    def snapshot(self) -> Inputs:
        """What there is now, frozen; it knows what changed since the snapshot before."""
        inputs = Inputs(
            resources=dict(self._resources),
            secrets={**self._minted, **self._secrets},
            since=self._last.token,
            changed=frozenset(self._touched),
            changed_secrets=frozenset(self._touched_secrets),
        )
        self._touched.clear()
        self._touched_secrets.clear()
        self._last = inputs
        return inputs

    @property
    def ignored(self) -> int:
        """How many objects of other kinds the files hold."""
        return self._ignored

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The files with a document that does not parse."""
        return tuple(sorted(file for file, loaded in self._files.items() if loaded.unreadable))

    def diagnostics(self) -> Iterator[Diagnostic]:
        """What loading found in all files, and objects that are in two of them."""
        for _, loaded in sorted(self._flawed.items(), key=itemgetter(0)):
            yield from loaded.diagnostics
        for ref in sorted(self._contested, key=str):
            holder = self._current(ref)
            if holder is None or holder.origin is None:
                continue
            others = [
                thing.origin
                for file in sorted(self._contested[ref] - {holder.origin.file})
                if (thing := self._in_file(ref, file)) is not None and thing.origin is not None
            ]
            named = (
                ref
                if isinstance(ref, ResourceRef)
                else ResourceRef("Secret", ref.namespace, ref.name)
            )
            yield from conflict(named, holder.origin, others)


def _file(thing: _Thing) -> str:
    return "" if thing.origin is None else thing.origin.file


def _byte_order(path: str) -> bytes:
    return path.encode(errors="surrogateescape")


def _elsewhere(thing: _Thing | None, file: str) -> bool:
    return thing is not None and _file(thing) != file
