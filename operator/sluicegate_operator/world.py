"""The objects and Secrets that there are, and what of them is new to compile. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate.resources import Inputs, Resource, ResourceRef, Secret, SecretRef
from sluicegate_operator.objects import Observed


class World:
    """What compile works on. Mutable; one frozen `Inputs` is cut off it for each compile."""

    def __init__(self) -> None:
        self._observed: dict[ResourceRef, Observed] = {}
        self._resources: dict[ResourceRef, Resource] = {}
        self._secrets: dict[SecretRef, Secret] = {}
        self._touched: set[ResourceRef] = set()
        self._touched_secrets: set[SecretRef] = set()
        # What snapshots have told that were not accepted.
        self._told: set[ResourceRef] = set()
        self._told_secrets: set[SecretRef] = set()
        self._accepted = Inputs({}, {})

    def see(self, ref: ResourceRef, observed: Observed | None) -> bool:
        """Take an object as it is now; None: it is gone. Answers whether compile has to know."""
        before = self._observed.get(ref)
        if observed is None:
            if before is None:
                return False
            del self._observed[ref], self._resources[ref]
            self._touched.add(ref)
            return True
        self._observed[ref] = observed
        same = (
            before is not None
            and before.manifest == observed.manifest
            and before.uid == observed.uid
            and before.generation == observed.generation
        )
        if not same:
            self._resources[ref] = observed.resource
            self._touched.add(ref)
        return not same

    def observed(self, ref: ResourceRef) -> Observed | None:
        """An object as it is now."""
        return self._observed.get(ref)

    def is_newer(self, ref: ResourceRef, uses: Iterable[SecretRef]) -> bool:
        """Whether an object, or a Secret that it uses, has changed since the last snapshot."""
        return ref in self._touched or not self._touched_secrets.isdisjoint(uses)

    def observed_keys(self) -> list[Observed]:
        """The ApiKeys as they are now."""
        return [each for ref, each in self._observed.items() if ref.kind == "ApiKey"]

    def keep(self, ref: SecretRef, secret: Secret | None) -> bool:
        """Take a Secret as it is now; None: it is not there. Answers whether that is new."""
        before = self._secrets.get(ref)
        if secret is None:
            self._secrets.pop(ref, None)
            changed = before is not None
        else:
            self._secrets[ref] = secret
            changed = before is None or not before.same_content(secret)
        if changed:
            self._touched_secrets.add(ref)
        return changed

    def secret(self, ref: SecretRef) -> Secret | None:
        """A Secret as it was fetched."""
        return self._secrets.get(ref)

    @property
    def touched(self) -> bool:
        """Whether anything is new since the last snapshot."""
        return bool(self._touched or self._touched_secrets)

    def snapshot(self) -> Inputs:
        """What there is, and what is new since the accepted snapshot."""
        self._told |= self._touched
        self._told_secrets |= self._touched_secrets
        self._touched.clear()
        self._touched_secrets.clear()
        return Inputs(
            resources=dict(self._resources),
            secrets=dict(self._secrets),
            since=self._accepted.token,
            changed=frozenset(self._told),
            changed_secrets=frozenset(self._told_secrets),
        )

    def accept(self, inputs: Inputs) -> None:
        """The last snapshot was compiled, and the next one is to be told against it."""
        self._accepted = inputs
        self._told.clear()
        self._told_secrets.clear()

    def __len__(self) -> int:
        return len(self._resources)
