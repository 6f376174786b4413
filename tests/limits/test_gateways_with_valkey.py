"""Gateways that count together: exact, and honest about a store that is away."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from msgspec import structs

from eventually import eventually
from gateway_rig import Rig
from responses_wire import USAGE, message, response
from running_gateway import RunningGateway, key_entry, openai_entry
from scripted_upstream import answers
from served_folder import echo_manifest, key_manifest, served_folder, start_command
from sluicegate.config import Budget, Limits, Pricing
from sluicegate.limits import OnFailure
from sluicegate.server.process import ServerSettings
from valkey_process import ValkeyProcess

GOOD = b'{"model":"gpt-test","input":"hi"}'
ANSWER = json.dumps(response([message("hello")], usage=USAGE)).encode()


def settings(url: str, on_failure: OnFailure = OnFailure.LOCAL) -> ServerSettings:
    return ServerSettings(
        port=0, admin_port=0, drain_seconds=0.0, limits_url=url, limits_on_failure=on_failure
    )


async def gateways(
    rig: Rig,
    valkey: ValkeyProcess,
    limits: Limits | None,
    budget: Budget | None = None,
    *,
    count: int = 3,
    on_failure: OnFailure = OnFailure.LOCAL,
) -> list[RunningGateway]:
    upstream = await rig.upstream(answers(ANSWER))
    deployment = structs.replace(
        openai_entry(upstream.base_url), pricing=Pricing(input="100", output="100")
    )
    key = structs.replace(key_entry(), limits=limits, budget=budget)
    wanted = settings(valkey.url, on_failure)
    return [await rig.gateway(key, deployment, settings=wanted) for _ in range(count)]


async def readiness(gateway: RunningGateway) -> dict[str, object]:
    answer = await gateway.get("/readyz")
    assert answer.status == 200
    return answer.json()


async def degraded(gateway: RunningGateway, *, yes: bool) -> None:
    async def as_wanted() -> bool:
        return ((await readiness(gateway)).get("degraded") == ["limits"]) is yes

    await eventually(as_wanted)


async def test_three_gateways_admit_exactly_ten(rig: Rig, valkey: ValkeyProcess) -> None:
    three = await gateways(rig, valkey, Limits(requests_per_minute=10))
    found = await asyncio.gather(*(three[n % 3].post(GOOD) for n in range(60)))
    assert sorted(answer.status for answer in found) == [200] * 10 + [429] * 50


async def test_a_budget_is_settled_for_all(rig: Rig, valkey: ValkeyProcess) -> None:
    """Expected to cost 0.1 USD and costing 0.0018: the others hear of it."""
    three = await gateways(rig, valkey, None, Budget("0.11", "Month"))

    async def served(gateway: RunningGateway) -> bool:
        return (await gateway.post(GOOD)).status == 200

    for gateway in three:
        # The settlement of the one before may still be on its way.
        await eventually(lambda gateway=gateway: served(gateway))

    async def counted() -> bool:
        nano_usd = await valkey.command("HGET", "{sluicegate}:limits:counts:key:default/team", "m")
        return nano_usd == "5400000"

    await eventually(counted)


async def test_a_store_that_goes_and_comes(rig: Rig, valkey: ValkeyProcess) -> None:
    (gateway,) = await gateways(rig, valkey, Limits(requests_per_minute=5), count=1)
    for _ in range(2):
        assert (await gateway.post(GOOD)).status == 200
    await valkey.kill()
    # Served all the same, and counted on from what the store said last.
    found = [await gateway.post(GOOD) for _ in range(5)]
    assert [answer.status for answer in found] == [200, 200, 200, 429, 429]
    await degraded(gateway, yes=True)
    assert (await readiness(gateway))["status"] == "degraded"
    assert await gateway.metric("sluicegate_limits_shared") == 0
    assert await gateway.metric("sluicegate_limits_store_failures_total") >= 1
    await valkey.start()
    await degraded(gateway, yes=False)
    assert (await readiness(gateway))["status"] == "ok"
    assert await gateway.metric("sluicegate_limits_shared") == 1
    assert (await gateway.post(GOOD)).status == 200


async def test_a_hung_store_is_left_alone(rig: Rig, valkey: ValkeyProcess) -> None:
    (gateway,) = await gateways(rig, valkey, Limits(requests_per_minute=1000), count=1)
    valkey.hang()
    assert (await gateway.post(GOOD)).status == 200
    await degraded(gateway, yes=True)
    failures = await gateway.metric("sluicegate_limits_store_failures_total")
    found = await asyncio.gather(*(gateway.post(GOOD) for _ in range(50)))
    assert {answer.status for answer in found} == {200}
    # Not each of them has tried the store: that is done in the background, once a second or so.
    assert await gateway.metric("sluicegate_limits_store_failures_total") < failures + 25
    valkey.wake()
    await degraded(gateway, yes=False)


async def test_with_reject_nothing_limited_is_served_without_the_store(
    rig: Rig, valkey: ValkeyProcess
) -> None:
    limits = Limits(requests_per_minute=1000)
    (gateway,) = await gateways(rig, valkey, limits, count=1, on_failure=OnFailure.REJECT)
    assert (await gateway.post(GOOD)).status == 200
    await valkey.kill()
    refused = await gateway.post(GOOD)
    assert (refused.status, refused.error["code"]) == (503, "limits_unavailable")
    assert refused.headers["retry-after"] == "1"
    await valkey.start()

    async def served() -> bool:
        return (await gateway.post(GOOD)).status == 200

    await eventually(served)


async def test_what_is_served_last_is_counted_before_the_process_ends(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """And the command takes the store's URL from an option."""
    limited = key_manifest().replace('"}}', '", limits: {tokensPerMinute: 100000}}}')
    manifests = {"key.yaml": limited, "echo.yaml": echo_manifest(text="one two three")}
    async with served_folder(tmp_path, manifests, "--limits-url", valkey.url) as served:
        answer = await served.post(b'{"model":"echo","input":"hi"}')
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-tokens"] == "100000"
        served.signal()
        assert await served.exit_code() == 0
    tokens = await valkey.command("HGET", "{sluicegate}:limits:counts:key:default/team", "t")
    assert 0 < int(tokens) < 100  # no longer the thousand that were reserved


async def test_a_wrong_url_is_refused_in_one_line_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "key.yaml").write_text(key_manifest())
    process = await start_command(
        *("serve", "--manifests", str(tmp_path), "--port", "0", "--admin-port", "0"),
        environ={"SLUICEGATE_LIMITS_URL": "redis://user:hunter2/more@host"},
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"redis://[user:password@]host[:port]" in errors
    assert b"hunter2" not in errors
    assert b"Traceback" not in errors
