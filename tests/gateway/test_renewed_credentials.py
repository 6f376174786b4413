"""An upstream that refuses a credential: one look for a newer one comes before failing over."""

import asyncio

import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import answer_body
from running_gateway import RunningGateway, config_of, key_entry, openai_entry
from scripted_upstream import Call, ScriptedUpstream, answers

GOOD = b'{"model":"gpt-test","input":"hi"}'
OLD, NEW = "sk-upstream-old-0123456789", "sk-upstream-new-0123456789"


async def only_the_new(call: Call) -> None:
    if call.header("authorization") == f"Bearer {NEW}":
        call.answer(answer_body("with the new key"))
    else:
        call.answer(b'{"error":{"message":"no","type":"x","param":null,"code":null}}', 401)


def attempts(answer: Answer) -> list[str]:
    return answer.headers["x-sluicegate-attempts"].split(";")


async def rotated(rig: Rig) -> tuple[RunningGateway, ScriptedUpstream]:
    """Two deployments; the first one's upstream knows a key that the gateway may look for."""
    first = await rig.upstream(only_the_new)
    second = await rig.upstream(answers(answer_body("from the second")))
    entries = [
        key_entry(),
        openai_entry(first.base_url, name="first", key=OLD),
        openai_entry(second.base_url, name="second", priority=1),
    ]
    gateway = await rig.gateway(*entries)
    entries[1] = openai_entry(first.base_url, name="first", key=NEW)
    gateway.source.newer = config_of(*entries)
    return gateway, first


async def test_the_newer_credential_is_found_and_used(rig: Rig) -> None:
    gateway, first = await rotated(rig)
    answer = await gateway.post(GOOD)
    assert answer.body == answer_body("with the new key")
    assert attempts(answer) == ["default/first=credential(401)", "default/first=ok"]
    assert len(first.calls) == 2
    # The refusal was of a key that is no longer presented: nothing is held against the deployment.
    again = await gateway.post(GOOD)
    assert attempts(again) == ["default/first=ok"]
    assert gateway.source.looks == 1


async def test_requests_of_one_moment_all_find_it(rig: Rig) -> None:
    gateway, _ = await rotated(rig)
    answered = await asyncio.gather(*(gateway.post(GOOD) for _ in range(10)))
    assert {answer.status for answer in answered} == {200}
    last = await gateway.post(GOOD)
    assert attempts(last) == ["default/first=ok"]


@pytest.mark.parametrize("status", [401, 403])
async def test_where_nothing_is_newer_the_next_one_is_asked(rig: Rig, status: int) -> None:
    first = await rig.upstream(answers(b"{}", status))
    second = await rig.upstream(answers(answer_body("from the second")))
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(first.base_url, name="first"),
        openai_entry(second.base_url, name="second", priority=1),
    )
    answer = await gateway.post(GOOD)
    assert attempts(answer) == [f"default/first=credential({status})", "default/second=ok"]
    assert gateway.source.looks == (1 if status == 401 else 0)
    assert len(first.calls) == 1


async def test_a_newer_one_that_is_refused_too_is_not_looked_for_again(rig: Rig) -> None:
    gateway, first = await rotated(rig)
    third = openai_entry(first.base_url, name="first", key="sk-upstream-third-0123456789")
    gateway.source.newer = config_of(key_entry(), third)
    answer = await gateway.post(GOOD)
    refused = "default/first=credential(401)"
    assert attempts(answer) == [refused, refused, "default/second=ok"]
    assert gateway.source.looks == 1
    assert len(first.calls) == 2
