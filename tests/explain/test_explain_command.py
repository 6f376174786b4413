"""`sluicegate explain`: who would answer, who not and why, and what follows failures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from served_folder import key_manifest, served_folder
from sluicegate.cli.explain import command
from sluicegate.cli.explanation import Explanation
from sluicegate.cli.gateway_health import NoAnswer, read
from sluicegate.routing.health import DeploymentState

HEAD = "apiVersion: sluicegate.dev/v1alpha1\n"
ALL = "allowedNamespaces: {from: All}"


def deployment(
    name: str, spec: str, *, namespace: str = "models", provider: str = "echo: {}"
) -> str:
    return (
        f"{HEAD}kind: ModelDeployment\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{provider: {{{provider}}}, {spec}}}\n"
    )


def key(name: str, client: str = "", namespace: str = "team-a") -> str:
    return (
        f"{HEAD}kind: ApiKey\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{client: {{secretRef: {{name: elsewhere, key: key}}, {client}}}}}\n"
    )


def asked(manifests: list[str], *arguments: str) -> Result:
    text = "---\n".join(manifests)
    return CliRunner().invoke(command, [*arguments, "--manifests", "-"], input=text)


def explained(manifests: list[str], *arguments: str) -> Explanation:
    result = asked(manifests, *arguments, "--format", "json")
    found = msgspec.json.decode(result.stdout, type=Explanation)
    assert result.exit_code == (0 if found.first is not None else 1)
    return found


def explained_to_app(client: str, *deployments: str) -> Explanation:
    """Of model `m`, to the key team-a/app."""
    return explained([*deployments, key("app", client)], "m", "--key", "team-a/app")


def ways(found: Explanation) -> dict[str, str | None]:
    """Where the first pool's fallbacks lead, or why nowhere."""
    return {each.model: each.problem or each.pool for each in found.pools[0].fallbacks}


def left_out(found: Explanation) -> dict[str, str]:
    return {each.deployment: each.reason for each in found.pools[0].not_asked}


def test_priorities_weights_and_shares() -> None:
    found = explained(
        [
            deployment("last", "model: m, priority: 1", namespace="default"),
            deployment("small", "model: m, weight: 1", namespace="default"),
            deployment("spare", "model: m, weight: 0", namespace="default"),
            deployment("large", "model: m, weight: 3", namespace="default"),
        ],
        "m",
    )
    pool = found.pools[0]
    assert [each.deployment for each in pool.asked] == [
        "default/large",
        "default/small",
        "default/spare",
        "default/last",
    ]
    assert [each.first for each in pool.asked] == [0.75, 0.25, 0.0, 0.0]
    assert found.first == "default/large"


def test_every_reason_not_to_be_asked() -> None:
    found = explained(
        [
            deployment("good", f"model: m, {ALL}"),
            deployment("asleep", f"model: m, suspended: true, {ALL}"),
            deployment("own", "model: m"),
            deployment("wrong", f"model: m, wieght: 1, {ALL}"),
            deployment("full", f"model: m, limits: {{tokensPerMinute: 5}}, {ALL}"),
            deployment(
                "lost",
                f"model: m, credentials: {{apiKeyRef: {{name: nowhere}}}}, {ALL}",
                provider="openai: {model: gpt-4.1}",
            ),
        ],
        "m",
        "--namespace",
        "team-a",
    )
    assert [(each.deployment, each.first) for each in found.pools[0].asked] == [("models/good", 1)]
    reasons = left_out(found)
    assert reasons.pop("models/asleep") == "suspended"
    assert reasons.pop("models/own") == "not for namespace team-a: allowedNamespaces"
    assert "did you mean 'weight'" in reasons.pop("models/wrong")
    assert reasons.pop("models/full").startswith("full")
    assert reasons.pop("models/lost") == "ApiKeyNotFound"
    assert not reasons


def test_credentials_that_are_elsewhere_are_taken_for_granted_and_named() -> None:
    openai = "openai: {model: gpt-4.1}"
    # That its fallback leads nowhere is another matter.
    secret = (
        "credentials: {secretRef: {name: elsewhere, key: key}}, "
        "pool: {fallbacks: [{model: nowhere}]}"
    )
    values = "stringData: {key: $(SLUICEGATE_TEST_UNSET)}"
    unset = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: unset}}\n{values}\n"
    found = explained(
        [
            deployment("ambient", "model: m", namespace="default", provider=openai),
            deployment("secret", f"model: m, {secret}", namespace="default", provider=openai),
            unset,
            deployment(
                "unset",
                "model: m, credentials: {secretRef: {name: unset, key: key}}",
                namespace="default",
                provider=openai,
            ),
        ],
        "m",
    )
    remarks = {each.deployment: each.remarks for each in found.pools[0].asked}
    assert remarks == {
        "default/ambient": ("credential not checked: it is the gateway's own",),
        "default/secret": ("credential not checked: its Secret is not among the manifests",),
        "default/unset": (
            "credential not checked: its Secret wants an environment variable that is not set here",
        ),
    }


def test_a_fallback_that_no_budget_allows() -> None:
    dear = 'pricing: {input: "100000", output: "100000"}'
    found = explained_to_app(
        'budget: {amountUSD: "1", period: 1d}',
        deployment("m", f"{ALL}, pool: {{fallbacks: [{{model: dear}}, {{model: other}}]}}"),
        deployment("dear", f"{ALL}, {dear}"),
        deployment("other", ALL),
    )
    assert ways(found) == {
        "dear": "a budget of key team-a/app does not allow one request",
        "other": "models/other",
    }
    assert [each.pool for each in found.pools] == ["models/m", "models/other"]


def test_fallbacks_and_what_follows_which_failure() -> None:
    once = "retry: {attempts: 1}"
    fallbacks = (
        "pool: {fallbacks: [{model: long, causes: [ContextWindow]}, {model: other}, "
        "{model: private}, {model: nowhere}, {model: forbidden}]}"
    )
    found = explained_to_app(
        "models: [m, long, other, private]",
        deployment("a", f"model: m, {once}, {ALL}, {fallbacks}"),
        deployment("b", f"model: m, {once}, {ALL}"),
        deployment("long", f"{once}, {ALL}"),
        deployment("other", f"{once}, {ALL}"),
        deployment("private", once),
        deployment("forbidden", f"{once}, {ALL}"),
    )
    assert ways(found) == {
        "long": "models/long",
        "other": "models/other",
        "private": "models/private is not for namespace team-a",
        "nowhere": "namespace models knows no such model",
        "forbidden": "key team-a/app may not call it",
    }
    assert [each.pool for each in found.pools] == ["models/m", "models/long", "models/other"]
    courses = {each.cause: (" ".join(each.attempts), each.status) for each in found.failing}
    assert courses == {
        "Error": ("models/a models/b models/other", 500),
        "RateLimited": ("models/a models/b models/other", 429),
        "Timeout": ("models/a models/b models/other", 504),
        "ContextWindow": ("models/a models/long models/other", 400),
        "ContentPolicy": ("models/a models/other", 400),
    }


@pytest.mark.parametrize(
    ("client", "options", "said"),
    [
        ("revoked: true", [], "revoked"),
        ('expiresAt: "2020-01-01T00:00:00Z"', [], "expired"),
        ("models: [other]", [], "Key team-a/app does not have access to model 'm'."),
        ("endUsers: {required: true}", [], "Key team-a/app is for requests that say which"),
        ("limits: {tokensPerMinute: 5}", [], "tokens"),
        ("endUsers: {required: true}", ["--end-user", "me"], None),
        ("limits: {tokensPerMinute: 500}", ["--max-output-tokens", "100"], None),
        ("", [], None),
    ],
)
def test_what_a_key_may_not(client: str, options: list[str], said: str | None) -> None:
    manifests = [deployment("a", f"model: m, {ALL}"), key("app", client)]
    found = explained(manifests, "m", "--key", "team-a/app", *options)
    if said is None:
        assert (found.first, found.refusal) == ("models/a", None)
    else:
        assert found.refusal is not None
        assert said in found.refusal


def test_names_that_lead_nowhere() -> None:
    manifests = [
        deployment("sonnet", ALL),
        deployment("secret", "weight: 1"),
        deployment("wrong", f"wieght: 1, {ALL}"),
    ]
    assert explained(manifests, "sonet", "--namespace", "x").suggestions == ("sonnet",)
    (hint,) = explained(manifests, "secret", "--namespace", "x").hints
    assert hint == "Namespace models has it, but does not share it with yours."
    # In a cluster not every namespace may share.
    operators = ("--config-namespace", "platform")
    hints = explained(manifests, "sonnet", "--namespace", "x", *operators).hints
    assert hints[0] == "Namespace models has it, but does not share it with yours."
    assert hints[1].startswith("models/sonnet: ")
    (hint,) = explained(manifests, "wrong", "--namespace", "x").hints
    assert hint.startswith("models/wrong is not served: InvalidSpec")


def test_nobody_left_is_told_in_words() -> None:
    result = asked([deployment("a", "suspended: true", namespace="default")], "a")
    assert result.exit_code == 1
    assert result.output.splitlines()[:2] == [
        "a, asked for by namespace default: nobody would answer.",
        "  Model 'a' can't be served now: default/a is suspended.",
    ]
    assert "  -  default/a  suspended" in result.output.splitlines()


def test_an_end_user_stays_with_one(tmp_path: Path) -> None:
    manifests = [
        deployment(name, "model: m, pool: {affinity: EndUser}", namespace="default")
        for name in ("a", "b", "c")
    ]
    firsts = {explained(manifests, "m", "--end-user", f"user{n}").first for n in range(20)}
    assert len(firsts) > 1
    found = explained(manifests, "m", "--end-user", "one")
    assert found.pools[0].chosen_by == "affinity EndUser"
    assert {each.deployment: each.first for each in found.pools[0].asked}[found.first or ""] == 1.0
    body = tmp_path / "body.json"
    body.write_text('{"model": "another", "input": "hi", "safety_identifier": "one"}')
    assert explained(manifests, "m", "--request", str(body)).first == found.first


def test_what_kubectl_prints_is_read() -> None:
    def item(name: str) -> dict[str, Any]:
        return {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {
                "name": name,
                "namespace": "models",
                "uid": "1b",
                "generation": 2,
                "resourceVersion": "17",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"model": "m", "provider": {"echo": {}}},
            "status": {"observedGeneration": 2, "conditions": []},
        }

    listed = {"apiVersion": "v1", "kind": "List", "items": [item("a"), item("b")]}
    found = explained([json.dumps(listed)], "m", "--namespace", "models")
    assert [each.deployment for each in found.pools[0].asked] == ["models/a", "models/b"]


def test_wrong_usage_is_told() -> None:
    manifests = [deployment("a", "weight: 1")]
    for arguments, said in (
        (["a", "--key", "x/y", "--namespace", "x"], "--key says the namespace already"),
        (["a", "--key", "x/y"], "there is no ApiKey x/y among the manifests"),
        (["a", "--request", "-"], "only one of"),
        (["a", "--admin", "nonsense"], "expected a URL"),
        (["a", "--admin", "http://127.0.0.1:1"], "does not tell"),
        (["a", "--admin", "http://[:"], "does not tell"),
    ):
        result = asked(manifests, *arguments)
        assert result.exit_code in {1, 2}
        assert said in result.output
    assert "there is no manifest in it" in asked([], "a").output


async def test_it_says_what_the_gateway_does(tmp_path: Path) -> None:
    """The order of attempts, and after failures the health, are those of a real process."""
    dead = 'openai: {model: gone, baseURL: "http://127.0.0.1:1/v1"}'
    secret = "credentials: {secretRef: {name: s, key: key}}, retry: {attempts: 1}"
    one_failure = "cooldown: {failures: 1, duration: 60s}"
    text = "---\n".join(
        [
            deployment(
                "dead", f"model: m, {secret}, {one_failure}", namespace="default", provider=dead
            ),
            deployment("well", "model: m, priority: 1", namespace="default"),
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: a-made-up-key}\n",
            key_manifest(),
        ]
    )
    async with served_folder(tmp_path, {"all.yaml": text}) as gateway:

        async def explanation() -> Explanation:
            options = ["--admin", f"http://127.0.0.1:{gateway.admin_port}", "--key", "default/team"]
            return await asyncio.to_thread(explained, [text], "m", *options)

        before = await explanation()
        answer = await gateway.post(b'{"model": "m", "input": "hi"}')
        after = await explanation()
    assert answer.headers["x-sluicegate-attempts"] == "default/dead=connect;default/well=ok"
    assert [each.deployment for each in before.pools[0].asked] == ["default/dead", "default/well"]
    assert before.first == "default/dead"
    assert after.first == answer.headers["x-sluicegate-deployment"] == "default/well"
    assert left_out(after)["default/dead"].startswith("cooldown after connect: ")


def test_health_is_taken_from_config() -> None:
    body = {
        "revision": "0123456789ab",
        "models": [
            {
                "model": "m",
                "namespace": "n",
                "strategy": "Weighted",
                "deployments": [
                    {"name": "n/a", "state": "ok", "in_flight": 4, "seconds_to_output": 0.5},
                    {"name": "n/b", "state": "probing", "cause": "timeout", "seconds_left": 0.0},
                ],
                "unavailable": ["n/c is suspended", "n/d: set OPENAI_API_KEY"],
            }
        ],
    }
    found = read(msgspec.json.encode(body))
    state = DeploymentState()
    found.deployments["n/a"].put_into(state, 7.0)
    assert (state.out, state.in_flight, state.streamed.seconds) == (False, 4, 0.5)
    state = DeploymentState()
    found.deployments["n/b"].put_into(state, 7.0)
    assert (state.out, state.probing, state.cause, state.until) == (True, True, "timeout", 7.0)
    assert found.unavailable == {
        "n/c": "n/c is suspended",
        "n/d": "n/d: set OPENAI_API_KEY",
    }


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"models": 1}', b"\xff"])
def test_what_is_no_config_is_refused(body: bytes) -> None:
    with pytest.raises(NoAnswer, match="no gateway"):
        read(body)
