"""Limits of deployments, and of namespaces that call a shared one."""

from __future__ import annotations

import asyncio
import json

from msgspec import structs

from gateway_rig import Rig
from responses_wire import USAGE, message, response
from running_gateway import AUTHORIZED, key_entry, openai_entry
from scripted_upstream import answers
from sluicegate.config import (
    Budget,
    ClientKey,
    Deployment,
    Fallback,
    Limits,
    NamespaceCeiling,
    Pool,
    Pricing,
    Retry,
    Sharing,
)

GOOD = b'{"model":"gpt-test","input":"hi"}'
ANSWER = json.dumps(response([message("hello")], usage=USAGE)).encode()
PRICES = Pricing(input="100", output="100")
OTHER_KEY = "sk-other-0123456789abcdef"
OTHER = {"Authorization": f"Bearer {OTHER_KEY}"}


def limited(
    base_url: str, limits: Limits, *, name: str = "primary", priority: int = 0
) -> Deployment:
    return structs.replace(openai_entry(base_url, name=name, priority=priority), limits=limits)


def foreign_key() -> ClientKey:
    return structs.replace(
        key_entry(OTHER_KEY, name="other", key_id="otherkey"), namespace="team-b"
    )


async def test_a_full_deployment_is_skipped_and_exactly_ten_reach_it(rig: Rig) -> None:
    first = await rig.upstream(answers(ANSWER))
    second = await rig.upstream(answers(ANSWER))
    gateway = await rig.gateway(
        key_entry(),
        limited(first.base_url, Limits(requests_per_minute=10)),
        openai_entry(second.base_url, name="second", priority=1),
    )
    found = await asyncio.gather(*(gateway.post(GOOD) for _ in range(50)))
    assert {answer.status for answer in found} == {200}
    assert (len(first.calls), len(second.calls)) == (10, 40)
    told = {answer.headers["x-sluicegate-attempts"] for answer in found}
    assert told == {"default/primary=ok", "default/primary=full;default/second=ok"}


async def test_when_all_are_full_the_answer_says_which_limit(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    gateway = await rig.gateway(
        key_entry(),
        limited(upstream.base_url, Limits(requests_per_minute=1)),
        limited(upstream.base_url, Limits(tokens_per_minute=1100), name="second", priority=1),
    )
    found = [await gateway.post(GOOD) for _ in range(2)]
    assert [answer.status for answer in found] == [200, 200]
    # The second has counted what was used: 18 tokens. So it takes some more.
    body = b'{"model":"gpt-test","input":"hi","max_output_tokens":1080}'
    refused = await gateway.post(body)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "deployment default/primary on requests per minute: limit 1" in refused.error["message"]
    assert "deployment default/second on tokens per minute" in refused.error["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-sluicegate-attempts"] == "default/primary=full;default/second=full"
    assert await gateway.metric("sluicegate_limited_total", subject="deployment") == 3


async def test_the_only_deployment_of_a_model_is_full(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    gateway = await rig.gateway(
        key_entry(), limited(upstream.base_url, Limits(requests_per_minute=1))
    )
    found = [await gateway.post(GOOD) for _ in range(3)]
    assert [answer.status for answer in found] == [200, 429, 429]
    assert len(upstream.calls) == 1


async def test_every_attempt_counts_and_a_failed_one_gives_back_its_tokens(rig: Rig) -> None:
    """Asked twice for one request; the third finds it full and goes to the next."""
    failing = await rig.upstream(answers(b"{}", 500))
    second = await rig.upstream(answers(ANSWER))
    first = limited(failing.base_url, Limits(requests_per_minute=2, tokens_per_minute=1500))
    gateway = await rig.gateway(
        key_entry(),
        structs.replace(first, retry=Retry(attempts=5, backoff=0.0)),
        openai_entry(second.base_url, name="second", priority=1),
    )
    for _ in range(3):
        assert (await gateway.post(GOOD)).status == 200
    assert len(failing.calls) == 2


async def test_a_full_pool_falls_back(rig: Rig) -> None:
    first = await rig.upstream(answers(ANSWER))
    second = await rig.upstream(answers(ANSWER))
    pool = Pool(
        "default", "gpt-test", ("primary",), fallbacks=(Fallback("other", ("RateLimited",)),)
    )
    gateway = await rig.gateway(
        key_entry(),
        pool,
        limited(first.base_url, Limits(max_parallel_requests=1, requests_per_minute=1)),
        openai_entry(second.base_url, name="second", model="other"),
    )
    found = [await gateway.post(GOOD) for _ in range(3)]
    assert [answer.headers["x-sluicegate-deployment"] for answer in found] == [
        "default/primary",
        "default/second",
        "default/second",
    ]


async def test_a_dearer_fallback_needs_a_budget_that_allows_it(rig: Rig) -> None:
    failing = await rig.upstream(answers(b"{}", 500))
    second = await rig.upstream(answers(ANSWER))
    pool = Pool("default", "gpt-test", ("primary",), fallbacks=(Fallback("other"),))
    dear = structs.replace(
        openai_entry(second.base_url, name="second", model="other"), pricing=PRICES
    )
    cheap = structs.replace(
        openai_entry(failing.base_url), pricing=Pricing(input="0.01", output="0.01")
    )

    async def statuses(amount: str) -> list[int]:
        key = structs.replace(key_entry(), budget=Budget(amount, "1d"))
        gateway = await rig.gateway(key, pool, cheap, dear)
        return [(await gateway.post(GOOD)).status for _ in range(3)]

    assert await statuses("0.2") == [200, 200, 200]
    assert await statuses("0.05") == [500, 500, 500]
    assert len(second.calls) == 3


async def test_the_tokens_of_a_dearer_fallback_count_once(rig: Rig) -> None:
    failing = await rig.upstream(answers(b"{}", 500))
    second = await rig.upstream(answers(ANSWER))
    key = structs.replace(
        key_entry(), limits=Limits(tokens_per_minute=100_000), budget=Budget("5", "1d")
    )
    gateway = await rig.gateway(
        key,
        Pool("default", "gpt-test", ("primary",), fallbacks=(Fallback("other"),)),
        structs.replace(
            openai_entry(failing.base_url), pricing=Pricing(input="0.01", output="0.01")
        ),
        structs.replace(
            openai_entry(second.base_url, name="second", model="other"), pricing=PRICES
        ),
    )
    assert (await gateway.post(GOOD)).status == 200
    refused = await gateway.post(b'{"model":"nobody","input":"hi"}')
    left = int(refused.headers["x-ratelimit-remaining-tokens"])
    assert left == 100_000 - USAGE["total_tokens"]


async def test_a_namespace_has_a_ceiling_on_what_others_share_with_it(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    ceiling = NamespaceCeiling(Limits(requests_per_minute=2), Budget("5", "Month"))
    shared = structs.replace(
        openai_entry(upstream.base_url),
        sharing=Sharing("All", per_namespace=ceiling),
        pricing=PRICES,
    )
    pool = Pool("default", "gpt-test", ("primary",), shared=True)
    key = "sk-third-0123456789abcdef"
    third = structs.replace(key_entry(key, name="third", key_id="thirdkey"), namespace="team-c")
    gateway = await rig.gateway(key_entry(), foreign_key(), third, pool, shared)
    found = [await gateway.post(GOOD, OTHER) for _ in range(3)]
    assert [answer.status for answer in found] == [200, 200, 429]
    assert "namespace team-b on deployment default/primary" in found[2].error["message"]
    # Other namespaces have theirs, and the owner has none.
    assert (await gateway.post(GOOD, {"Authorization": f"Bearer {key}"})).status == 200
    assert [(await gateway.post(GOOD, AUTHORIZED)).status for _ in range(4)] == [200] * 4


async def test_a_namespaces_budget_is_on_the_owners_side(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    shared = structs.replace(
        openai_entry(upstream.base_url),
        sharing=Sharing("All", per_namespace=NamespaceCeiling(budget=Budget("0.1025", "30d"))),
        pricing=PRICES,
    )
    pool = Pool("default", "gpt-test", ("primary",), shared=True)
    gateway = await rig.gateway(foreign_key(), pool, shared)
    found = [await gateway.post(GOOD, OTHER) for _ in range(3)]
    assert [answer.status for answer in found] == [200, 429, 429]
    assert found[1].error["code"] == "insufficient_quota"
    assert found[1].headers["x-should-retry"] == "false"
