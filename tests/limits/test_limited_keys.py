"""Limits and budgets of keys and end users, as a client meets them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from msgspec import structs
from openai import AsyncOpenAI

from eventually import eventually
from gateway_rig import Rig
from raw_client import Answer, request
from responses_wire import USAGE, frames, message, response, text_stream
from running_gateway import (
    AUTHORIZED,
    CLIENT_KEY,
    RunningGateway,
    echo_entry,
    key_entry,
    openai_entry,
)
from scripted_upstream import Call, Script, answers, breaks_after, hangs, streams
from sluicegate.config import Budget, ClientKey, Deployment, EndUserPolicy, Limits, Pricing

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
ANSWER = json.dumps(response([message("hello")], usage=USAGE)).encode()
ENDED = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
# 11 input and 7 output tokens: 0.0018 USD.
PRICES = Pricing(input="100", output="100", cached_input="100", cache_write="100", reasoning="100")


def key(
    limits: Limits | None = None,
    budget: Budget | None = None,
    end_users: EndUserPolicy | None = None,
) -> ClientKey:
    return structs.replace(key_entry(), limits=limits, budget=budget, end_users=end_users)


def priced(base_url: str) -> Deployment:
    return structs.replace(openai_entry(base_url), pricing=PRICES)


async def serving(rig: Rig, limited: ClientKey, script: Script | None = None) -> RunningGateway:
    upstream = await rig.upstream(script or answers(ANSWER))
    return await rig.gateway(limited, priced(upstream.base_url))


async def test_fifty_at_once_against_ten_a_minute(rig: Rig) -> None:
    gateway = await serving(rig, key(Limits(requests_per_minute=10)))
    found = await asyncio.gather(*(gateway.post(GOOD) for _ in range(50)))
    assert sorted(answer.status for answer in found) == [200] * 10 + [429] * 40
    remaining = sorted(
        int(each.headers["x-ratelimit-remaining-requests"]) for each in found if each.status == 200
    )
    assert remaining == list(range(10))
    refused = next(answer for answer in found if answer.status == 429)
    assert refused.error["code"] == "rate_limit_exceeded"
    assert refused.error["type"] == "requests"
    assert "key default/team (teamkey1)" in refused.error["message"]
    assert "limit 10, used 10" in refused.error["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit-requests"] == "10"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert await gateway.metric("sluicegate_limited_total", subject="key", limit="requests") == 40


async def test_every_answer_of_a_limited_key_says_how_it_stands(rig: Rig) -> None:
    limits = Limits(requests_per_minute=10, tokens_per_minute=100_000)
    gateway = await serving(rig, key(limits), streams(ENDED))
    streamed = await gateway.post(STREAM)
    assert streamed.status == 200
    for answer in (
        streamed,
        await gateway.post(b"{"),
        await gateway.post(b'{"model":"unknown","input":"hi"}'),
        await gateway.get("/v1/models"),
        await gateway.get("/v1/models/gpt-test"),
    ):
        told = {name: value for name, value in answer.headers.items() if "ratelimit" in name}
        assert set(told) == {
            f"x-ratelimit-{what}-{kind}"
            for what in ("limit", "remaining", "reset")
            for kind in ("requests", "tokens")
        }
        assert told["x-ratelimit-remaining-requests"] == "9"
        assert told["x-ratelimit-limit-tokens"] == "100000"
        assert told["x-ratelimit-reset-requests"].endswith("s")
    # Estimated for the first, counted since: 11 and 7.
    assert int(streamed.headers["x-ratelimit-remaining-tokens"]) < 99_000
    later = await gateway.post(b"{")
    assert later.headers["x-ratelimit-remaining-tokens"] == str(100_000 - 18)


async def test_a_key_without_limits_hears_of_none(rig: Rig) -> None:
    gateway = await serving(rig, key())
    answer = await gateway.post(GOOD)
    assert answer.status == 200
    assert not [name for name in answer.headers if "ratelimit" in name]


async def test_tokens_are_reserved_before_and_counted_after(rig: Rig) -> None:
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        await go_on.wait()
        call.answer(ANSWER)

    upstream = await rig.upstream(slow)
    gateway = await rig.gateway(key(Limits(tokens_per_minute=3000)), priced(upstream.base_url))
    body = b'{"model":"gpt-test","input":"hi","max_output_tokens":1400}'
    running = [asyncio.create_task(gateway.post(body)) for _ in range(2)]
    await upstream.called(2)
    refused = await gateway.post(body)
    assert (refused.status, refused.error["type"]) == (429, "tokens")
    go_on.set()
    assert {answer.status for answer in await asyncio.gather(*running)} == {200}
    again = await gateway.post(body)
    assert again.status == 200
    large = await gateway.post(b'{"model":"gpt-test","input":"hi","max_output_tokens":5000}')
    assert (large.status, large.headers["x-should-retry"]) == (429, "false")
    assert "Request too large" in large.error["message"]
    assert "retry-after" not in large.headers


async def test_slots_are_free_however_a_request_ends(rig: Rig) -> None:
    """Answered, refused upstream, broken off, left by its client, and swept by a reload."""
    head = b"".join(frames(text_stream())[:4])
    scripts: list[Script] = [
        answers(ANSWER),
        answers(b'{"error":{"message":"no","type":"x","param":null,"code":null}}', 400),
        answers(b"{}", 500),
        breaks_after(head),
        streams(ENDED),
    ]
    for script in scripts:
        gateway = await serving(rig, key(Limits(max_parallel_requests=1)), script)
        for body in (GOOD, STREAM, GOOD):
            assert (await gateway.post(body)).status != 429
    gateway = await serving(rig, key(Limits(max_parallel_requests=1)), hangs(head))
    client = await rig.client(gateway)
    client.send(request(STREAM, dict(AUTHORIZED)))
    await client.head()
    refused = await gateway.post(GOOD)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert "parallel requests: limit 1" in refused.error["message"]
    client.leave()

    async def free() -> bool:
        again = await rig.client(gateway)
        again.send(request(STREAM, dict(AUTHORIZED)))
        status, _ = await again.head()
        again.leave()
        return status == 200

    await eventually(free)


async def test_a_budget_that_is_spent(rig: Rig) -> None:
    """Each request is expected to cost 0.1 USD and costs 0.0018."""
    gateway = await serving(rig, key(budget=Budget("0.15", "1d")))
    for _ in range(20):
        assert (await gateway.post(GOOD)).status == 200
    for _ in range(8):
        assert (await gateway.post(GOOD)).status == 200
    refused = await gateway.post(GOOD)
    assert refused.status == 429
    assert (refused.error["type"], refused.error["code"]) == ("insufficient_quota",) * 2
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert "0.0504 of 0.15 USD" in refused.error["message"]
    assert refused.error["message"].endswith("T00:00:00Z.")


async def test_fifty_at_once_on_a_budget_for_ten(rig: Rig) -> None:
    """What is expected of each is reserved, so no eleventh is begun, whatever each will cost."""
    arrived = asyncio.Event()
    calls: list[Call] = []

    async def script(call: Call) -> None:
        calls.append(call)
        if len(calls) == 10:
            arrived.set()
        await arrived.wait()
        usage = {**USAGE, "output_tokens": 4989, "total_tokens": 5000}  # 0.5 USD each, not 0.1
        call.answer(json.dumps(response([message("hello")], usage=usage)).encode())

    gateway = await serving(rig, key(budget=Budget("1.05", "1d")), script)
    found = await asyncio.gather(*(gateway.post(GOOD) for _ in range(50)))
    assert sorted(answer.status for answer in found) == [200] * 10 + [429] * 40
    assert len(calls) == 10
    # The overshoot is what those cost that were in flight when the last was admitted.
    after = await gateway.post(GOOD)
    assert after.status == 429
    assert "5.00 of 1.05 USD" in after.error["message"]


async def test_a_budget_that_only_warns(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    gateway = await serving(rig, key(budget=Budget("0.000001", "Month", "Warn")))
    for _ in range(3):
        assert (await gateway.post(GOOD)).status == 200
    assert await gateway.metric("sluicegate_limited_total", limit="budget", action="warned") == 3
    assert [each.message for each in caplog.records].count("a budget is exceeded") == 1


async def test_end_users_have_limits_of_their_own(rig: Rig) -> None:
    limited = key(end_users=EndUserPolicy(limits=Limits(requests_per_minute=1)))
    gateway = await serving(rig, limited)

    async def ask(more: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        body = json.dumps({"model": "gpt-test", "input": "hi", **more}).encode()
        return await gateway.post(body, {**AUTHORIZED, **(headers or {})})

    ways: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"metadata": {"user_id": "anna"}}, {}),
        ({"user": "anna", "metadata": {"user_id": "other"}}, {}),
        ({"safety_identifier": "anna", "user": "other"}, {}),
        ({"safety_identifier": "other"}, {"x-sluicegate-end-user": "anna"}),
    ]
    statuses = [(await ask(*way)).status for way in ways]
    assert statuses == [200, 429, 429, 429]
    refused = await ask({"user": "anna"})
    assert "end user 'anna' of key default/team" in refused.error["message"]
    told = [refused.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining")]
    assert told == ["1", "0"]
    assert "retry-after" in refused.headers
    assert (await ask({"user": "berta"})).status == 200
    assert (await ask({})).status == 200
    assert (await ask({})).status == 200


async def test_a_key_that_demands_end_users_says_how_to_name_them(rig: Rig) -> None:
    gateway = await serving(rig, key(end_users=EndUserPolicy(required=True)))
    refused = await gateway.post(GOOD)
    assert (refused.status, refused.error["code"]) == (400, "end_user_required")
    for name in ("x-sluicegate-end-user", "safety_identifier", "user", "metadata.user_id"):
        assert name in refused.error["message"]
    named = await gateway.post(GOOD, {**AUTHORIZED, "x-sluicegate-end-user": "anna"})
    assert named.status == 200


async def test_the_least_that_is_left_is_told(rig: Rig) -> None:
    of_users = EndUserPolicy(limits=Limits(requests_per_minute=3))
    gateway = await serving(rig, key(Limits(requests_per_minute=100), end_users=of_users))
    answer = await gateway.post(GOOD, {**AUTHORIZED, "x-sluicegate-end-user": "anna"})
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    assert answer.headers["x-ratelimit-remaining-requests"] == "2"


async def test_counts_outlive_a_reload(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    gateway = await rig.gateway(key(Limits(requests_per_minute=2)), priced(upstream.base_url))
    for _ in range(2):
        assert (await gateway.post(GOOD)).status == 200
    gateway.publish(key(Limits(requests_per_minute=3)), priced(upstream.base_url), echo_entry())
    assert (await gateway.post(GOOD)).status == 200
    assert (await gateway.post(GOOD)).status == 429


@pytest.mark.parametrize("value", [-1, -(10**30), 10**30, 0])
async def test_odd_bounds_on_the_answer_give_no_credit(rig: Rig, value: int) -> None:
    gateway = await serving(rig, key(Limits(tokens_per_minute=2000), Budget("1", "1d", "Warn")))
    body = json.dumps({"model": "gpt-test", "input": "hi", "max_output_tokens": value}).encode()
    for _ in range(3):
        await gateway.post(body)
    told = await gateway.post(b"{")
    assert 0 <= int(told.headers["x-ratelimit-remaining-tokens"]) <= 2000


async def test_the_openai_sdk_understands_both_refusals(rig: Rig) -> None:
    upstream = await rig.upstream(answers(ANSWER))
    other = "sk-other-0123456789abcdef"
    spent = structs.replace(
        key_entry(other, name="other", key_id="otherkey"), budget=Budget("0.01", "7d")
    )
    gateway = await rig.gateway(
        key(Limits(requests_per_minute=1)), spent, priced(upstream.base_url)
    )
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=CLIENT_KEY, max_retries=0) as client:
        raw = await client.responses.with_raw_response.create(model="gpt-test", input="hi")
        assert raw.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as limited:
            await client.responses.create(model="gpt-test", input="hi")
        assert (limited.value.code, limited.value.type) == ("rate_limit_exceeded", "requests")
    # It would retry: that the budget is spent ends it at once.
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=other, max_retries=5) as client:
        with pytest.raises(openai.RateLimitError) as quota:
            await client.responses.create(model="gpt-test", input="hi")
        assert quota.value.code == "insufficient_quota"
    assert await gateway.metric("sluicegate_limited_total", limit="budget") == 1
