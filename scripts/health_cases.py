"""Objects as the operator leaves them, one for every reason of Ready: what health is tested with.

They are made by the operator's own compile and judgement, and kept as the test data of
examples/gitops/argocd/resource_customizations, in Argo CD's form. This writes them; tests/gitops
says whether they are current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import yaml
from msgspec import Struct
from scripts.generated_page import ROOT

from sluicegate.cluster import API_KEYS, MODEL_DEPLOYMENTS, ResourceType
from sluicegate.compile import Settings, compile_all
from sluicegate.crds.status import PENDING
from sluicegate.resources import Secret
from sluicegate_operator.facts import facts_of
from sluicegate_operator.objects import Observed, decoder
from sluicegate_operator.status.fleet import Fleet, Gateway
from sluicegate_operator.status.judge import plan_status
from sluicegate_operator.status.values import Status
from sluicegate_operator.world import World

Health: TypeAlias = Literal["Healthy", "Suspended", "Progressing", "Degraded"]
Manifest: TypeAlias = dict[str, Any]

FOLDER = ROOT / "examples/gitops/argocd/resource_customizations/sluicegate.dev/_"
_NOW = 1_798_761_600  # 2027-01-01
_TIME = "2027-01-01T00:00:00Z"
_SEQUENCE = 7
_GATEWAYS = (Gateway("sluicegate-gateway-a", _SEQUENCE), Gateway("sluicegate-gateway-b", _SEQUENCE))
_BEHIND = Gateway("sluicegate-gateway-c", _SEQUENCE - 1)
_HASH = "sha256:" + "0a" * 32


def _made(kind: ResourceType, name: str, namespace: str = "team-a", /, **spec: object) -> Manifest:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": spec,
    }


def _model(name: str, namespace: str = "team-a", /, **spec: object) -> Manifest:
    echo: Manifest = {"provider": {"echo": {}}}
    return _made(MODEL_DEPLOYMENTS, name, namespace, **{**echo, **spec})


def _key(name: str, /, **client: object) -> Manifest:
    return _made(API_KEYS, name, client={"models": ["sonnet"], **client})


def _credential(**upstream: object) -> Manifest:
    return _made(API_KEYS, "openai", upstream=upstream)


def _openai(**credentials: object) -> Manifest:
    return _model("gpt", provider={"openai": {"model": "gpt-4.1"}}, credentials=credentials)


class Case(Struct, frozen=True):
    """The first of `objects`, in a cluster that holds them all.

    `later`: its spec has been changed since the operator has seen it.
    """

    name: str
    reason: str  # of Ready
    health: Health
    objects: tuple[Manifest, ...]
    secrets: tuple[Secret, ...] = ()
    gateways: tuple[Gateway, ...] = _GATEWAYS
    sharing: frozenset[str] = frozenset()
    later: bool = False


_ENTRY = {"name": "openai", "key": "api-key"}
_WITHOUT_ENTRY = Secret("team-a", "openai", {"token": "not-a-real-key"}, labelled=True)
_UNLABELLED = Secret("team-a", "openai", {"api-key": "not-a-real-key"})
_SHARED = {"model": "sonnet", "allowedNamespaces": {"from": "All"}}

CASES = (
    Case("model-ready", "Ready", "Healthy", (_model("sonnet"),)),
    Case("model-suspended", "Suspended", "Suspended", (_model("sonnet", suspended=True),)),
    Case(
        "model-ready-with-pool-conflict",
        "Ready",
        "Healthy",
        (
            _model("sonnet-b", model="sonnet", pool={"affinity": "ApiKey"}),
            _model("sonnet-a", model="sonnet", pool={"affinity": "EndUser"}),
        ),
    ),
    Case("model-older-version", "Ready", "Progressing", (_model("sonnet"),), later=True),
    Case(
        "model-waiting",
        "Waiting",
        "Progressing",
        (_model("sonnet"),),
        gateways=(*_GATEWAYS, _BEHIND),
    ),
    Case("model-no-gateways", "NoGateways", "Progressing", (_model("sonnet"),), gateways=()),
    Case(
        "model-gateway-unreachable",
        "GatewayUnreachable",
        "Progressing",
        (_model("sonnet"),),
        gateways=(*_GATEWAYS, msgspec.structs.replace(_BEHIND, voice="silent")),
    ),
    Case(
        "model-rejected",
        "Rejected",
        "Degraded",
        (_model("sonnet"),),
        gateways=(*_GATEWAYS, msgspec.structs.replace(_BEHIND, error="unknown schemaVersion 9")),
    ),
    Case("model-invalid-spec", "InvalidSpec", "Degraded", (_model("sonnet", weight="heavy"),)),
    Case(
        "model-name-taken",
        "ModelNameTaken",
        "Degraded",
        (_model("sonnet", "team-b", **_SHARED), _model("sonnet", **_SHARED)),
        sharing=frozenset({"team-a", "team-b"}),
    ),
    Case("model-sharing", "SharingNotAllowed", "Degraded", (_model("sonnet", **_SHARED),)),
    Case(
        "model-fallback-loop",
        "FallbackLoop",
        "Degraded",
        (_model("sonnet", pool={"fallbacks": [{"model": "sonnet@team-a"}]}),),
    ),
    Case(
        "model-fallback-not-found",
        "FallbackNotFound",
        "Progressing",
        (_model("sonnet", pool={"fallbacks": [{"model": "opus"}]}),),
    ),
    Case(
        "model-address",
        "AddressNotAllowed",
        "Degraded",
        (
            _model("gpt", provider={"openai": {"model": "m", "baseURL": "http://10.0.0.1/v1"}}),
            _credential(secretRef=_ENTRY),
        ),
    ),
    Case(
        "model-ambient",
        "AmbientNotAllowed",
        "Degraded",
        (_model("gpt", provider={"openai": {"model": "gpt-4.1"}}),),
    ),
    Case("model-secret-not-found", "SecretNotFound", "Progressing", (_openai(secretRef=_ENTRY),)),
    Case(
        "model-api-key-not-found",
        "ApiKeyNotFound",
        "Progressing",
        (_openai(apiKeyRef={"name": "openai"}),),
    ),
    Case(
        "model-credential-kind",
        "CredentialKindMismatch",
        "Degraded",
        (
            _openai(apiKeyRef={"name": "openai"}),
            _credential(aws={"secretRef": {"name": "openai"}}),
        ),
    ),
    Case(
        "credential-secret-key-missing",
        "SecretKeyMissing",
        "Degraded",
        (_credential(secretRef=_ENTRY),),
        secrets=(_WITHOUT_ENTRY,),
    ),
    Case(
        "credential-secret-not-labelled",
        "SecretNotLabelled",
        "Degraded",
        (_credential(secretRef=_ENTRY),),
        secrets=(_UNLABELLED,),
    ),
    Case("key-ready", "Ready", "Healthy", (_key("app", keyHash=_HASH),)),
    Case("key-revoked", "Revoked", "Healthy", (_key("app", keyHash=_HASH, revoked=True),)),
    Case(
        "key-expiring-soon",
        "Ready",
        "Healthy",
        (_key("app", keyHash=_HASH, expiresAt="2027-01-03T00:00:00Z"),),
    ),
    Case(
        "key-expired",
        "Expired",
        "Degraded",
        (_key("app", keyHash=_HASH, expiresAt="2026-12-31T00:00:00Z"),),
    ),
    Case(
        "key-duplicate",
        "DuplicateKey",
        "Degraded",
        (_key("app", keyHash=_HASH), _key("another", keyHash=_HASH)),
    ),
    Case(
        "key-secret-exists",
        "SecretExists",
        "Degraded",
        (_key("app", generate={"secretName": "openai"}),),
        secrets=(_UNLABELLED,),
    ),
)


class Made(NamedTuple):
    """An object of a case, with its status, and what Argo CD is to say of it."""

    name: str
    content: Manifest
    health: Health
    message: str


def made() -> Iterator[Made]:
    """All of them; the first is one that no operator has seen."""
    unseen = _model("sonnet")
    unseen["status"] = {"conditions": [dict(PENDING)]}
    yield Made("model-pending", unseen, "Progressing", PENDING["message"])
    for case in CASES:
        status = json.loads(msgspec.json.encode(_status(case)))
        content = {**case.objects[0], "status": _without_nulls(status)}
        if case.later:
            content["metadata"] = {**content["metadata"], "generation": 2}
            message = "Waiting for the operator to see this version."
        else:
            message = _message(content["status"]["conditions"])
        yield Made(case.name, content, case.health, message)


def _status(case: Case) -> Status:
    """What the operator would write, had it never written anything."""
    world = World()
    observed = [_observed(each) for each in case.objects]
    for one in observed:
        world.see(one.ref, one)
    for secret in case.secrets:
        world.keep(secret.ref, secret)
    settings = Settings.cluster("sluicegate", sharing_namespaces=case.sharing)
    compilation = compile_all(world.snapshot(), None, settings, _NOW)
    facts = facts_of(observed[0], compilation, _SEQUENCE, {}, inherited=False)
    fleet = Fleet(case.gateways)
    return plan_status(facts, Status(), fleet, "sluicegate/sluicegate", _TIME, latch=False)


def _observed(manifest: Manifest) -> Observed:
    kind = API_KEYS if manifest["kind"] == API_KEYS.kind else MODEL_DEPLOYMENTS
    metadata = {**manifest["metadata"], "uid": "1", "resourceVersion": "1"}
    read = decoder(kind)(json.dumps({**manifest, "metadata": metadata}).encode())
    if read is None:
        raise ValueError("what is being deleted has no status to be written")
    return read


def _without_nulls(status: Manifest) -> Manifest:
    """As the API server answers a merge patch with it."""
    return {name: value for name, value in status.items() if value is not None}


def _message(conditions: Sequence[Manifest]) -> str:
    """Ready's words, and those of every condition that is out of the ordinary while it holds."""
    ready = next(one for one in conditions if one["type"] == "Ready")
    told = [ready["message"]]
    if ready["status"] == "True":
        told += [
            f"{one['type']}: {one['message']}"
            for one in conditions
            if one["type"] in {"PoolConflict", "ExpiringSoon", "PriceUnknown"}
        ]
    return " ".join(told)


def files() -> Iterator[tuple[str, str]]:
    """The names below FOLDER, and what is in the files."""
    tests: list[Manifest] = []
    for each in made():
        path = f"testdata/{each.name}.yaml"
        yield path, _yaml(each.content)
        verdict = {"status": each.health, "message": each.message}
        tests.append({"healthStatus": verdict, "inputPath": path})
    yield "health_test.yaml", _yaml({"tests": tests})


def _yaml(content: Manifest) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)


def _write() -> None:
    for path in FOLDER.glob("testdata/*.yaml"):
        path.unlink()
    for name, text in files():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write()
