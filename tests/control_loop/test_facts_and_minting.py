"""What a status may tell of an object, and what is in the Secret of a minted key."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from sluicegate.auth.keys import key_id
from sluicegate.cluster import (
    API_KEYS,
    MODEL_DEPLOYMENTS,
    ClusterClient,
    ClusterSecret,
    Conflict,
    ResourceType,
)
from sluicegate.compile import Rotation, Settings, WantedKey, compile_all
from sluicegate.resources import Secret, SecretRef
from sluicegate_operator.credentials import Credentials
from sluicegate_operator.events import Announcer
from sluicegate_operator.facts import Held, facts_of
from sluicegate_operator.minted import (
    first_key,
    minted_at,
    next_key,
    owner_name,
    owner_uid,
    requested_at,
)
from sluicegate_operator.minting import Minting
from sluicegate_operator.objects import Observed, decoder
from sluicegate_operator.status.judge import Facts
from sluicegate_operator.status.values import Columns
from sluicegate_operator.world import World

NOW = 1_800_000_000
SECRET = SecretRef("team", "s")


def observed(kind: ResourceType, spec: dict[str, Any]) -> Observed:
    meta = {"name": "a", "namespace": "team", "uid": "u", "generation": 1, "resourceVersion": "1"}
    read = decoder(kind)(json.dumps({"metadata": meta, "spec": spec}).encode())
    assert read is not None
    return read


def told(
    kind: ResourceType,
    spec: dict[str, Any],
    value: str = "sk-a-key-of-the-teams",
    mark: str = "u/1",
) -> Facts:
    world = World()
    one = observed(kind, spec)
    world.see(one.ref, one)
    world.keep(SECRET, Secret("team", "s", {"key": value}, labelled=True))
    compilation = compile_all(world.snapshot(), None, Settings.cluster("team"), NOW)
    return facts_of(one, compilation, 5, {SECRET: Held(mark)}, inherited=False)


CREDENTIALS = {"secretRef": {"name": "s", "key": "key"}}
OBJECTS: tuple[tuple[ResourceType, dict[str, Any]], ...] = (
    (MODEL_DEPLOYMENTS, {"provider": {"openai": {"model": "m"}}, "credentials": CREDENTIALS}),
    (API_KEYS, {"client": CREDENTIALS}),
    (API_KEYS, {"upstream": CREDENTIALS}),
)


def test_a_revision_tells_a_secrets_version_and_nothing_of_its_value() -> None:
    for kind, spec in OBJECTS:
        before = told(kind, spec)
        assert before.revision is not None
        assert told(kind, spec, value="sk-quite-another-key").revision == before.revision
        assert told(kind, spec, mark="u/2").revision != before.revision


def test_what_has_no_entry_has_no_revision() -> None:
    facts = told(API_KEYS, {"client": {"secretRef": {"name": "none", "key": "key"}}})
    assert facts.revision is None
    assert facts.held_since is None
    assert facts.columns.type == "Client"


def test_standing_follows_the_spec() -> None:
    echo: dict[str, Any] = {"provider": {"echo": {}}}
    assert told(MODEL_DEPLOYMENTS, echo).standing == "Ready"
    assert told(MODEL_DEPLOYMENTS, {**echo, "suspended": True}).standing == "Suspended"
    assert told(API_KEYS, {"client": {**CREDENTIALS, "revoked": True}}).standing == "Revoked"
    past = {**CREDENTIALS, "expiresAt": "2020-01-01T00:00:00Z"}
    assert told(API_KEYS, {"client": past}).standing == "Expired"


# --- minted Secrets -------------------------------------------------------------------------------


def stored(manifest: object) -> ClusterSecret:
    """As the API server answers it."""
    return msgspec.json.decode(msgspec.json.encode(manifest), type=ClusterSecret)


def wanted(requested_at: int | None = None) -> WantedKey:
    rotation = Rotation(requested_at, 60.0) if requested_at is not None else None
    return WantedKey("team", "a", "s", rotation)


def test_a_new_key_belongs_to_its_api_key() -> None:
    manifest, minted_id = first_key(wanted(), "u", NOW)
    secret = stored(manifest)
    assert key_id(secret.data["key"].decode()) == minted_id
    assert owner_name(secret.metadata) == "a"
    assert owner_uid(secret.metadata, "a") == "u"
    assert owner_uid(secret.metadata, "b") is None
    assert minted_at(secret.metadata) == ("2027-01-15T08:00:00Z",)


def test_a_secret_that_only_looks_like_ours_is_nobodys() -> None:
    manifest, _ = first_key(wanted(), "u", NOW)
    secret = stored(manifest)
    meta = msgspec.structs.replace(secret.metadata, labels={})
    assert owner_name(meta) is None
    assert owner_uid(meta, "a") is None


def test_a_rotation_is_done_once_and_keeps_the_key_before() -> None:
    first = stored(first_key(wanted(), "u", NOW)[0])
    assert next_key(wanted(), first, NOW) is None
    planned = next_key(wanted(NOW + 10), first, NOW + 20)
    assert planned is not None
    second = stored(planned[0])
    assert second.data["previousKey"] == first.data["key"]
    assert second.data["previousNotAfter"] == b"2027-01-15T08:01:20Z"
    assert second.data["key"] != first.data["key"]
    assert len(minted_at(second.metadata)) == 2
    assert next_key(wanted(NOW + 10), second, NOW + 30) is None
    assert next_key(wanted(NOW + 11), second, NOW + 30) is not None


def test_a_rotation_that_is_to_come_waits_for_its_time() -> None:
    asked = wanted(NOW + 10)
    first = stored(first_key(asked, "u", NOW)[0])
    assert requested_at(first.metadata) is None
    assert next_key(asked, first, NOW + 9) is None
    planned = next_key(asked, first, NOW + 10)
    assert planned is not None
    second = stored(planned[0])
    assert requested_at(second.metadata) == NOW + 10
    assert next_key(asked, second, NOW + 11) is None


def test_what_was_never_accepted_shows_what_it_asks_for() -> None:
    told_of = told(MODEL_DEPLOYMENTS, {"provider": {"openai": {"model": "m"}}, "wieght": 1})
    assert (told_of.revision, told_of.columns) == (None, Columns(model="a", provider="openai"))
    named = told(MODEL_DEPLOYMENTS, {"provider": {}, "model": "gpt-*"})
    assert named.columns == Columns(model="gpt-*")
    assert told(MODEL_DEPLOYMENTS, {"provider": 1, "model": []}).columns == Columns()


class _Minted:
    """Mints at once, and remembers whose keys."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def mint(self, wanted: WantedKey, now: float) -> None:
        del now
        self.asked.append(wanted.name)


async def test_a_lost_key_does_not_wait_for_a_rotation_that_is_to_come() -> None:
    world, credentials = World(), _Minted()
    rotation = {"requestedAt": "2027-01-16T08:00:00Z"}  # a day later
    key = observed(API_KEYS, {"client": {"generate": {"secretName": "s"}, "rotation": rotation}})
    announcer = Announcer(cast("ClusterClient", None), "a")
    minting = Minting(world, cast("Credentials", credentials), announcer, lambda: NOW)
    world.see(key.ref, key)
    inputs = world.snapshot()
    compilation = compile_all(inputs, None, Settings.cluster("team"), NOW)
    minting.note(inputs)
    assert not await minting.run(compilation, inputs)
    assert minting.due is not None  # it is looked at again, should the clock be set
    world.accept(inputs)
    nothing_new = world.snapshot()
    assert not nothing_new.changed
    await minting.run(compilation, nothing_new)
    assert credentials.asked == ["a", "a"]


class _Contested:
    """Holds one Secret, which somebody else has just labelled when it is written first."""

    def __init__(self, secret: ClusterSecret) -> None:
        self.secret = secret
        self.writes = 0

    async def get(
        self, kind: ResourceType, name: str, as_type: type, *, namespace: str
    ) -> ClusterSecret:
        del kind, name, as_type, namespace
        return self.secret

    async def replace(
        self, kind: ResourceType, name: str, manifest: object, as_type: type, *, namespace: str
    ) -> ClusterSecret:
        del kind, as_type, namespace
        self.writes += 1
        if self.writes == 1:
            raise Conflict(409, "Conflict", name)
        self.secret = stored(manifest)
        return self.secret


async def test_a_rotation_that_meets_another_write_is_tried_again() -> None:
    """The other write may leave the key as it is, and then nothing else leads to another try."""
    world = World()
    rotation = {"requestedAt": "2027-01-15T07:00:00Z"}
    key = observed(API_KEYS, {"client": {"generate": {"secretName": "s"}, "rotation": rotation}})
    world.see(key.ref, key)
    client = _Contested(stored(first_key(wanted(), "u", NOW)[0]))
    credentials = Credentials(
        cast("ClusterClient", client), world, lambda _: client.secret.metadata, frozenset()
    )
    await credentials.fetch((SECRET,))
    announcer = Announcer(cast("ClusterClient", None), "a")
    minting = Minting(world, credentials, announcer, lambda: NOW)
    inputs = world.snapshot()
    minting.note(inputs)
    await minting.run(compile_all(inputs, None, Settings.cluster("team"), NOW), inputs)
    assert minting.owes(key.ref)
    assert minting.due is not None
