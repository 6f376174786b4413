"""The Secrets of a bundle as an API server would hold them, and configurations to fill them."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Raw

from sluicegate.bundle import (
    SHARDS,
    Bundle,
    Publication,
    SecretData,
    Standing,
    assemble_steps,
    next_stamp,
    plan_steps,
    read_index,
    standing_steps,
)
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    Budget,
    ClientKey,
    Config,
    CredentialEntry,
    Deployment,
    EchoUpstream,
    Entry,
    KeyDigest,
    Limits,
    OpenAIUpstream,
    Parameters,
    Pool,
    SecretCredential,
    config_revision_steps,
    entry_revision,
)

T = TypeVar("T")
SECRET = "sk-upstream-must-not-be-shown"


def done(steps: Generator[object, None, T]) -> T:
    """Run steps through."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def revision_of(config: Config) -> str:
    return done(config_revision_steps(config))


def config_of(entries: Mapping[str, Entry] | Iterator[Entry]) -> Config:
    found = (
        dict(entries) if isinstance(entries, Mapping) else {entry.id: entry for entry in entries}
    )
    return Config(found, {id_: entry_revision(entry) for id_, entry in found.items()})


def key_entry(name: str, *, revoked: bool = False) -> ClientKey:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ClientKey(
        namespace="team",
        name=name,
        digests=(KeyDigest(digest, digest[:8]),),
        models=("gpt-*", "claude-*"),
        revoked=revoked,
        limits=Limits(requests_per_minute=60),
        budget=Budget("50.00", "30d"),
        tags={"cost-center": f"cc-{len(name)}"},
    )


def deployment_entry(name: str, *, weight: int = 1) -> Deployment:
    return Deployment(
        namespace="team",
        name=name,
        model=f"model-{name}",
        upstream=OpenAIUpstream(model="gpt-real"),
        credential=SecretCredential(f"{SECRET}-{name}"),
        weight=weight,
        parameters=Parameters(defaults={"text": Raw(b'{"a": "\\n line"}')}),
    )


def large_config(*, keys: int, deployments: int) -> Config:
    """As a large team has it: digests and credentials that compress badly."""

    def entries() -> Iterator[Entry]:
        for number in range(deployments):
            deployment = deployment_entry(f"d{number:05d}")
            yield deployment
            yield Pool(
                namespace="team", model=deployment.model, members=(deployment.name,), shared=True
            )
        for number in range(keys):
            yield key_entry(f"k{number:05d}")

    return config_of(entries())


def incompressible(octets: int) -> str:
    return "".join(random.Random(octets).choices(string.ascii_letters + string.digits, k=octets))


def other_entries() -> tuple[Entry, ...]:
    """One of each kind that the functions above do not make."""
    return (
        CredentialEntry(
            namespace="team",
            name="aws",
            credential=AwsCredential(access_key_id="AKIA", secret_access_key=SECRET),
        ),
        Deployment(
            namespace="team",
            name="echo",
            model="echo",
            upstream=EchoUpstream(text="hello\u2028 ☃"),
            credential=AmbientCredential(),
        ),
    )


@dataclass
class Shelf:
    """What the API server holds. `log` counts the writes of each Secret."""

    index: dict[str, bytes] | None = None
    shards: list[dict[str, bytes]] = field(default_factory=lambda: [{} for _ in range(SHARDS)])
    log: list[int | None] = field(default_factory=list[int | None])

    def copy(self) -> Shelf:
        index = dict(self.index) if self.index is not None else None
        return Shelf(index, [dict(data) for data in self.shards])

    def write(self, secret: SecretData) -> None:
        self.log.append(secret.number)
        if secret.number is None:
            self.index = dict(secret.data)
        else:
            self.shards[secret.number] = dict(secret.data)

    def write_all(self, publication: Publication) -> None:
        for secret in (*publication.shards, publication.index):
            self.write(secret)

    def contents(self, index: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
        found = dict(index or self.index or {})
        for data in self.shards:
            found.update(data)
        return found

    def read(self, held: Bundle | None = None, index: Mapping[str, bytes] | None = None) -> Bundle:
        """As a gateway reads it; with an index Secret that it has got before, with that one."""
        found = read_index(index or self.index or {})
        return done(assemble_steps(found, self.contents(index), held))

    def standing(self) -> Standing:
        """As an operator reads it back."""
        return done(standing_steps(self.index, self.shards))


def plan(
    standing: Standing, config: Config, *, epoch: str = "epoch-1", fold: bool = False
) -> Publication | None:
    """What to write; `epoch` is taken where nothing stands."""
    stamp = next_stamp(standing, new_epoch=epoch, highest_seen=0, now=1000.0)
    return done(plan_steps(standing, config, stamp, fold=fold))


def published(
    shelf: Shelf, config: Config, standing: Standing | None = None, *, fold: bool = False
) -> Standing:
    """Publish it and answer what stands then."""
    before = standing or shelf.standing()
    publication = plan(before, config, fold=fold)
    if publication is None:
        return before
    shelf.write_all(publication)
    return publication.standing
