"""ApiKeys: digests, duplicates, rotation, time. Credentials: what fits, what a tenant can reach."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from manifest_objects import (
    NOW,
    api_key,
    client,
    compiled,
    condition,
    deployment,
    deployment_entry,
    entry,
    hash_of,
    openai,
    secret,
)
from sluicegate.compile import Compilation, Settings
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    ClientKey,
    CredentialEntry,
    GoogleCredential,
    ReferencedCredential,
    UnresolvedCredential,
)
from sluicegate.resources import Resource, Secret

MINTED = "sk-sg-abcdEFGH-" + "x" * 43 + "-000000"
DAY = 86_400


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def key_entry(compilation: Compilation, name: str) -> ClientKey:
    found = compilation.config.entries[f"ak/default/{name}"]
    assert isinstance(found, ClientKey)
    return found


def at(seconds: int) -> str:
    from_epoch = {0: "2027-01-15T08:00:00Z", DAY: "2027-01-16T08:00:00Z"}
    return from_epoch[seconds]


def test_a_digest_is_the_sha256_of_the_whole_key_and_its_id_may_be_logged() -> None:
    result = compiled(
        client("minted", spec={"secretRef": {"name": "s", "key": "minted"}}),
        client("own", spec={"secretRef": {"name": "s", "key": "own"}}),
        client("hashed", spec={"keyHash": hash_of("q")}),
        secret("s", {"minted": MINTED, "own": "a key of my own, long"}),
    )
    minted, own = key_entry(result, "minted").digests[0], key_entry(result, "own").digests[0]
    assert (minted.digest, minted.key_id) == (sha(MINTED), "abcdEFGH")
    assert (own.digest, own.key_id) == (sha("a key of my own, long"), own.digest[:8])
    hashed = key_entry(result, "hashed").digests[0]
    assert hashed.key_id == hashed.digest[:8]
    assert not result.findings


@pytest.mark.parametrize(
    "value", ["short", "x" * 513, "tab\tin the middle", "ключ" * 5, " " + "x" * 20]
)
def test_a_value_that_can_not_be_a_key_is_refused(value: str) -> None:
    each = client("k", spec={"secretRef": {"name": "s", "key": "k"}})
    result = compiled(each, secret("s", {"k": value}))
    assert entry(result, "ak/default/k") is None
    assert condition(result, each, "ResolvedRefs") == ("False", "SecretKeyMissing")


@pytest.mark.parametrize(
    "value",
    [
        "$(CLIENT_KEY_OF_APP)",
        "${CLIENT_KEY_OF_APP}",
        "$CLIENT_KEY_OF_APP\n",
        "os.environ/CLIENT_KEY",
    ],
)
def test_a_variable_that_nobody_fills_in_is_no_key(value: str) -> None:
    """Whoever reads the manifest, or guesses, would know it."""
    caller = client("k", spec={"secretRef": {"name": "s", "key": "k"}})
    provider = api_key("u", {"upstream": {"secretRef": {"name": "s", "key": "k"}}})
    result = compiled(caller, provider, secret("s", {"k": value}))
    assert entry(result, "ak/default/k") is None
    for each in (caller, provider):
        assert condition(result, each, "ResolvedRefs") == ("False", "SecretKeyMissing")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_line_break_at_the_end_is_left_out_with_a_warning(end: str) -> None:
    each = client("k", spec={"secretRef": {"name": "s", "key": "k"}})
    result = compiled(each, secret("s", {"k": "0123456789abcdef" + end}))
    assert key_entry(result, "k").digests[0].digest == sha("0123456789abcdef")
    assert [(found.reason, found.severity) for found in result.findings[each.ref]] == [
        ("TrailingNewline", "warning")
    ]
    assert condition(result, each, "ResolvedRefs") == ("True", "Resolved")


def test_the_previous_holder_of_a_digest_keeps_it() -> None:
    first, second = (client(name, spec={"keyHash": hash_of("same")}) for name in ("a", "b"))
    fresh = compiled(first, second)
    assert condition(fresh, first) == ("True", "Valid")
    assert condition(fresh, second) == ("False", "DuplicateKey")
    assert entry(fresh, "ak/default/b") is None
    held = compiled(first, second, previous=compiled(second).config)
    assert condition(held, first) == ("False", "DuplicateKey")
    assert entry(held, "ak/default/b") is not None
    freed = compiled(first, previous=held)
    assert condition(freed, first) == ("True", "Valid")


def test_a_generated_key_waits_for_its_secret_and_takes_no_other() -> None:
    each = client("k", spec={"generate": {"secretName": "s"}})
    waiting = compiled(each)
    assert [tuple(request) for request in waiting.minting()] == [("default", "k", "s")]
    foreign = compiled(each, secret("s", {"key": MINTED}), previous=waiting)
    assert condition(foreign, each, "ResolvedRefs") == ("False", "SecretExists")
    assert list(foreign.minting()) == []
    assert entry(foreign, "ak/default/k") is None
    minted = compiled(each, secret("s", {"key": MINTED}, minted_for="k"), previous=foreign)
    assert key_entry(minted, "k").digests[0].key_id == "abcdEFGH"


def test_a_rotated_key_is_valid_until_its_overlap_ends() -> None:
    each = client("k", spec={"generate": {"secretName": "s"}})
    both = {"key": MINTED, "previousKey": "the key before this", "previousNotAfter": at(DAY)}
    result = compiled(each, secret("s", both, minted_for="k"))
    assert [digest.not_after for digest in key_entry(result, "k").digests] == [None, NOW + DAY]
    assert result.next_due == NOW + DAY
    later = compiled(each, secret("s", both, minted_for="k"), previous=result, now=NOW + DAY)
    assert [digest.digest for digest in key_entry(later, "k").digests] == [sha(MINTED)]
    assert later.next_due is None


def test_an_end_is_announced_seven_days_before() -> None:
    each = client("k", spec={"expiresAt": "2027-01-30T08:00:00Z"})
    expires_at = NOW + 15 * DAY
    early = compiled(each)
    assert condition(early, each, "ExpiringSoon") is None
    assert early.next_due == expires_at - 7 * DAY
    soon = compiled(each, previous=early, now=expires_at - 7 * DAY)
    assert condition(soon, each, "ExpiringSoon") == ("True", "ExpiringSoon")
    assert soon.next_due == expires_at
    assert soon.changed == frozenset()
    late = compiled(each, previous=soon, now=expires_at)
    assert condition(late, each, "ExpiringSoon") is None
    assert late.next_due is None
    assert key_entry(late, "k").expires_at == expires_at


GOOGLE = json.dumps({"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"})
SECRETS = secret(
    "s",
    {
        "k": "sk-1",
        "aws_access_key_id": "AKIA",
        "aws_secret_access_key": "shh",
        "google": GOOGLE,
    },
)
KINDS: dict[str, dict[str, Any]] = {
    "key": {"secretRef": {"name": "s", "key": "k"}},
    "aws": {"aws": {"secretRef": {"name": "s"}}},
    "google": {"google": {"secretRef": {"name": "s", "key": "google"}}},
}
PROVIDERS: dict[str, dict[str, str]] = {
    "openai": {"model": "gpt-4.1"},
    "anthropic": {"model": "claude-sonnet-4-5"},
    "gemini": {"model": "gemini-2.5-flash"},
    "vertexAI": {"model": "gemini-2.5-flash", "project": "p", "location": "eu"},
    "bedrock": {"model": "amazon.nova-lite-v1:0", "region": "us-west-2"},
    "echo": {},
}
FITS = {
    ("openai", "key"),
    ("anthropic", "key"),
    ("gemini", "key"),
    ("vertexAI", "google"),
    ("bedrock", "aws"),
    ("bedrock", "key"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_which_credential_fits_which_provider(provider: str, kind: str) -> None:
    each = deployment(
        "d",
        spec={
            "provider": {provider: PROVIDERS[provider]},
            "credentials": {"apiKeyRef": {"name": "u"}},
        },
    )
    result = compiled(each, api_key("u", {"upstream": KINDS[kind]}), SECRETS)
    credential = deployment_entry(result, "d").credential
    if (provider, kind) in FITS:
        assert credential == ReferencedCredential("ak/default/u")
        assert not result.findings
    else:
        assert isinstance(credential, UnresolvedCredential)
        assert condition(result, each, "ResolvedRefs") == ("False", "CredentialKindMismatch")


def test_what_a_deployment_refers_to_may_come_later() -> None:
    each = openai("d", spec={"credentials": {"apiKeyRef": {"name": "u"}}})
    key = api_key("u", {"upstream": KINDS["key"]})
    result = compiled(each)
    assert condition(result, each, "ResolvedRefs") == ("False", "ApiKeyNotFound")
    result = compiled(each, key, previous=result)
    assert condition(result, each, "ResolvedRefs") == ("False", "SecretNotFound")
    result = compiled(each, key, secret("s", {"other": "x"}), previous=result)
    assert condition(result, each, "ResolvedRefs") == ("False", "SecretKeyMissing")
    result = compiled(each, key, SECRETS, previous=result)
    assert condition(result, each, "ResolvedRefs") == ("True", "Resolved")
    rotated = compiled(each, key, secret("s", {"k": "sk-2"}), previous=result)
    assert rotated.changed == {"ak/default/u"}, "a new key is a change of one entry"


def test_a_client_key_is_no_credential() -> None:
    each = openai("d", spec={"credentials": {"apiKeyRef": {"name": "k"}}})
    result = compiled(each, client("k"))
    assert condition(result, each, "ResolvedRefs") == ("False", "CredentialKindMismatch")


def test_without_credentials_a_deployment_uses_the_ambient_ones() -> None:
    assert deployment_entry(compiled(openai("d")), "d").credential == AmbientCredential()


def test_a_role_has_the_objects_name_as_its_external_id() -> None:
    arn = "arn:aws:iam::123456789012:role/r"
    spec = {"upstream": {"aws": {"roleARN": arn, "sessionName": "gateway"}}}
    found = entry(compiled(api_key("u", spec, "team")), "ak/team/u")
    assert isinstance(found, CredentialEntry)
    assert found.credential == AwsCredential(
        role_arn=arn, session_name="gateway", external_id="team/u"
    )


# --- what a tenant can reach ----------------------------------------------------------------------

CLUSTER = Settings.cluster(
    "config",
    ambient_base_urls=frozenset({"https://proxy.example/v1/"}),
    upstream_allow=("10.1.0.0/16", ".corp.example", "llm.internal"),
)


def with_key(base_url: str, namespace: str = "team") -> list[Resource | Secret]:
    return [
        openai(
            "d",
            namespace,
            {
                "provider": {"openai": {"model": "gpt-4.1", "baseURL": base_url}},
                "credentials": {"secretRef": {"name": "s", "key": "k"}},
            },
        ),
        secret("s", {"k": "sk-1"}, namespace),
    ]


@pytest.mark.parametrize(
    ("base_url", "allowed"),
    [
        ("https://api.example.com/v1", True),
        ("https://8.8.8.8/v1", True),
        ("https://[2001:4860:4860::8888]/v1", True),
        ("http://vllm.team.svc/v1", True),
        ("http://vllm.team.svc.cluster.local:8000/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://x.corp.example/v1", True),
        ("http://llm.internal/v1", True),
        ("http://vllm.other.svc/v1", False),
        ("http://team.svc/v1", False),
        ("http://vllm.team.other.svc/v1", False),
        ("http://localhost/v1", False),
        ("http://vllm/v1", False),
        ("http://x.localhost/v1", False),
        ("http://kubernetes.default.svc.cluster.local/", False),
        ("http://printer.local/", False),
        ("http://127.0.0.1/v1", False),
        ("http://[::1]/v1", False),
        ("http://10.2.0.1/v1", False),
        ("http://192.168.1.1/v1", False),
        ("http://172.16.0.1/v1", False),
        ("http://100.64.0.1/v1", False),
        ("http://[fd00::1]/v1", False),
    ],
)
def test_in_a_cluster_base_urls_stay_out_of_it(base_url: str, allowed: bool) -> None:
    objects = with_key(base_url)
    each = objects[0]
    assert isinstance(each, Resource)
    result = compiled(*objects, settings=CLUSTER)
    assert condition(result, each) == (
        ("True", "Valid") if allowed else ("False", "AddressNotAllowed")
    )
    assert (entry(result, "md/team/d") is not None) == allowed
    assert not compiled(*objects).findings, "a folder is the user's own machine"


def test_a_secret_counts_only_with_its_label() -> None:
    each, _ = with_key("https://api.example.com/v1")
    assert isinstance(each, Resource)
    unlabelled = secret("s", {"k": "sk-1"}, "team", labelled=False)
    result = compiled(each, unlabelled, settings=CLUSTER)
    assert condition(result, each, "ResolvedRefs") == ("False", "SecretNotLabelled")
    assert not compiled(each, unlabelled).findings


@pytest.mark.parametrize(
    ("namespace", "base_url", "allowed"),
    [
        ("config", None, True),
        ("config", "https://api.openai.com/v1", True),
        ("config", "https://proxy.example/v1", True),
        ("config", "https://evil.example/v1", False),
        ("config", "http://api.openai.com/v1", False),
        ("config", "https://api.openai.com.evil.example/v1", False),
        ("team", None, False),
    ],
)
def test_ambient_credentials_go_to_the_providers_own_hosts(
    namespace: str, base_url: str | None, allowed: bool
) -> None:
    fields = {"model": "m", **({"baseURL": base_url} if base_url else {})}
    each = openai("d", namespace, {"provider": {"openai": fields}})
    result = compiled(each, settings=CLUSTER)
    assert condition(result, each) == (
        ("True", "Valid") if allowed else ("False", "AmbientNotAllowed")
    )
    assert (entry(result, f"md/{namespace}/d") is not None) == allowed


def test_echo_needs_no_credential_anywhere() -> None:
    assert not compiled(deployment("d", "team"), settings=CLUSTER).findings


def test_a_role_without_keys_wants_the_ambient_permission() -> None:
    spec = {"upstream": {"aws": {"roleARN": "arn:aws:iam::123456789012:role/r"}}}
    for namespace, status in (
        ("config", ("True", "Valid")),
        ("team", ("False", "AmbientNotAllowed")),
    ):
        each = api_key("u", spec, namespace)
        assert condition(compiled(each, settings=CLUSTER), each) == status


@pytest.mark.parametrize(
    ("document", "kind", "reason"),
    [
        (
            {"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"},
            None,
            None,
        ),
        (
            {"type": "service_account", "token_uri": "https://evil.example/token"},
            "Accepted",
            "AddressNotAllowed",
        ),
        ({"type": "service_account"}, "Accepted", "AddressNotAllowed"),
        (
            {
                "type": "service_account",
                "token_uri": "https://oauth2.googleapis.com/token",
                "universe_domain": ["evil.example"],
            },
            "Accepted",
            "AddressNotAllowed",
        ),
        ({"type": "external_account"}, "Accepted", "AmbientNotAllowed"),
        ({"type": "authorized_user"}, "ResolvedRefs", "CredentialKindMismatch"),
        ([], "ResolvedRefs", "CredentialKindMismatch"),
        ("{", "ResolvedRefs", "CredentialKindMismatch"),
    ],
)
def test_a_google_credential_of_a_tenant_is_a_service_account(
    document: object, kind: str | None, reason: str | None
) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    each = api_key("u", {"upstream": KINDS["google"]}, "team")
    result = compiled(each, secret("s", {"google": text}, "team"), settings=CLUSTER)
    found = entry(result, "ak/team/u")
    assert isinstance(found, CredentialEntry)
    if kind is None:
        assert found.credential == GoogleCredential(text, "Secret/s/google")
    else:
        assert condition(result, each, kind) == ("False", reason)
        assert isinstance(found.credential, UnresolvedCredential)


def test_deep_json_in_a_secret_is_refused() -> None:
    each = api_key("u", {"upstream": KINDS["google"]})
    result = compiled(each, secret("s", {"google": "[" * 200_000}))
    assert condition(result, each, "ResolvedRefs") == ("False", "CredentialKindMismatch")


def test_a_deployment_tells_that_its_api_key_is_refused() -> None:
    """And not that it is not there."""
    spec = {
        "provider": {"vertexAI": PROVIDERS["vertexAI"]},
        "credentials": {"apiKeyRef": {"name": "u"}},
    }
    each = deployment("d", "team", spec)
    document = json.dumps({"type": "external_account"})
    result = compiled(
        each,
        api_key("u", {"upstream": KINDS["google"]}, "team"),
        secret("s", {"google": document}, "team"),
        settings=CLUSTER,
    )
    assert condition(result, each, "ResolvedRefs") == ("False", "CredentialKindMismatch")


def test_a_rotation_to_come_is_told_and_is_a_time_to_look_again() -> None:
    rotation = {"requestedAt": at(DAY)}
    each = client("k", spec={"generate": {"secretName": "s"}, "rotation": rotation})
    held = secret("s", {"key": MINTED}, minted_for="k")
    result = compiled(each, held)
    accepted = result.conditions(each.ref)[0]
    assert (accepted.status, accepted.reason) == ("True", "Valid")
    assert "spec.client.rotation.requestedAt: the time is still to come" in accepted.message
    assert result.next_due == NOW + DAY
    later = compiled(each, held, now=NOW + DAY)
    assert later.conditions(each.ref)[0].message == "The object is valid."
