"""What one gateway finds out about a deployment, the others of its store know a moment later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from msgspec import structs

from eventually import eventually
from gateway_rig import Rig
from responses_wire import USAGE, message, response
from running_gateway import RunningGateway, config_of, key_entry, openai_entry, running_gateway
from scripted_upstream import Call, ScriptedUpstream
from sluicegate.config import Cooldown, Deployment, Limits
from sluicegate.routing import health as health_module
from sluicegate.server.process import ServerSettings
from undisturbed import undisturbed
from valkey_process import ValkeyProcess

GOOD = b'{"model":"gpt-test","input":"hi"}'
ANSWER = json.dumps(response([message("hello")], usage=USAGE)).encode()
STREAM = "{sluicegate}:health"
LONG = Cooldown(failures=3, duration=60.0)


@dataclass
class Patient:
    """An upstream's script: ill until a test says otherwise."""

    ill: bool = True
    answering: asyncio.Event = field(default_factory=asyncio.Event)  # until set, nothing is said

    def __post_init__(self) -> None:
        self.answering.set()

    async def __call__(self, call: Call) -> None:
        await self.answering.wait()
        if self.ill:
            call.answer(b'{"error":{"message":"no"}}', 500)
        else:
            call.answer(ANSWER)


@dataclass
class Installation:
    gateways: list[RunningGateway]
    patient: Patient
    first: ScriptedUpstream  # the patient's
    second: ScriptedUpstream  # always well, asked when the first is out of rotation
    entries: tuple[Deployment, ...]


def settings(valkey: ValkeyProcess) -> ServerSettings:
    return ServerSettings(port=0, admin_port=0, drain_seconds=0.0, limits_url=valkey.url)


async def installed(
    rig: Rig, valkey: ValkeyProcess, cooldown: Cooldown = LONG, count: int = 3
) -> Installation:
    patient = Patient()
    first = await rig.upstream(patient)
    second = await rig.upstream(Patient(ill=False))
    entries = (
        structs.replace(openai_entry(first.base_url, name="first"), cooldown=cooldown),
        openai_entry(second.base_url, name="second", priority=1),
    )
    wanted = settings(valkey)
    gateways = [await rig.gateway(key_entry(), *entries, settings=wanted) for _ in range(count)]
    return Installation(gateways, patient, first, second, entries)


async def health(gateway: RunningGateway, name: str = "default/first") -> dict[str, object]:
    pools = json.loads((await gateway.admin("/config")).body)["models"]
    found = [each for pool in pools for each in pool["deployments"] if each["name"] == name]
    assert len(found) == 1
    return found[0]


async def all_say(gateways: Sequence[RunningGateway], state: str) -> None:
    async def so() -> bool:
        return all([(await health(each))["state"] == state for each in gateways])

    await eventually(so, 20)


async def eject(gateway: RunningGateway) -> None:
    """As many requests as it takes; none of them fails."""
    for _ in range(3):
        assert (await gateway.post(GOOD)).status == 200


async def test_the_others_skip_what_one_has_ejected(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey)
    await eject(inst.gateways[0])
    await all_say(inst.gateways, "cooldown")
    for gateway in inst.gateways:
        answer = await gateway.post(GOOD)
        told = answer.headers["x-sluicegate-attempts"]
        assert told == "default/first=cooldown;default/second=ok"
        assert (await health(gateway))["cause"] == "server_error"
    assert len(inst.first.calls) == 3


@undisturbed(0.1)
async def test_a_probe_that_succeeds_brings_it_back_for_all(
    rig: Rig, valkey: ValkeyProcess
) -> None:
    inst = await installed(rig, valkey, Cooldown(failures=3, duration=0.5))
    await eject(inst.gateways[0])
    await all_say(inst.gateways, "cooldown")
    inst.patient.ill = False

    async def probed() -> bool:
        assert (await inst.gateways[1].post(GOOD)).status == 200
        return len(inst.first.calls) > 3

    await eventually(probed)
    await all_say(inst.gateways, "ok")


@undisturbed(0.1)
async def test_while_one_probes_the_others_do_not(rig: Rig, valkey: ValkeyProcess) -> None:
    await valkey.command("DEL", STREAM)
    inst = await installed(rig, valkey, Cooldown(failures=3, duration=0.3))
    one, *others = inst.gateways
    await eject(one)
    await all_say(inst.gateways, "cooldown")
    inst.patient.answering.clear()

    async def probed() -> bool:
        return (await health(one))["state"] == "probing"

    probe = asyncio.create_task(one.post(GOOD))
    while not await probed():  # the first request may have come before the time was over
        if probe.done():
            probe = asyncio.create_task(one.post(GOOD))
        await asyncio.sleep(0.02)

    async def heard() -> bool:
        reply = await valkey.command("XLEN", STREAM)
        return int(reply[1:]) >= 2

    await eventually(heard)
    await asyncio.sleep(0.6)  # the time is over for the others, too
    answers = await asyncio.gather(*(each.post(GOOD) for each in others * 5))
    assert {each.headers["x-sluicegate-attempts"] for each in answers} == {
        "default/first=cooldown;default/second=ok"
    }
    assert len(inst.first.calls) == 4
    inst.patient.ill = False
    inst.patient.answering.set()
    assert (await probe).headers["x-sluicegate-attempts"] == "default/first=ok"
    await all_say(inst.gateways, "ok")


async def test_a_limited_deployment_is_probed_once(
    rig: Rig, valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the choice and the call its limits are asked for in the store."""
    monkeypatch.setattr(health_module, "CHOSEN_FOR", 60.0)  # however slow this machine is
    patient = Patient()
    first = await rig.upstream(patient)
    second = await rig.upstream(Patient(ill=False))
    gateway = await rig.gateway(
        key_entry(),
        structs.replace(
            openai_entry(first.base_url, name="first"),
            cooldown=Cooldown(failures=3, duration=0.2),
            limits=Limits(requests_per_minute=1000),
        ),
        openai_entry(second.base_url, name="second", priority=1),
        settings=settings(valkey),
    )
    await eject(gateway)
    patient.ill = False
    patient.answering.clear()
    await asyncio.sleep(0.3)
    asked = [asyncio.create_task(gateway.post(GOOD)) for _ in range(10)]
    while sum(each.done() for each in asked) < 9:
        await asyncio.wait(
            [each for each in asked if not each.done()], return_when=asyncio.FIRST_COMPLETED
        )

    async def probed() -> bool:
        return len(first.calls) == 4

    await eventually(probed)
    patient.answering.set()
    told = [(await each).headers["x-sluicegate-attempts"] for each in asked]
    assert told.count("default/first=ok") == 1
    assert len(first.calls) == 4


async def test_one_that_starts_later_knows_too(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey, count=1)
    await eject(inst.gateways[0])

    async def written() -> bool:
        return await valkey.command("XLEN", STREAM) == ":1"

    await eventually(written)
    late = await rig.gateway(key_entry(), *inst.entries, settings=settings(valkey))
    await all_say([late], "cooldown")
    assert len(inst.first.calls) == 3


async def test_what_calls_something_else_starts_afresh(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey, count=2)
    one, other = inst.gateways
    first, second = inst.entries
    elsewhere = openai_entry(inst.second.base_url, name="first")
    other.publish(key_entry(), elsewhere, second)
    await eject(one)

    async def written() -> bool:
        return await valkey.command("XLEN", STREAM) == ":1"

    await eventually(written)
    # A word that both understand, after it: so it has been read.
    broken = openai_entry("http://127.0.0.1:9/v1", name="second", priority=0)
    for gateway, mine in ((one, first), (other, elsewhere)):
        gateway.publish(key_entry(), mine, broken)
    for _ in range(6):
        await one.post(GOOD)

    async def heard() -> bool:
        return (await health(other, "default/second"))["state"] == "cooldown"

    await eventually(heard)
    assert (await health(other))["state"] == "ok"


async def test_a_store_that_goes_and_comes(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey, count=2)
    one, other = inst.gateways
    await valkey.kill()
    await eject(one)
    assert (await health(one))["state"] == "cooldown"
    assert (
        (await other.post(GOOD))
        .headers["x-sluicegate-attempts"]
        .startswith("default/first=server_error(500);")
    )
    await valkey.start()
    await all_say([other], "cooldown")
    # What an emptied store has lost is told again by those who know.
    await valkey.kill()
    await valkey.start()
    late = await rig.gateway(key_entry(), *inst.entries, settings=settings(valkey))
    await all_say([late], "cooldown")


async def test_a_hung_store_holds_nobody_up(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey, count=2)
    one, other = inst.gateways
    valkey.hang()
    try:
        await eject(one)
        assert (await one.post(GOOD)).headers["x-sluicegate-deployment"] == "default/second"
    finally:
        valkey.wake()
    await all_say([other], "cooldown")


async def test_the_store_forgets(rig: Rig, valkey: ValkeyProcess) -> None:
    inst = await installed(rig, valkey, count=1)
    await eject(inst.gateways[0])

    async def expires() -> bool:
        left = int((await valkey.command("PTTL", STREAM))[1:])
        return 0 < left <= 600_000

    await eventually(expires)


async def test_a_key_that_is_no_stream_is_like_a_store_that_is_away(
    rig: Rig, valkey: ValkeyProcess
) -> None:
    await valkey.command("SET", STREAM, "garbage")
    inst = await installed(rig, valkey, count=2)
    one, other = inst.gateways
    await eject(one)
    assert (await health(one))["state"] == "cooldown"
    await valkey.command("DEL", STREAM)
    await all_say([other], "cooldown")


@pytest.mark.parametrize("state", ["cooldown", "probing"])
async def test_words_that_are_wrong_take_nothing_away(
    rig: Rig, valkey: ValkeyProcess, state: str
) -> None:
    """Somebody writes again and again that both deployments are out."""
    inst = await installed(rig, valkey, Cooldown(failures=3, duration=0.5), count=1)
    inst.patient.ill = False
    (gateway,) = inst.gateways
    revisions = config_of(key_entry(), *inst.entries).revisions

    async def lie() -> None:
        while True:
            for id_ in ("md/default/first", "md/default/second"):
                word = f"state {state} seconds 50 cause server_error"
                await valkey.command(
                    *("XADD", STREAM, "*", "subject", f"{id_}@{revisions[id_]}", "gateway", "liar"),
                    *word.split(),
                )
            for garbage in ("subject x", "state 1", f"subject md/default/first@{state}"):
                await valkey.command("XADD", STREAM, "*", *garbage.split())

    liar = asyncio.create_task(lie())
    try:
        await all_say([gateway], "cooldown")

        async def believed_no_more() -> bool:
            # They are the last resort of each other, so nothing fails meanwhile.
            assert (await gateway.post(GOOD)).status == 200
            names = ("default/first", "default/second")
            return "ok" in [(await health(gateway, name))["state"] for name in names]

        await eventually(believed_no_more)
        for _ in range(20):
            answer = await gateway.post(GOOD)
            assert answer.headers["x-sluicegate-attempts"].count("ok") == 1
            assert await believed_no_more()
    finally:
        liar.cancel()
        await asyncio.wait([liar])


async def test_a_gateway_without_the_store_keeps_it_to_itself(
    rig: Rig, valkey: ValkeyProcess
) -> None:
    inst = await installed(rig, valkey, count=1)
    alone = config_of(key_entry(), *inst.entries)
    async with running_gateway(alone) as gateway:
        await eject(gateway)
        assert (await health(gateway))["state"] == "cooldown"
        assert await valkey.command("EXISTS", STREAM) == ":0"
