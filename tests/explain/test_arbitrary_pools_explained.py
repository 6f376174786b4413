"""Whatever the manifests say, explain has an answer, and its parts agree with each other."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.cli.explain import command
from sluicegate.cli.explanation import Explanation
from sluicegate.routing.attempts import MOST_ATTEMPTS

Drawn: TypeAlias = st.SearchStrategy[Any]


def fields(optional: dict[str, Drawn], /, **needed: Drawn) -> Drawn:
    return st.fixed_dictionaries(needed, optional=optional)


NAMES = st.sampled_from(["m", "n", "o/*"])
PROVIDERS = st.sampled_from(
    [
        {"echo": {}},
        {"openai": {"model": "gpt-4.1"}},
        {"anthropic": {"model": "claude-3-5-sonnet-20240620"}},
        {"bedrock": {"model": "x", "region": "us-east-1"}},
        {"vertexAI": {"model": "gemini-2.0-flash", "project": "p", "location": "us-central1"}},
        {"gemini": {"model": "gemini-2.0-flash"}},
    ]
)
POOLS = fields(
    {},
    strategy=st.sampled_from(["Weighted", "LeastBusy", "LowestLatency", "LowestCost"]),
    affinity=st.sampled_from(["None", "EndUser", "ApiKey"]),
    fallbacks=st.lists(
        fields(
            {"causes": st.just(["Error", "ContextWindow"])},
            model=st.sampled_from(["m", "n", "o/x", "nowhere"]),
        ),
        max_size=2,
    ),
)
SPECS = fields(
    {
        "suspended": st.booleans(),
        "weight": st.integers(0, 3),
        "priority": st.integers(0, 2),
        "allowedNamespaces": st.just({"from": "All"}),
        "limits": st.just({"requestsPerMinute": 1, "tokensPerMinute": 50}),
        "retry": fields({}, attempts=st.integers(1, 10)),
        "cooldown": st.just({"failures": 1}),
        "modelInfo": st.just({"contextWindow": 1}),
        "pool": POOLS,
    },
    model=NAMES,
    provider=PROVIDERS,
)
KEYS = fields(
    {
        "models": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "limits": st.just({"requestsPerMinute": 1}),
        "budget": st.just({"amountUSD": "0.000001", "period": "1d"}),
        "revoked": st.booleans(),
        "endUsers": fields({}, required=st.booleans()),
    },
    generate=st.just({"secretName": "elsewhere"}),
)


def manifest(kind: str, name: str, namespace: str, spec: object) -> dict[str, object]:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


@settings(max_examples=60, deadline=None)
@given(
    specs=st.lists(st.tuples(st.sampled_from(["a", "b"]), SPECS), min_size=1, max_size=6),
    client=KEYS,
    model=st.sampled_from(["m", "n", "o/gpt-4.1", "m@b"]),
    options=st.sampled_from([[], ["--stream"], ["--end-user", "u"], ["--max-output-tokens", "1"]]),
)
def test_its_parts_agree(
    specs: list[tuple[str, object]], client: object, model: str, options: list[str]
) -> None:
    items = [
        manifest("ModelDeployment", f"d{number}", namespace, spec)
        for number, (namespace, spec) in enumerate(specs)
    ]
    items.append(manifest("ApiKey", "app", "a", {"client": client}))
    text = msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": items}).decode()
    given_ = [model, "--manifests", "-", "--key", "a/app", "--format", "json", *options]
    result = CliRunner().invoke(command, given_, input=text)
    found = msgspec.json.decode(result.stdout, type=Explanation)
    assert result.exit_code == (1 if found.first is None else 0)
    assert (found.first is None) == (found.refusal is not None)
    asked = [each.deployment for pool in found.pools for each in pool.asked]
    own = [each.deployment for each in found.pools[0].asked] if found.pools else []
    assert not {each.deployment for each in found.pools[0].not_asked} & set(own) if own else True
    if found.first is not None:
        assert found.first == asked[0]
        assert [each.cause for each in found.failing][:1] == ["Error"]
    for failing in found.failing:
        assert set(failing.attempts) <= set(asked)
        assert len(failing.attempts) <= MOST_ATTEMPTS
        if failing.cause == "Error":
            firsts = [name for name in dict.fromkeys(failing.attempts) if name in own]
            assert firsts == own[: len(firsts)]
