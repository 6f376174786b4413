"""Strategies and affinity as clients meet them: on real ports, by real requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import pytest

from gateway_rig import Rig
from responses_wire import answer_body
from running_gateway import AUTHORIZED, RunningGateway, key_entry, openai_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers
from sluicegate.config import Deployment, Fallback, ModelInfo, OpenAIUpstream, Pool, Pricing
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
SOUND = answers(answer_body("sound"))


async def pool(
    rig: Rig,
    scripts: Sequence[Script],
    *,
    more: Sequence[dict[str, Any]] = (),
    strategy: Literal["Weighted", "LeastBusy", "LowestLatency", "LowestCost"] = "Weighted",
    affinity: Literal["None", "EndUser", "ApiKey"] = "None",
    fallbacks: tuple[Fallback, ...] = (),
) -> tuple[RunningGateway, list[ScriptedUpstream]]:
    """A pool of one priority; `more` are the fields of each deployment."""
    upstreams = [await rig.upstream(script) for script in scripts]
    members: list[Deployment] = []
    for index, upstream in enumerate(upstreams):
        entry = openai_entry(upstream.base_url, name=f"number{index}")
        members.append(msgspec.structs.replace(entry, **(more[index] if more else {})))
    named = Pool(
        namespace="default",
        model="gpt-test",
        members=tuple(each.name for each in members),
        strategy=strategy,
        affinity=affinity,
        fallbacks=fallbacks,
    )
    second = key_entry("sk-another-client-0123456789", name="other", key_id="teamkey2")
    return await rig.gateway(key_entry(), second, *members, named), upstreams


async def ask(
    gateway: RunningGateway, body: bytes = GOOD, headers: Mapping[str, str] | None = None
) -> str:
    """The number of the deployment that answered."""
    answer = await gateway.post(body, {**AUTHORIZED, **(headers or {})})
    assert answer.status == 200
    return answer.headers["x-sluicegate-deployment"].removeprefix("default/number")


async def test_weights_are_kept_exactly(rig: Rig) -> None:
    gateway, upstreams = await pool(rig, [SOUND, SOUND], more=[{"weight": 3}, {"weight": 1}])
    for _ in range(40):
        await ask(gateway)
    assert [len(each.calls) for each in upstreams] == [30, 10]


async def test_the_busy_one_is_spared(rig: Rig) -> None:
    async def slow(call: Call) -> None:
        await release.wait()
        call.answer(answer_body("slow"))

    release = asyncio.Event()
    gateway, (first, _) = await pool(rig, [slow, SOUND], strategy="LeastBusy")
    waiting: list[asyncio.Task[str]] = []
    while not first.calls:  # of idle ones either may be chosen
        waiting.append(asyncio.create_task(ask(gateway)))
        await asyncio.wait(waiting, timeout=0.05)
    while sum(not each.done() for each in waiting) > 1:  # noqa: ASYNC110 -- any of them
        await asyncio.sleep(0.01)
    assert {await ask(gateway) for _ in range(20)} == {"1"}
    release.set()
    await asyncio.gather(*waiting)


@undisturbed(0.1)
async def test_the_quick_one_is_preferred(rig: Rig) -> None:
    async def slow(call: Call) -> None:
        await asyncio.sleep(0.3)
        call.answer(answer_body("slow"))

    gateway, (first, _) = await pool(rig, [slow, SOUND], strategy="LowestLatency")
    counted = Counter([await ask(gateway) for _ in range(40)])
    assert counted["1"] >= 38
    assert len(first.calls) <= 2


async def test_the_cheap_one_is_preferred_and_the_dear_one_stands_in(rig: Rig) -> None:
    dear, cheap = Pricing(input="5", output="20"), Pricing(input="1", output="2")
    gateway, (_, second) = await pool(
        rig, [SOUND, SOUND], more=[{"pricing": dear}, {"pricing": cheap}], strategy="LowestCost"
    )
    assert {await ask(gateway) for _ in range(10)} == {"1"}
    second.script = answers(b"{}", 500)
    assert {await ask(gateway) for _ in range(5)} == {"0"}


async def test_the_cheap_one_depends_on_the_request(rig: Rig) -> None:
    """One is cheap in what it reads, the other in what it writes."""
    reads, writes = Pricing(input="1", output="20"), Pricing(input="5", output="2")
    gateway, _ = await pool(
        rig, [SOUND, SOUND], more=[{"pricing": reads}, {"pricing": writes}], strategy="LowestCost"
    )
    assert await ask(gateway, GOOD.replace(b"}", b',"max_output_tokens":9000}')) == "1"
    long = b'{"model":"gpt-test","input":"' + b"a " * 20_000 + b'","max_output_tokens":16}'
    assert await ask(gateway, long) == "0"


async def test_an_end_user_stays_with_one_deployment(rig: Rig) -> None:
    gateway, _ = await pool(rig, [SOUND] * 3, affinity="EndUser")
    homes = {
        user: {await ask(gateway, headers={"x-sluicegate-end-user": user}) for _ in range(4)}
        for user in ("ada", "bob", "cyd", "dan", "eve", "fay")
    }
    assert all(len(home) == 1 for home in homes.values())
    assert len({home for each in homes.values() for home in each}) > 1
    named = [
        b'{"model":"gpt-test","input":"hi","safety_identifier":"ada"}',
        b'{"model":"gpt-test","input":"hi","user":"ada"}',
        b'{"model":"gpt-test","input":"hi","metadata":{"user_id":"ada"}}',
    ]
    assert {await ask(gateway, body) for body in named} == homes["ada"]
    strange = {"x-sluicegate-end-user": "\xff\xfe\u00e9"}
    assert len({await ask(gateway, headers=strange) for _ in range(4)}) == 1
    assert {await ask(gateway) for _ in range(6)} == {"0", "1", "2"}  # nobody: by strategy


async def test_a_key_stays_with_one_deployment(rig: Rig) -> None:
    gateway, _ = await pool(rig, [SOUND] * 8, affinity="ApiKey")
    assert len({await ask(gateway) for _ in range(5)}) == 1
    other = {"Authorization": "Bearer sk-another-client-0123456789"}
    assert len({await ask(gateway, headers=other) for _ in range(5)}) == 1


LONG = b'{"model":"gpt-test","input":"' + b"internationalisation " * 4000 + b'"}'


async def test_who_has_no_room_is_not_asked(rig: Rig) -> None:
    small = {"model_info": ModelInfo(context_window=4000)}
    gateway, (first, _) = await pool(
        rig, [SOUND, SOUND], more=[{**small, "weight": 1000}, {"weight": 1}]
    )
    answer = await gateway.post(LONG)
    assert answer.headers["x-sluicegate-attempts"] == "default/number0=too_long;default/number1=ok"
    assert not first.calls
    assert await ask(gateway) == "0"


@pytest.mark.parametrize("count", [1, 2])
async def test_where_nobody_has_room_a_fallback_is_asked_or_the_upstream_judges(
    rig: Rig, count: int
) -> None:
    small = [{"model_info": ModelInfo(context_window=4000)}] * count
    big = await rig.upstream(SOUND)
    spare = msgspec.structs.replace(
        openai_entry(big.base_url, name="spare", model="spare"),
        upstream=OpenAIUpstream(model="big", base_url=big.base_url),
    )
    gateway, upstreams = await pool(
        rig, [SOUND] * count, more=small, fallbacks=(Fallback("spare", ("ContextWindow",)),)
    )
    assert (await gateway.post(LONG)).status == 200  # no such pool: the upstream judges
    assert sum(len(each.calls) for each in upstreams) == 1
    entries = gateway.source.store.current.snapshot.config.entries
    old = [entry for entry in entries.values() if entry.id != "pool/default/spare"]
    gateway.publish(*old, spare)
    answer = await gateway.post(LONG)
    assert answer.headers["x-sluicegate-deployment"] == "default/spare"
    assert sum(len(each.calls) for each in upstreams) == 1
    assert (await gateway.post(GOOD)).headers["x-sluicegate-deployment"] != "default/spare"
