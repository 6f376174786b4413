"""Design section 4: whatever a tenant applies, it gets a condition and nothing else.

Operator and gateway are processes with their own rights; the tenant has the chart's role for
tenants in its namespace. All that leaves the gateway goes through a proxy that writes it down.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from cluster_identities import (
    apply_manifests,
    make_namespace,
    make_service_account,
    may_list,
    service_account_token,
    speaking_with,
)
from eventually import eventually
from helm_chart import rendered
from operated_cluster import Object, OperatedCluster, condition, reason
from served_cluster import ServedCluster
from served_folder import Served
from sluicegate.cluster import (
    API_KEYS,
    LEASES,
    MODEL_DEPLOYMENTS,
    SECRETS,
    ApiStatusError,
    ClusterClient,
    Forbidden,
    Invalid,
    Metadata,
    ResourceType,
    Selection,
)
from stand_in_providers import StandIns, stand_in_providers

pytestmark = pytest.mark.usefixtures("crds")

MINE = "tenants-own.example.com"
AMBIENT = "sk-ambient-of-the-gateway"
SHARED = "sk-secret-of-the-models-team"
OWN = "sk-of-the-tenant-itself"
KEYS = {"tenant": "sk-client-key-of-the-tenant", "other": "sk-client-key-of-another"}
METADATA = (
    "http://169.254.169.254",
    "http://169.254.169.254.",
    "http://169.254.43518",
    "http://169.16689662",
    "http://2852039166",
    "http://0xa9fea9fe",
    "http://0xa9.0xfe.0xa9.0xfe",
    "http://0251.0376.0251.0376",
    "http://025177524776",
    "http://0x00000000a9fea9fe",
    "http://user@169.254.169.254",
    "http://tenants-own.example.com@169.254.169.254",
    "http://169%2e254%2e169%2e254",
    "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "http://169。254。169。254",
    "http://[::ffff:169.254.169.254]",
    "http://[::ffff:a9fe:a9fe]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[2002:a9fe:a9fe::]",
    "http://[fe80::1%25eth0]",
    "http://[fd00:ec2::254]",
    "http://100.100.100.200",
    "http://192.0.0.192",
    "http://metadata",
    "http://metadata.google.internal",
    "http://METADATA.GOOGLE.INTERNAL.",
    "http://instance-data.ec2.internal",
    "https://localhost",
    "https://0",
    "https://127.1",
    "https://kubernetes.default.svc.cluster.local",
    "file:///var/run/secrets/kubernetes.io/serviceaccount/token",
    "gopher://169.254.169.254",
    "//169.254.169.254",
)


@dataclass
class Tenancy:
    """An installation, a team that shares models, a tenant, and another one."""

    home: ServedCluster
    tenant: OperatedCluster  # applies with the tenant's rights
    other: OperatedCluster
    giver: OperatedCluster  # puts into the tenant's namespace what the tenant may not
    gateway: Served
    outside: StandIns

    async def ask(self, who: str, model: str) -> tuple[int, str, str | None]:
        """Status, text, and which deployment answered."""
        body = json.dumps({"model": model, "input": "hi"}).encode()
        answer = await self.gateway.post(body, {"Authorization": f"Bearer {KEYS[who]}"})
        return answer.status, answer.body.decode(), answer.headers.get("x-sluicegate-deployment")


@pytest.fixture
async def tenancy(cluster: ServedCluster) -> Tenancy:
    plane, admin, home = cluster.plane, cluster.admin, cluster.namespace
    outside = await cluster.stack.enter_async_context(stand_in_providers(cluster.folder, MINE))
    environ = {
        **outside.environ(),
        "HTTP_PROXY": outside.environ()["HTTPS_PROXY"],
        "OPENAI_API_KEY": AMBIENT,
    }
    names = {who: f"{home}-{who}" for who in KEYS}
    for name in names.values():
        await make_namespace(admin, name)
    await cluster.start_operator(
        *(f"--watch-namespace={name}" for name in names.values()),
        f"--sharing-namespace={home}",
        f"--sharing-namespace={names['other']}",
    )
    await cluster.until(SECRETS, "sluicegate", lambda _: True)  # a publication to start with
    gateway = await cluster.serve("gw-a", environ)
    await _role(admin, names["tenant"])
    token = await service_account_token(admin, names["tenant"], "tenant")
    speaking = speaking_with(plane, token, names["tenant"])
    rights = await cluster.stack.enter_async_context(speaking)
    await eventually(partial(may_list, rights, MODEL_DEPLOYMENTS, names["tenant"]))

    def of(who: str, client: ClusterClient) -> OperatedCluster:
        return OperatedCluster(plane, client, names[who], cluster.folder, cluster.stack)

    made = Tenancy(
        cluster, of("tenant", rights), of("other", admin), of("tenant", admin), gateway, outside
    )
    await _given(made)
    return made


async def _role(admin: ClusterClient, namespace: str) -> None:
    """The chart's roles that are added to `edit`, and nothing besides."""
    await make_service_account(admin, namespace, "tenant")
    roles = [
        each
        for each in await asyncio.to_thread(rendered, None)
        if "rbac.authorization.k8s.io/aggregate-to-edit" in each["metadata"].get("labels", {})
    ]
    assert len(roles) == 2
    subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}
    for number, role in enumerate(roles):
        role["metadata"] = {"name": f"{namespace}-{number}"}
        reference = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"{namespace}-{number}",
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"tenant-{number}", "namespace": namespace},
            "roleRef": reference,
            "subjects": [subject],
        }
        await apply_manifests(admin, json.dumps(role), json.dumps(binding))


async def _given(made: Tenancy) -> None:
    """What is there and well before the tenant begins."""
    await made.home.secret("openai", key=SHARED)
    credentials = {"secretRef": {"name": "openai", "key": "key"}}
    shared = {"model": "gpt", "allowedNamespaces": {"from": "All"}}
    await made.home.deployment(
        "shared", provider={"openai": {"model": "m"}}, credentials=credentials, **shared
    )
    await made.giver.secret("own", key=OWN)
    await made.giver.secret("plain", labelled=False, key="sk-that-is-not-for-gateways")
    reading = {"type": "external_account", "credential_source": {"file": "/etc/passwd"}}
    await made.giver.secret("reading", json=json.dumps(reading))
    fetching = {**reading, "credential_source": {"url": "http://169.254.169.254/token"}}
    await made.giver.secret("fetching", json=json.dumps(fetching))
    running = {**reading, "credential_source": {"executable": {"command": "/bin/true"}}}
    await made.giver.secret("running", json=json.dumps(running))
    account = {
        "type": "service_account",
        "client_email": "a@b.example",
        "private_key": "none",
        "token_uri": f"https://{MINE}/token",
    }
    await made.giver.secret("elsewhere", json=json.dumps(account))
    for who, cluster in (("tenant", made.tenant), ("other", made.other)):
        await cluster.key("mine", keyHash=_hash(KEYS[who]))
    await made.home.ready("shared")
    await made.tenant.key_ready("mine")
    await made.other.key_ready("mine")


def _hash(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def openai(base_url: str | None = None, model: str = "m") -> dict[str, object]:
    return {"openai": {"model": model, **({} if base_url is None else {"baseURL": base_url})}}


def secret(name: str) -> dict[str, object]:
    return {"secretRef": {"name": name, "key": "key"}}


def google(name: str) -> dict[str, object]:
    return {"upstream": {"google": {"secretRef": {"name": name, "key": "json"}}}}


VERTEX = {"model": "gemini-2.5-flash", "project": "p", "location": "us-central1"}
MY_HOST = f"https://{MINE}/v1"

# What the tenant applies; what it is told; a word of the message that says what to change.
DEPLOYMENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "anothers-secret": (
        {"provider": openai(MY_HOST), "credentials": secret("openai")},
        "SecretNotFound",
        "namespace",
    ),
    "the-bundle": (
        {"provider": openai(MY_HOST), "credentials": secret("sluicegate")},
        "SecretNotFound",
        "namespace",
    ),
    "unlabelled": (
        {"provider": openai(MY_HOST), "credentials": secret("plain")},
        "SecretNotLabelled",
        "sluicegate.dev/credential",
    ),
    "ambient": ({"provider": openai()}, "AmbientNotAllowed", "credentials"),
    "ambient-to-me": ({"provider": openai(MY_HOST)}, "AmbientNotAllowed", "credentials"),
    "ambient-aws": (
        {"provider": {"bedrock": {"model": "m", "region": "us-east-1"}}},
        "AmbientNotAllowed",
        "credentials",
    ),
    "ambient-google": ({"provider": {"vertexAI": VERTEX}}, "AmbientNotAllowed", "credentials"),
    "gpt": (
        {"model": "gpt", "allowedNamespaces": {"from": "All"}, "pricing": {"input": "0"}},
        "SharingNotAllowed",
        "--sharing-namespace",
    ),
    "shared-by-name": (
        {"allowedNamespaces": {"from": "Names", "names": ["default"]}},
        "SharingNotAllowed",
        "--sharing-namespace",
    ),
    "reads-files": (
        {"provider": {"vertexAI": VERTEX}, "credentials": {"apiKeyRef": {"name": "reading"}}},
        "",
        "reading",
    ),
    "anothers-key": (
        {"provider": openai(MY_HOST), "credentials": {"apiKeyRef": {"name": "mine-too"}}},
        "ApiKeyNotFound",
        "mine-too",
    ),
    "a-client-key": (
        {"provider": openai(MY_HOST), "credentials": {"apiKeyRef": {"name": "mine"}}},
        "CredentialKindMismatch",
        "spec.upstream",
    ),
}

KEY_SPECS: dict[str, tuple[dict[str, Any], str, str]] = {
    "reading": (google("reading"), "AmbientNotAllowed", "external_account"),
    "fetching": (google("fetching"), "AmbientNotAllowed", "external_account"),
    "running": (google("running"), "AmbientNotAllowed", "external_account"),
    "elsewhere": (google("elsewhere"), "AddressNotAllowed", "token"),
    "a-role": (
        {"upstream": {"aws": {"roleARN": "arn:aws:iam::123456789012:role/theirs"}}},
        "AmbientNotAllowed",
        "secretRef",
    ),
    "anothers-identity": ({"client": {"keyHash": _hash(KEYS["other"])}}, "DuplicateKey", "key"),
    "adopting": ({"client": {"generate": {"secretName": "plain"}}}, "SecretExists", "plain"),
}

# What the API server itself refuses, in words that say what to write instead.
REFUSED: dict[str, dict[str, Any]] = {
    "secret-of-a-namespace": {
        "provider": openai(),
        "credentials": {"secretRef": {"name": "openai", "key": "key", "namespace": "models"}},
    },
    "secret-by-path": {"provider": openai(), "credentials": secret("../models/openai")},
    "region-is-a-host": {"provider": {"bedrock": {"model": "m", "region": f"{MINE}/#"}}},
    "region-with-port": {"provider": {"bedrock": {"model": "m", "region": "us-east-1.x:80"}}},
    "location-is-a-host": {"provider": {"vertexAI": {**VERTEX, "location": f"{MINE}/#"}}},
    "location-with-user": {"provider": {"vertexAI": {**VERTEX, "location": f"x@{MINE}"}}},
    "project-is-a-path": {"provider": {"vertexAI": {**VERTEX, "project": "../../x"}}},
    "model-is-a-path": {"provider": {"bedrock": {"model": "../x?y", "region": "us-east-1"}}},
    "host-header": {"provider": openai(MY_HOST), "headers": {"Host": "api.openai.com"}},
    "credential-header": {"provider": openai(), "headers": {"Authorization": "Bearer x"}},
    "two-headers": {"provider": openai(), "headers": {"x-a": "b\r\nHost: c"}},
}


async def test_each_thing_that_a_tenant_tries_gets_a_condition_and_nothing_else(
    tenancy: Tenancy,
) -> None:
    tenant = tenancy.tenant
    for name, (spec, _, _) in KEY_SPECS.items():
        await tenant.apply(API_KEYS, name, spec)
    for name, (spec, _, _) in DEPLOYMENTS.items():
        await tenant.deployment(name, **spec)
    for name, (_, expected, word) in KEY_SPECS.items():
        await _is_told(tenant, API_KEYS, name, expected, word)
    for name, (_, expected, word) in DEPLOYMENTS.items():
        await _is_told(tenant, MODEL_DEPLOYMENTS, name, expected, word)
    for name, spec in REFUSED.items():
        with pytest.raises(ApiStatusError) as refused:
            await tenant.deployment(name, **spec)
        assert refused.value.status in {400, 422, 500}, name
        assert len(refused.value.message) > 60, name

    # What the tenant may: its own credential, to its own host. This is seen outside.
    await tenant.deployment("good", provider=openai(MY_HOST), credentials=secret("own"))
    await tenant.ready("good")
    assert (await tenancy.ask("tenant", "good"))[0] == 200
    assert tenancy.outside.asked == [f"CONNECT {MINE}:443"]

    for name, (_, expected, _) in DEPLOYMENTS.items():
        if expected != "SharingNotAllowed":  # such a one serves its own namespace's keys
            status, text, _ = await tenancy.ask("tenant", name)
            assert status >= 400, (name, text)
    for model in (*DEPLOYMENTS, f"gpt@{tenant.namespace}", "good", f"good@{tenant.namespace}"):
        if model != "gpt":
            assert (await tenancy.ask("other", model))[0] == 400, model
    for who in ("other", "tenant"):
        assert (await tenancy.ask(who, f"gpt@{tenancy.home.namespace}"))[0] == 200
    status, _, answered = await tenancy.ask("other", "gpt")
    assert (status, answered) == (200, f"{tenancy.home.namespace}/shared")

    hosts = {one.partition(" ")[2] for one in tenancy.outside.asked}
    assert hosts == {f"{MINE}:443", "api.openai.com:443"}
    for call in tenancy.outside.upstream.calls:
        presented = call.header("authorization")
        assert presented == f"Bearer {OWN if call.header('host') == MINE else SHARED}"


async def _is_told(
    tenant: OperatedCluster, kind: ResourceType, name: str, expected: str, word: str
) -> None:
    """One reason, the same in `Ready` and in the condition that it comes from."""

    def judged(found: Object) -> bool:
        return reason(found) not in {"", "Pending", "Waiting"}

    found = await tenant.until(kind, name, judged)
    said = condition(found, "Ready")
    assert said["status"] == "False", (name, said)
    assert reason(found) == expected or not expected, (name, said)
    causes = [condition(found, one) for one in ("Accepted", "ResolvedRefs")]
    [message] = [one["message"] for one in causes if one["reason"] == said["reason"]]
    assert word in message, (name, message)
    for value in (AMBIENT, SHARED, OWN, "/etc/passwd", "sk-that-is-not-for-gateways"):
        assert value not in json.dumps(found["status"]), name


async def test_the_metadata_address_is_reached_in_no_spelling(tenancy: Tenancy) -> None:
    tenant = tenancy.tenant
    accepted: list[str] = []
    for number, url in enumerate(METADATA):
        name = f"metadata-{number}"
        spec = {"provider": openai(f"{url}/v1"), "credentials": secret("own")}
        refusal = await _refusal(tenant, name, spec)
        if refusal is None:
            accepted.append(name)
        else:
            assert "baseURL" in refusal, url
    for name in accepted:
        await _is_told(tenant, MODEL_DEPLOYMENTS, name, "AddressNotAllowed", "")
        assert (await tenancy.ask("tenant", name))[0] >= 400
    assert tenancy.outside.asked == []


async def _refusal(tenant: OperatedCluster, name: str, spec: dict[str, Any]) -> str | None:
    try:
        await tenant.deployment(name, **spec)
    except Invalid as refused:
        return refused.message
    return None


async def test_a_private_model_is_reached_neither_by_name_nor_by_fallback(
    tenancy: Tenancy,
) -> None:
    await tenancy.home.deployment("private", provider={"echo": {"text": "private words"}})
    await tenancy.home.ready("private")
    hidden = f"private@{tenancy.home.namespace}"
    pool = {"fallbacks": [{"model": hidden}]}
    await tenancy.tenant.deployment("through", suspended=True, pool=pool)
    found = await tenancy.tenant.until(
        MODEL_DEPLOYMENTS, "through", lambda one: reason(one, "ResolvedRefs") == "FallbackNotFound"
    )
    assert hidden in condition(found, "ResolvedRefs")["message"]
    for model in ("private", hidden, "through"):
        status, text, _ = await tenancy.ask("tenant", model)
        assert status >= 400, model
        assert "private words" not in text
    assert tenancy.outside.asked == []


async def test_a_name_stays_with_whoever_shared_it_first(tenancy: Tenancy) -> None:
    thief = {"model": "gpt", "allowedNamespaces": {"from": "All"}, "pricing": {"input": "0"}}
    await tenancy.other.deployment("thief", **thief)
    found = await tenancy.other.until(
        MODEL_DEPLOYMENTS, "thief", lambda one: reason(one) == "ModelNameTaken"
    )
    assert tenancy.home.namespace in condition(found, "Accepted")["message"]
    status, _, answered = await tenancy.ask("tenant", "gpt")
    assert (status, answered) == (200, f"{tenancy.home.namespace}/shared")


async def test_a_tenant_has_the_two_kinds_and_no_more(tenancy: Tenancy) -> None:
    rights, home = tenancy.tenant.admin, tenancy.home.namespace
    mine = tenancy.tenant.namespace

    async def listed(kind: ResourceType, namespace: str | None) -> None:
        async for _ in rights.pages(kind, Selection(namespace)):
            pass

    for kind, namespace in (
        (SECRETS, mine),
        (SECRETS, home),
        (LEASES, home),
        (MODEL_DEPLOYMENTS, home),
        (MODEL_DEPLOYMENTS, None),
    ):
        with pytest.raises(Forbidden):
            await listed(kind, namespace)
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
    with pytest.raises(Forbidden):
        await rights.patch(
            API_KEYS, "mine", {"status": ready}, Metadata, namespace=mine, subresource="status"
        )
    with pytest.raises(Forbidden):
        await rights.get(SECRETS, "sluicegate", Metadata, namespace=home)
    await listed(MODEL_DEPLOYMENTS, mine)
    await rights.delete(API_KEYS, "mine", namespace=mine)
