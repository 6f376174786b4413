"""One of two upstreams is in trouble: clients notice nothing, and it is hardly asked any more."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from eventually import eventually
from gateway_rig import Rig
from raw_client import Answer
from responses_wire import answer_body, frames, numbered, prelude, response, text_stream
from running_gateway import CLIENT_KEY, RunningGateway, key_entry, openai_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers, hangs, in_turn, streams
from sluicegate.config import Cooldown, Deployment, Retry, Timeouts
from undisturbed import undisturbed

GOOD = b'{"model":"gpt-test","input":"hi"}'
STREAM = b'{"model":"gpt-test","input":"hi","stream":true}'
AUTHORIZED = {"Authorization": f"Bearer {CLIENT_KEY}"}
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
QUICK = Timeouts(first_byte=0.5)
REQUESTS = 60
OVERLOADED = response(
    status="failed", more={"error": {"code": "server_error", "message": "Overloaded."}}
)


async def sound(call: Call) -> None:
    if call.streamed:
        await streams(*frames(text_stream()))(call)
    else:
        call.answer(answer_body("sound"))


async def _half_a_head(call: Call) -> None:
    call.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    call.reset()


async def _garbage(call: Call) -> None:
    call.write(b"\x16\x03\x01 what is this\r\n\r\n")


TROUBLES: dict[str, Script] = {
    "hung": hangs(),
    "resetting mid-headers": _half_a_head,
    "answering 500": answers(b'{"error":{"message":"no"}}', 500),
    "answering 429": answers(b'{"error":{"message":"slow down"}}', 429),
    "answering 429 with a wait": answers(b"{}", 429, [("Retry-After", "60")]),
    "answering 401": answers(b"{}", 401),
    "answering garbage": _garbage,
    "overloaded after response.created": streams(
        *frames(numbered([*prelude(), {"type": "response.failed", "response": OVERLOADED}]))
    ),
}


def member(
    upstream: ScriptedUpstream | str,
    name: str,
    *,
    priority: int = 0,
    cooldown: Cooldown | None = None,
    retry: Retry | None = None,
) -> Deployment:
    entry = openai_entry(
        upstream if isinstance(upstream, str) else upstream.base_url,
        name=name,
        priority=priority,
        timeouts=QUICK,
        retry=retry or Retry(),
    )
    return msgspec.structs.replace(entry, cooldown=cooldown or Cooldown())


async def flood(gateway: RunningGateway, body: bytes, count: int = REQUESTS) -> list[Answer]:
    """As many requests, ten at a time."""
    gate = asyncio.Semaphore(10)

    async def one() -> Answer:
        async with gate:
            return await gateway.post(body)

    return await asyncio.gather(*(one() for _ in range(count)))


async def deployments(gateway: RunningGateway) -> dict[str, Any]:
    (model,) = json.loads((await gateway.admin("/config")).body)["models"]
    return {each["name"]: each for each in model["deployments"]}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_no_request_fails_as_long_as_the_other_answers(rig: Rig, trouble: Script) -> None:
    bad, good = await rig.upstream(trouble), await rig.upstream(sound)
    gateway = await rig.gateway(key_entry(), member(bad, "bad"), member(good, "good"))
    done = await flood(gateway, STREAM)
    assert {answer.status for answer in done} == {200}
    assert {answer.body for answer in done} == {WHOLE}
    asked = len(bad.calls)
    assert asked <= 20  # what was under way before it was known, and no more
    done = await flood(gateway, GOOD)
    assert {answer.status for answer in done} == {200}
    assert len(bad.calls) == asked
    skipped = {answer.headers["x-sluicegate-attempts"] for answer in done}
    assert skipped == {"default/bad=cooldown;default/good=ok"}


async def test_a_killed_one_too(rig: Rig) -> None:
    good = await rig.upstream(sound)
    async with ScriptedUpstream(sound).listening() as dying:
        gateway = await rig.gateway(key_entry(), member(dying, "bad"), member(good, "good"))
        assert {answer.status for answer in await flood(gateway, GOOD)} == {200}
        assert len(dying.calls) == REQUESTS / 2
    done = await flood(gateway, GOOD)
    assert {answer.status for answer in done} == {200}
    assert done[-1].headers["x-sluicegate-attempts"] == "default/bad=cooldown;default/good=ok"


@undisturbed(0.1)
async def test_one_request_probes_and_it_comes_back(rig: Rig) -> None:
    flaky = await rig.upstream(in_turn(answers(b"", 500), answers(b"", 500), sound))
    good = await rig.upstream(sound)
    soon = Cooldown(failures=2, duration=0.3)
    gateway = await rig.gateway(
        key_entry(), member(flaky, "flaky", cooldown=soon), member(good, "good", priority=1)
    )
    for _ in range(3):
        assert (await gateway.post(GOOD)).status == 200
    assert len(flaky.calls) == 2
    await asyncio.sleep(0.35)
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == "default/flaky=ok"
    assert len(flaky.calls) == 3


async def test_where_all_are_out_the_least_bad_is_asked_first(rig: Rig) -> None:
    upstreams = [await rig.upstream(answers(b"{}", 500)) for _ in range(2)]
    once = Retry(attempts=1)
    gateway = await rig.gateway(
        key_entry(),
        *(
            member(one, f"number{index}", retry=once, cooldown=Cooldown(1, 30.0 + index))
            for index, one in enumerate(upstreams)
        ),
    )
    assert (await gateway.post(GOOD)).status == 500
    assert [len(one.calls) for one in upstreams] == [1, 1]
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == (
        "default/number0=cooldown;default/number1=cooldown;"
        "default/number0=server_error(500);default/number1=server_error(500)"
    )
    upstreams[0].script = sound
    assert (await gateway.post(GOOD)).status == 200
    assert (await gateway.post(GOOD)).headers["x-sluicegate-attempts"].endswith("number0=ok")


async def test_retries_do_not_multiply_an_outage(rig: Rig) -> None:
    dead = await rig.upstream(answers(b"{}", 503))
    stubborn = Retry(attempts=10, backoff=0.0)
    gateway = await rig.gateway(key_entry(), member(dead, "dead", retry=stubborn))
    done = await flood(gateway, GOOD, 100)
    assert {answer.status for answer in done} == {503}
    assert len(dead.calls) <= 100 + 10 + 20


@undisturbed(0.05)
async def test_a_clients_mistakes_and_haste_are_not_held_against_a_deployment(rig: Rig) -> None:
    async def script(call: Call) -> None:
        if b"wrong" in call.body:
            call.answer(b'{"error":{"message":"wrong"}}', 400)
        elif b"slow" in call.body:
            await call.gone.wait()
        else:
            await sound(call)

    # A timer may fire within the last millisecond, in which the other one is asked, too.
    upstream, other = await rig.upstream(script), await rig.upstream(script)
    gateway = await rig.gateway(
        key_entry(),
        member(upstream, "first", cooldown=Cooldown(1, 30.0)),
        member(other, "other", priority=1),
    )
    assert (await gateway.post(GOOD.replace(b"hi", b"wrong"))).status == 400
    hasty = AUTHORIZED | {"x-sluicegate-timeout": "0.1"}
    assert (await gateway.post(GOOD.replace(b"hi", b"slow"), hasty)).status == 504
    async with await gateway.connect() as client:
        client.post(GOOD.replace(b"hi", b"slow"), AUTHORIZED)
        await asyncio.wait_for(upstream.called(3), 10)
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == "default/first=ok"


async def test_an_upstream_that_does_not_know_the_model_is_left_at_once(rig: Rig) -> None:
    missing = answers(b'{"error":{"message":"no such model","code":"model_not_found"}}', 404)
    first, second = await rig.upstream(missing), await rig.upstream(sound)
    gateway = await rig.gateway(
        key_entry(), member(first, "first"), member(second, "second", priority=1)
    )
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == (
        "default/first=not_found(404);default/second=ok"
    )
    await gateway.post(GOOD)
    assert len(first.calls) == 1


async def test_the_error_that_is_told_is_the_most_useful_one(rig: Rig) -> None:
    busy = answers(b'{"error":{"message":"busy"}}', 429, [("Retry-After", "40")])
    busier = answers(b'{"error":{"message":"busier"}}', 429, [("Retry-After", "50")])
    refused = answers(b"{}", 401)
    gateway, _ = await rig.pool(busier, busy, answers(b"{}", 500), refused)
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.headers["retry-after"]) == (429, "40")
    assert answer.headers["x-sluicegate-deployment"] == "default/number1"
    assert len(answer.headers["x-sluicegate-attempts"].split(";")) == 4


async def test_a_wait_that_is_known_is_told_before_one_that_is_not(rig: Rig) -> None:
    vague = answers(b'{"error":{"message":"vague"}}', 429)
    exact = answers(b'{"error":{"message":"exact"}}', 429, [("Retry-After", "40")])
    gateway, _ = await rig.pool(vague, exact, vague)
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.headers.get("retry-after")) == (429, "40")


async def test_health_outlives_a_reload_and_a_new_credential_starts_afresh(rig: Rig) -> None:
    first, second = await rig.upstream(answers(b"{}", 401)), await rig.upstream(sound)
    one, other = member(first, "first"), member(second, "second", priority=1)
    gateway = await rig.gateway(key_entry(), one, other)
    await gateway.post(GOOD)
    gateway.publish(key_entry(), one, other, openai_entry(second.base_url, name="x", model="x"))
    await gateway.post(GOOD)
    assert len(first.calls) == 1
    first.script = sound
    renewed = openai_entry(first.base_url, name="first", key="sk-the-right-one-this-time")
    gateway.publish(key_entry(), renewed, other)
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == "default/first=ok"


async def test_nothing_stays_in_flight(rig: Rig) -> None:
    """Whatever way a request ends, its deployment is told."""

    async def script(call: Call) -> None:
        if b"hang" in call.body:
            await hangs(*frames(prelude()))(call)
        elif b"cut" in call.body:
            call.begin()
            for piece in frames(text_stream())[:5]:
                call.chunk(piece)
            await asyncio.sleep(0.05)
            call.close()
        elif b"fail" in call.body:
            call.answer(b"{}", 500)
        else:
            await sound(call)

    upstream = await rig.upstream(script)
    gateway = await rig.gateway(key_entry(), member(upstream, "only", retry=Retry(attempts=1)))
    for words in (b"fine", b"cut", b"fail"):
        for body in (GOOD, STREAM):
            await gateway.post(body.replace(b'"hi"', b'"' + words + b'"'))
    async with await gateway.connect() as client:
        client.post(STREAM.replace(b"hi", b"hang"), AUTHORIZED)
        await upstream.called(7)

    async def idle() -> bool:
        return (await deployments(gateway))["default/only"]["in_flight"] == 0

    await eventually(idle)
    assert await gateway.metric("sluicegate_deployment_in_flight") == 0
    assert await gateway.metric("sluicegate_requests_in_flight") == 0
