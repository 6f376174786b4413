"""Resources to a configuration, pure and incremental.

One changed object costs one entry (and its pool's).

`compile_steps` is a generator, so that a first load of thousands of objects never holds the event
loop: it yields after each object. What it returns depends on (inputs, the previous configuration,
settings, now) and on nothing else; that a previous Compilation makes it faster is all that its
indexes do.

The order of work: what differs → ApiKeys → who holds a digest → ModelDeployments → pools → who
holds a name → where fallbacks lead → circles → findings.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from msgspec.structs import replace

from sluicegate.compile.compilation import Compilation, State, entry_id
from sluicegate.compile.deployments import judge_deployment
from sluicegate.compile.edits import Edit, IndexEdit, ShelfEdit, Shelves
from sluicegate.compile.findings import Finding
from sluicegate.compile.keys import judge_key
from sluicegate.compile.outcome import Outcome, View
from sluicegate.compile.pool_stage import PoolStage
from sluicegate.compile.pools import PoolKey
from sluicegate.compile.settings import Settings
from sluicegate.config import (
    ClientKey,
    Config,
    CredentialEntry,
    Deployment,
    Entry,
    UnresolvedCredential,
    entry_revision,
)
from sluicegate.resources.inventory import Inputs
from sluicegate.resources.objects import ResourceRef, SecretRef

_NOTHING = Config({}, {})
_STEP = 50


def compile_all(
    inputs: Inputs, previous: Compilation | Config | None, settings: Settings, now: float
) -> Compilation:
    """Compile without a pause. `now` is Unix seconds."""
    steps = compile_steps(inputs, previous, settings, now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def compile_steps(
    inputs: Inputs, previous: Compilation | Config | None, settings: Settings, now: float
) -> Generator[None, None, Compilation]:
    """Compile in steps of one object each (well below a millisecond).

    `previous` is the last Compilation, or the configuration read back at start; its names and
    digests stay with those who hold them, and an object that is broken now keeps its entry.
    """
    if isinstance(previous, Compilation):
        known = previous if previous.settings == settings and now >= previous.now else None
        config = previous.config
    else:
        known = None
        config = previous or _NOTHING
    work = _Work(inputs, known, config, settings, now)
    yield from work.find_changes()
    yield from work.keys()
    yield from work.digests()
    yield from work.deployments()
    yield from work.pools()
    return (yield from work.result())


class _Work:
    """One compile."""

    def __init__(
        self,
        inputs: Inputs,
        known: Compilation | None,
        config: Config,
        settings: Settings,
        now: float,
    ) -> None:
        state = known.state if known is not None else State()
        self._inputs = inputs
        self._known = known
        self._settings = settings
        self._now = now
        self._before = config
        self._outcomes = ShelfEdit(state.outcomes)
        self._users = IndexEdit(state.users)
        self._claims = IndexEdit(state.claims)
        self._due = ShelfEdit(state.due)
        self._findings = Edit[ResourceRef, tuple[Finding, ...]](known.findings if known else {})
        self._extra = ShelfEdit(state.extra)
        self._view = View(settings, inputs.secrets, self._outcomes, now)
        self._entries = Edit[str, Entry](config.entries if known else {})
        self._revisions = Edit[str, str](config.revisions if known else {})
        self._changed: set[str] = set()
        self._dirty_keys: set[ResourceRef] = set()
        self._dirty_deployments: set[ResourceRef] = set()
        self._dirty_digests: set[str] = set()
        self._said: set[ResourceRef] = set()  # whose findings may have changed
        self._dues: set[int | None] = set()  # times of changed objects, before and after
        self._pools = PoolStage(state.pools, self._entries, config.entries)

    # --- what differs -----------------------------------------------------------------------------

    def find_changes(self) -> Generator[None, None, None]:
        """Mark the objects that differ, or whose Secrets do, or whose time has come."""
        known, inputs = self._known, self._inputs
        if known is None:
            yield from self._mark_all(inputs.resources)
            return
        if inputs.since is known.inputs.token:
            changed, secrets = inputs.changed, inputs.changed_secrets
        elif inputs.token is known.inputs.token:
            changed, secrets = frozenset[ResourceRef](), frozenset[SecretRef]()
        else:
            changed, secrets = yield from self._compare(known.inputs)
        yield from self._mark_all(changed)
        for secret in secrets:
            yield from self._mark_all(self._users.members(secret))
        if known.next_due is not None and known.next_due <= self._now:
            due = known.state.due
            yield from self._mark_all([ref for ref, time in due.items() if time <= self._now])

    def _mark_all(self, refs: Iterable[ResourceRef]) -> Generator[None, None, None]:
        for count, ref in enumerate(refs, 1):
            self._mark(ref)
            if count % _STEP == 0:
                yield

    def _mark(self, ref: ResourceRef) -> None:
        (self._dirty_keys if ref.kind == "ApiKey" else self._dirty_deployments).add(ref)

    def _compare(
        self, old: Inputs
    ) -> Generator[None, None, tuple[frozenset[ResourceRef], frozenset[SecretRef]]]:
        new = self._inputs
        changed = set(old.resources.keys() ^ new.resources.keys())
        for count, (ref, resource) in enumerate(new.resources.items(), 1):
            before = old.resources.get(ref)
            if before is not None and before.manifest != resource.manifest:
                changed.add(ref)
            if count % _STEP == 0:
                yield
        secrets = set(old.secrets.keys() ^ new.secrets.keys())
        for count, (name, secret) in enumerate(new.secrets.items(), 1):
            kept = old.secrets.get(name)
            if kept is not None and not kept.same_content(secret):
                secrets.add(name)
            if count % _STEP == 0:
                yield
        return frozenset(changed), frozenset(secrets)

    # --- one object -------------------------------------------------------------------------------

    def keys(self) -> Generator[None, None, None]:
        """Judge the ApiKeys that are marked; mark those who use one that turned out otherwise."""
        for ref in self._dirty_keys:
            old = self._outcomes.get(ref)
            new = self._judge_key(ref)
            self._note(ref, old, new)
            self._reclaim(ref, old, new)
            entry = new.entry if new else None
            if not isinstance(entry, ClientKey):  # a client key waits for its digests
                self._put(entry_id(ref), entry)
                self._extra.drop(ref)
            if _offer(old) != _offer(new):
                for user in self._users.members(ref):
                    self._mark(user)
            yield

    def _judge_key(self, ref: ResourceRef) -> Outcome | None:
        resource = self._inputs.resources.get(ref)
        if resource is None:
            return None
        previous = self._before.entries.get(entry_id(ref))
        known = previous if isinstance(previous, (ClientKey, CredentialEntry)) else None
        return judge_key(resource, self._view, known)

    def deployments(self) -> Generator[None, None, None]:
        """Judge the ModelDeployments that are marked."""
        for ref in self._dirty_deployments:
            resource = self._inputs.resources.get(ref)
            new: Outcome | None = None
            if resource is not None:
                previous = self._before.entries.get(entry_id(ref))
                known = previous if isinstance(previous, Deployment) else None
                new = judge_deployment(resource, self._view, known)
            old = self._outcomes.get(ref)
            self._note(ref, old, new)
            was, entry = _deployment(old), _deployment(new)
            self._put(entry_id(ref), entry)
            self._pools.move(ref.name, was, entry)
            if entry is None or (was is not None and _pool(was) != _pool(entry)):
                self._extra.drop(ref)
            yield

    def _note(self, ref: ResourceRef, old: Outcome | None, new: Outcome | None) -> None:
        for use in old.uses if old else ():
            if new is None or use not in new.uses:
                self._users.discard(use, ref)
        for use in new.uses if new else ():
            self._users.add(use, ref)
        self._dues.add(self._due.get(ref))
        if new is None:
            self._outcomes.drop(ref)
            self._due.drop(ref)
            self._extra.drop(ref)
        else:
            self._outcomes.set(ref, new)
            if new.due is not None:
                self._due.set(ref, new.due)
                self._dues.add(new.due)
            else:
                self._due.drop(ref)
        self._said.add(ref)

    def _put(self, entry_id: str, entry: Entry | None) -> None:
        """Set or remove an entry; an equal one from before stays the same object."""
        before = self._before.entries.get(entry_id)
        if entry is None:
            self._entries.drop(entry_id)
            self._revisions.drop(entry_id)
        elif before is not None and entry == before:
            self._entries.set(entry_id, before)
            self._revisions.set(entry_id, self._before.revisions[entry_id])
        else:
            self._entries.set(entry_id, entry)
            self._revisions.set(entry_id, entry_revision(entry))
        if entry == before:
            self._changed.discard(entry_id)
        else:
            self._changed.add(entry_id)

    # --- digests ----------------------------------------------------------------------------------

    def _reclaim(self, ref: ResourceRef, old: Outcome | None, new: Outcome | None) -> None:
        claimed, claims = _claims(old), _claims(new)
        for digest in claimed - claims:
            self._claims.discard(digest, ref)
        for digest in claims - claimed:
            self._claims.add(digest, ref)
        self._dirty_digests |= claimed | claims

    def digests(self) -> Generator[None, None, None]:
        """Give each digest to one ApiKey: its previous holder, else the first by name."""
        affected: set[ResourceRef] = set()
        for count, digest in enumerate(self._dirty_digests, 1):
            affected.update(self._claims.members(digest))
            if count % _STEP == 0:
                yield
        for ref in affected:
            self._settle(ref)
            yield

    def _settle(self, ref: ResourceRef) -> None:
        outcome = self._outcomes.get(ref)
        entry = outcome.entry if outcome is not None else None
        if not isinstance(entry, ClientKey):
            return
        lost = {
            digest.digest: holder
            for digest in entry.digests
            if (holder := self._digest_holder(digest.digest)) != ref
        }
        self._said.add(ref)
        if not lost:
            self._extra.drop(ref)
            self._put(entry.id, entry)
            return
        kept = tuple(digest for digest in entry.digests if digest.digest not in lost)
        first_lost = entry.digests[0].digest in lost
        holder = next(iter(lost.values()))
        finding = Finding(
            "Accepted" if first_lost else None,
            "DuplicateKey",
            f"the same key belongs to ApiKey {holder.namespace}/{holder.name} already: use another",
            ("spec", "client"),
            "error" if first_lost else "warning",
        )
        self._extra.set(ref, (finding,))
        self._put(entry.id, None if first_lost else replace(entry, digests=kept))

    def _digest_holder(self, digest: str) -> ResourceRef:
        claimants = sorted(self._claims.members(digest))
        for ref in claimants:
            before = self._before.entries.get(entry_id(ref))
            if isinstance(before, ClientKey) and any(
                held.digest == digest for held in before.digests
            ):
                return ref
        return claimants[0]

    # --- pools and the result ---------------------------------------------------------------------

    def pools(self) -> Generator[None, None, None]:
        """Merge the pools that changed, give out shared names, follow fallbacks."""
        yield from self._pools.run()
        for pool_id, entry in self._pools.entries():
            self._put(pool_id, entry)
            yield
        for ref, findings in self._pools.findings():
            if findings != (self._extra.get(ref) or ()):
                if findings:
                    self._extra.set(ref, findings)
                else:
                    self._extra.drop(ref)
                self._said.add(ref)
            yield

    def result(self) -> Generator[None, None, Compilation]:
        """The Compilation."""
        for count, ref in enumerate(self._said, 1):
            outcome = self._outcomes.get(ref)
            findings = outcome.findings + (self._extra.get(ref) or ()) if outcome else ()
            if findings:
                self._findings.set(ref, findings)
            else:
                self._findings.drop(ref)
            if count % _STEP == 0:
                yield
        entries = self._entries.result()
        if self._known is None:
            self._changed.update(self._before.entries.keys() - entries.keys())
        due = self._due.result()
        return Compilation(
            config=Config(entries, self._revisions.result()),
            changed=frozenset(self._changed),
            next_due=self._next_due(due),
            findings=self._findings.result(),
            inputs=self._inputs,
            settings=self._settings,
            now=self._now,
            state=State(
                outcomes=self._outcomes.result(),
                extra=self._extra.result(),
                users=self._users.result(),
                claims=self._claims.result(),
                due=due,
                pools=self._pools.indexes(),
            ),
        )

    def _next_due(self, due: Shelves[ResourceRef, int]) -> int | None:
        """The first of all times.

        All are compared only where the first one so far belonged to a changed object.
        """
        before = self._known.next_due if self._known is not None else None
        if self._known is None or before in self._dues:
            return min((min(part.values()) for part in due.parts if part), default=None)
        return min((time for time in {before, *self._dues} if time is not None), default=None)


def _pool(entry: Deployment) -> PoolKey:
    return PoolKey(entry.namespace, entry.model)


def _deployment(outcome: Outcome | None) -> Deployment | None:
    entry = outcome.entry if outcome is not None else None
    return entry if isinstance(entry, Deployment) else None


def _claims(outcome: Outcome | None) -> set[str]:
    entry = outcome.entry if outcome is not None else None
    return {digest.digest for digest in entry.digests} if isinstance(entry, ClientKey) else set()


def _offer(outcome: Outcome | None) -> object:
    """All that a deployment can see of an ApiKey."""
    if outcome is None:
        return None
    entry = outcome.entry
    unresolved = (
        entry.credential.reason
        if isinstance(entry, CredentialEntry) and isinstance(entry.credential, UnresolvedCredential)
        else None
    )
    external = all(finding.external for finding in outcome.findings)
    return outcome.offers, unresolved, external
