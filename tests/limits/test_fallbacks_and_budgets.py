"""A fallback that a budget does not allow is passed over, like one that the key may not call."""

from __future__ import annotations

from msgspec import structs

from gateway_rig import Rig
from responses_wire import answer_body
from running_gateway import RunningGateway, key_entry, openai_entry
from scripted_upstream import ScriptedUpstream, answers
from sluicegate.config import Budget, Fallback, Pool, Pricing

GOOD = b'{"model":"first","input":"hi"}'
FAILS = answers(b'{"error":{"message":"out of order"}}', 500)
PRICES = {"first": "100", "dear": "100000", "cheap": "100"}  # USD for a million tokens


async def serving(
    rig: Rig, *fallbacks: str, members: bool = True
) -> tuple[RunningGateway, dict[str, ScriptedUpstream]]:
    """A pool that fails, and its fallbacks. The budget is for some requests at the lower price."""
    scripts = {"first": FAILS, "dear": answers(answer_body()), "cheap": answers(answer_body())}
    upstreams = {name: await rig.upstream(script) for name, script in scripts.items()}
    gateway = await rig.gateway(
        structs.replace(key_entry(), budget=Budget("1", "1d")),
        *(
            structs.replace(
                openai_entry(upstreams[name].base_url, name=name, model=name),
                pricing=Pricing(input=price, output=price),
            )
            for name, price in PRICES.items()
        ),
        Pool(
            namespace="default",
            model="first",
            members=("first",) if members else (),
            fallbacks=tuple(Fallback(name) for name in fallbacks),
        ),
        *(Pool(namespace="default", model=name, members=(name,)) for name in ("dear", "cheap")),
    )
    return gateway, upstreams


async def test_the_next_fallback_is_asked(rig: Rig) -> None:
    gateway, upstreams = await serving(rig, "dear", "cheap")
    answer = await gateway.post(GOOD)
    assert (
        answer.headers["x-sluicegate-attempts"]
        == "default/first=server_error(500);default/dear=too_dear;default/cheap=ok"
    )
    assert not upstreams["dear"].calls


async def test_without_another_the_pools_own_error_is_told(rig: Rig) -> None:
    gateway, _ = await serving(rig, "dear")
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.error["message"]) == (500, "out of order")
    told = answer.headers["x-sluicegate-attempts"]
    assert told == "default/first=server_error(500);default/dear=too_dear"


async def test_where_nobody_could_be_asked_the_budget_is_told(rig: Rig) -> None:
    gateway, _ = await serving(rig, "dear", members=False)
    answer = await gateway.post(GOOD)
    assert (answer.status, answer.error["code"]) == (429, "insufficient_quota")
