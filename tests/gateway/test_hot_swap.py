"""A new configuration while requests run: each ends on the one it began with."""

import asyncio
import gc
import sys

import msgspec
import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import answer_body, frames, text_stream
from running_gateway import AUTHORIZED, config_of, echo_entry, key_entry, openai_entry
from scripted_upstream import Call, answers, waits
from sluicegate.api.request import decode_request
from sluicegate.config import Budget, ClientKey, Deployment, Limits
from sluicegate.providers.contract import UpstreamCall

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
OTHER_KEY = "sk-other-0123456789abcdef"


async def test_what_runs_ends_on_the_snapshot_it_began_with(rig: Rig) -> None:
    """50 requests and 5 streams run while their key and their only deployment are replaced."""
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        if not call.streamed:
            await go_on.wait()
            call.answer(answer_body("from the old one"))
            return
        await waits(go_on, *frames(text_stream()))(call)

    old = await rig.upstream(slow)
    new = await rig.upstream(answers(answer_body("from the new one")))
    gateway = await rig.gateway(key_entry(), openai_entry(old.base_url))
    first = (await gateway.post(b"{", AUTHORIZED)).headers["x-sluicegate-config"]
    running = [asyncio.create_task(gateway.post(body)) for body in [GOOD] * 50 + [STREAM] * 5]
    await old.called(55)
    other_key = key_entry(OTHER_KEY, name="other", key_id="other1")
    gateway.publish(other_key, openai_entry(new.base_url, name="next"))
    refused = await gateway.post(GOOD)
    assert refused.status == 401  # the deleted key, on the very next request
    served = await gateway.post(GOOD, {"Authorization": f"Bearer {OTHER_KEY}"})
    assert served.body == answer_body("from the new one")
    assert served.headers["x-sluicegate-deployment"] == "default/next"
    assert served.headers["x-sluicegate-config"] != first
    go_on.set()
    ended = await asyncio.gather(*running)
    assert {answer.status for answer in ended} == {200}
    assert {answer.headers["x-sluicegate-config"] for answer in ended} == {first}
    assert {answer.headers["x-sluicegate-deployment"] for answer in ended} == {"default/primary"}
    assert {answer.body for answer in ended[:50]} == {answer_body("from the old one")}
    assert {answer.body for answer in ended[50:]} == {WHOLE}


async def test_a_retry_stays_on_the_snapshot_too(rig: Rig) -> None:
    """The second deployment of a running request is the one that was there when it began."""
    go_on = asyncio.Event()

    async def fails_late(call: Call) -> None:
        await go_on.wait()
        call.answer(b"", 500)

    gateway, (first, second) = await rig.pool(fails_late, answers(answer_body("the old second")))
    running = asyncio.create_task(gateway.post(GOOD))
    await first.called()
    gateway.publish(key_entry())
    go_on.set()
    answer = await running
    assert answer.body == answer_body("the old second")
    assert len(second.calls) == 1
    gone = await gateway.post(GOOD)
    assert (gone.status, gone.error["code"]) == (400, "model_not_found")


async def test_connections_of_clients_and_upstreams_go_on(rig: Rig) -> None:
    upstream = await rig.upstream(answers(answer_body()))
    deployment = openai_entry(upstream.base_url)
    gateway = await rig.gateway(key_entry(), deployment)
    async with await gateway.connect() as client:
        for weight in range(1, 30):
            client.post(GOOD, AUTHORIZED)
            assert (await client.answer()).status == 200
            gateway.publish(key_entry(), msgspec.structs.replace(deployment, weight=weight))
    assert len(upstream.calls) == 29
    assert upstream.accepted == 1


def variant(number: int) -> tuple[ClientKey, ClientKey, Deployment]:
    """Each is another configuration; the key `team` and the model `echo` are in all of them."""
    extra = key_entry(f"sk-extra-{number:020}", name="extra", key_id=f"extra{number}")
    deployment = echo_entry(name=f"echo-{number}")
    return key_entry(), extra, deployment


async def test_thirty_changes_under_load_fail_no_request(rig: Rig) -> None:
    gateway = await rig.gateway(*variant(0))
    body = b'{"model":"echo","input":"hello there","stream":true}'
    over = asyncio.Event()

    told: list[Answer] = []

    async def load() -> None:
        async with await gateway.connect() as client:
            while not over.is_set():
                client.post(body, AUTHORIZED)
                told.append(await client.answer())

    clients = [asyncio.create_task(load()) for _ in range(4)]
    for number in range(1, 31):
        gateway.publish(*variant(number))
        before = len(told)
        while len(told) <= before + len(clients):  # noqa: ASYNC110 -- one at least is of this one
            await asyncio.sleep(0.005)
    over.set()
    await asyncio.gather(*clients)
    assert {answer.status for answer in told} == {200}
    assert all(answer.body.endswith(b"data: [DONE]\n\n") for answer in told)
    assert len({answer.headers["x-sluicegate-config"] for answer in told}) > 5
    assert await gateway.metric("sluicegate_config_sequence") == 31


async def test_the_same_configuration_is_not_published_twice(rig: Rig) -> None:
    gateway = await rig.gateway(*variant(0))
    before = gateway.source.store.current
    gateway.publish(*variant(0))
    assert gateway.source.store.current is before


async def test_what_did_not_change_is_kept(rig: Rig) -> None:
    """So a change costs what it changes, and what is known of an upstream outlives it."""
    upstream = await rig.upstream(answers(answer_body()))
    kept, other = openai_entry(upstream.base_url), echo_entry()
    gateway = await rig.gateway(key_entry(), kept, other)
    before = gateway.source.store.current.snapshot
    gateway.publish(key_entry(), kept, msgspec.structs.replace(other, weight=5))
    after = gateway.source.store.current.snapshot
    assert after.targets[kept.id] is before.targets[kept.id]
    assert after.targets[other.id] is not before.targets[other.id]


@pytest.mark.parametrize("entries", [0, 1, 499, 500, 501, 2000])
async def test_a_large_configuration_is_built_in_slices(rig: Rig, entries: int) -> None:
    gateway = await rig.gateway(key_entry())
    keys = [key_entry(f"sk-{n:020}", name=f"k{n}", key_id=f"id{n}") for n in range(entries)]
    config = config_of(echo_entry(), *keys)
    steps = sum(1 for _ in gateway.source.store.publish_steps(config))
    assert steps >= entries // 500
    assert len(gateway.source.store.current.keys) == entries


async def test_what_fails_at_the_old_address_is_not_held_against_the_new_one(rig: Rig) -> None:
    fail = asyncio.Event()

    async def old(call: Call) -> None:
        await fail.wait()
        call.answer(b"{}", 500)

    before = await rig.upstream(old)
    after = await rig.upstream(answers(answer_body("from the new one")))
    gateway = await rig.gateway(key_entry(), openai_entry(before.base_url))
    waiting = [asyncio.create_task(gateway.post(GOOD)) for _ in range(10)]
    await before.called(10)
    gateway.publish(key_entry(), openai_entry(after.base_url))
    assert (await gateway.post(GOOD)).status == 200
    fail.set()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {500}
    assert (await gateway.post(GOOD)).body == answer_body("from the new one")
    health = msgspec.json.decode((await gateway.admin("/config")).body)["models"][0]
    assert health["deployments"][0]["state"] == "ok"


async def test_a_credential_goes_with_its_configuration(rig: Rig) -> None:
    """Nothing that was made for the sake of speed keeps it, once no request runs on it."""
    upstream = await rig.upstream(answers(answer_body()))
    limits = Limits(requests_per_minute=100)
    key = msgspec.structs.replace(key_entry(), limits=limits, budget=Budget("5.00", "Month"))
    deployment = msgspec.structs.replace(openai_entry(upstream.base_url), limits=limits)
    gateway = await rig.gateway(key, deployment)
    assert (await gateway.post(GOOD, AUTHORIZED)).status == 200
    connector = gateway.source.store.current.snapshot.targets[deployment.id].connector
    call = connector.translator(decode_request(GOOD), "gpt-test").request()
    assert isinstance(call, UpstreamCall)
    presented = call.headers
    del connector, call
    gateway.publish(key, openai_entry(upstream.base_url, key="sk-the-next-upstream-key"))
    gc.collect()
    assert sys.getrefcount(presented) == 2  # this function's, and its argument
