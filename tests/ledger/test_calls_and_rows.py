"""One row for each upstream call, whatever became of it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import anthropic_wire
from eventually import eventually
from gateway_rig import Rig
from ledger_records import Row, rows_of, until_rows
from raw_client import RawClient, request
from responses_wire import answer_body, frames, numbered, prelude, response, text_events
from running_gateway import AUTHORIZED, echo_entry, key_entry, openai_entry
from scripted_upstream import Script, answers, breaks_after, hangs, streams
from sluicegate.config import AnthropicUpstream, Deployment, Pricing, Retry
from sluicegate.server.process import ServerSettings

ASKED: dict[str, Any] = {"model": "gpt-test", "input": "tell me more about it"}
DOLLAR = Pricing(input="1000000", output="1000000")  # one dollar a token: sums are counts
SAYS = numbered([*prelude(), *text_events(["four byt", "es a tok"])])
USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


def body(**more: object) -> bytes:
    return json.dumps({**ASKED, **more}).encode()


def stream(usage: dict[str, int] | None = USAGE) -> list[bytes]:
    done = {"type": "response.completed", "response": response(usage=usage)}
    return frames(numbered([*prelude(), *text_events(["four byt", "es a tok"]), done]))


def priced(base_url: str, **changes: Any) -> Deployment:  # noqa: ANN401 - any field
    return msgspec.structs.replace(openai_entry(base_url), pricing=DOLLAR, **changes)


async def ask(
    rig: Rig, settings: ServerSettings, script: Script, data: bytes, **headers: str
) -> Any:  # noqa: ANN401 - the gateway and its answer
    upstream = await rig.upstream(script)
    gateway = await rig.gateway(key_entry(), priced(upstream.base_url), settings=settings)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway, await gateway.post(data, {**AUTHORIZED, **named})


async def one_row(settings: ServerSettings) -> Row:
    assert settings.ledger is not None
    rows = await until_rows(1, settings.ledger.state_dir)
    assert len(rows) == 1
    return rows[0]


async def test_whose_it_was_and_what_it_was_for(rig: Rig, settings: ServerSettings) -> None:
    key = msgspec.structs.replace(key_entry(), tags={"team": "search", "env": "prod"})
    upstream = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(key, priced(upstream.base_url), settings=settings)
    tags = {"x-sluicegate-tags": "env=mine,feature=summary"}
    answer = await gateway.post(body(user="ann"), {**AUTHORIZED, **tags})
    row = await one_row(settings)
    assert row["request_id"] == answer.headers["x-request-id"]
    assert row["id"] == f"{row['request_id']}.1"
    assert (row["namespace"], row["key"], row["key_id"]) == ("default", "team", "teamkey1")
    assert row["end_user"] == "ann"
    assert json.loads(row["tags"]) == {"team": "search", "env": "prod", "feature": "summary"}
    assert (row["model"], row["deployment"]) == ("gpt-test", "default/primary")
    assert (row["upstream_model"], row["attempt"], row["http_status"]) == ("gpt-real", 1, 200)
    assert row["latency"] > 0
    assert row["first_event"] is None


@pytest.mark.parametrize("name", ["x-sluicegate-end-user", "x-user-email"])
async def test_the_header_comes_first_and_then_the_body(
    rig: Rig, settings: ServerSettings, name: str
) -> None:
    settings = dataclasses.replace(settings, end_user_header=name)
    upstream = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(key_entry(), priced(upstream.base_url), settings=settings)
    said = {"safety_identifier": "sid", "user": "usr", "metadata": {"user_id": "mid"}}
    other = {"x-user-id": "no", "x-sluicegate-end-user": "no", name: "hdr"}
    await gateway.post(body(**said), {**AUTHORIZED, **other})
    for field in tuple(said):
        await gateway.post(body(**said), AUTHORIZED)
        del said[field]
    await gateway.post(body(), AUTHORIZED)
    assert settings.ledger is not None
    rows = await until_rows(5, settings.ledger.state_dir)
    rows.sort(key=lambda row: row["time"])
    assert [row["end_user"] for row in rows] == ["hdr", "sid", "usr", "mid", None]
    twice = request(body(), {**AUTHORIZED, name: "ann"})
    twice = twice.replace(b"ann", b"ann\r\n%s: bob" % name.encode())
    async with await RawClient.open(gateway.port) as client:
        client.send(twice)
        answer = await client.answer()
    assert (answer.status, answer.error["code"]) == (400, "duplicate_header")


async def test_end_users_by_their_hash(rig: Rig, settings: ServerSettings) -> None:
    settings = dataclasses.replace(settings, end_user_key=b"secret of all replicas")
    await ask(rig, settings, answers(answer_body()), body(user="ann@example.com"))
    row = await one_row(settings)
    assert row["end_user"].startswith("hmac:")
    assert len(row["end_user"]) == 5 + 32
    assert "secret of all" not in repr(settings)


async def test_tags_that_can_not_be_meant(rig: Rig, settings: ServerSettings) -> None:
    gateway, answer = await ask(
        rig, settings, answers(answer_body()), body(), x_sluicegate_tags="=x"
    )
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "x-sluicegate-tags"
    assert settings.ledger is not None
    gateway.stop.ask()
    await gateway.ended
    assert rows_of(settings.ledger.state_dir) == []


async def test_each_attempt_that_reached_an_upstream_has_a_row(
    rig: Rig, settings: ServerSettings
) -> None:
    overloaded = await rig.upstream(answers(b'{"error": {"message": "no"}}', 503))
    fine = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(
        key_entry(),
        priced("http://127.0.0.1:1/v1", name="nobody", priority=0),
        priced(overloaded.base_url, name="tired", priority=1, retry=Retry(2, 0.0)),
        priced(fine.base_url, name="fine", priority=2),
        settings=settings,
    )
    answer = await gateway.post(body())
    assert answer.status == 200
    assert settings.ledger is not None
    rows = await until_rows(2, settings.ledger.state_dir)
    told = [(row["deployment"], row["attempt"], row["status"], row["http_status"]) for row in rows]
    assert told == [
        ("default/tired", 1, "server_error", 503),
        ("default/fine", 2, "completed", 200),
    ]
    assert [row["input_tokens"] for row in rows] == [0, 11]
    assert [row["estimated"] for row in rows] == [0, 0]
    assert len({row["request_id"] for row in rows}) == 1
    assert len(overloaded.calls) + len(fine.calls) == len(rows)


async def test_the_cost_is_not_told_where_nobody_asked(rig: Rig, settings: ServerSettings) -> None:
    said = stream()
    _, answer = await ask(rig, settings, streams(*said), body(stream=True))
    assert answer.body == b"".join(said) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("header", "always", "told"),
    [
        ("true", False, True),
        ("false", False, False),
        (None, True, True),
        ("false", True, False),
    ],
)
async def test_who_decides_whether_it_is_told(
    rig: Rig, settings: ServerSettings, header: str | None, *, always: bool, told: bool
) -> None:
    settings = dataclasses.replace(settings, cost_in_streams=always)
    said = stream()
    headers = {} if header is None else {"x_sluicegate_cost": header}
    _, answer = await ask(rig, settings, streams(*said), body(stream=True), **headers)
    whole = b"".join(said) + b"data: [DONE]\n\n"
    assert answer.body.replace(b',"cost":18', b"") == whole
    assert (b',"cost":18' in answer.body) is told
    assert (await one_row(settings))["first_event"] > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"model": "gpt-5"}, "0.00008375"),  # 11 at 1.25 USD a million, 7 at 10
        ({"model": "gpt-5", "service_tier": "default"}, "0.00008375"),
        ({"model": "gpt-5", "service_tier": "flex"}, "0.000041875"),
        ({"model": "gpt-5", "service_tier": "priority"}, "0.0001675"),
        ({"model": "gpt-5-mini"}, "0.00001675"),
        ({"model": "gpt-real"}, None),
    ],
)
async def test_the_price_is_of_what_the_upstream_says_it_used(
    rig: Rig,
    settings: ServerSettings,
    said: dict[str, str],
    expected: str | None,
    *,
    streamed: bool,
) -> None:
    """The deployment asks for `gpt-real`, of which nobody has a price."""
    answer = response(usage=USAGE, more=said)
    done = numbered([*prelude(), {"type": "response.completed", "response": answer}])
    script = streams(*frames(done)) if streamed else answers(json.dumps(answer).encode())
    upstream = await rig.upstream(script)
    gateway = await rig.gateway(key_entry(), openai_entry(upstream.base_url), settings=settings)
    assert (await gateway.post(body(stream=streamed))).status == 200
    cost = (await one_row(settings))["cost_usd"]
    assert (None if cost is None else Decimal(cost)) == (expected and Decimal(expected))


async def test_an_unknown_price_is_not_zero(rig: Rig, settings: ServerSettings) -> None:
    upstream = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(
        key_entry(), openai_entry(upstream.base_url, upstream_model="mine"), settings=settings
    )
    answer = await gateway.post(body())
    assert "x-sluicegate-cost-usd" not in answer.headers
    row = await one_row(settings)
    assert row["cost_usd"] is None
    assert await gateway.metric("sluicegate_unpriced_total", model="gpt-test") == 1
    assert await gateway.metric("sluicegate_spend_usd_total") == 0
    assert await gateway.metric("sluicegate_tokens_total", kind="input") == 11


async def test_an_upstream_that_does_not_count(rig: Rig, settings: ServerSettings) -> None:
    asked = body(stream=True)
    gateway, _ = await ask(rig, settings, streams(*stream(None)), asked)
    row = await one_row(settings)
    assert (row["status"], row["estimated"]) == ("completed", 1)
    assert (row["input_tokens"], row["output_tokens"]) == (-(-len(asked) // 4), 0)
    assert await gateway.metric("sluicegate_tokens_total", kind="input") == row["input_tokens"]


async def test_a_client_that_leaves_in_the_middle(rig: Rig, settings: ServerSettings) -> None:
    upstream = await rig.upstream(hangs(*frames(SAYS[:6])))
    gateway = await rig.gateway(key_entry(), priced(upstream.base_url), settings=settings)
    asked = body(stream=True)
    client = await rig.client(gateway)
    client.post(asked, AUTHORIZED)
    await client.head()
    await client.chunk()
    client.leave()
    row = await one_row(settings)
    assert (row["status"], row["estimated"], row["http_status"]) == ("cancelled", 1, 200)
    assert row["input_tokens"] == -(-len(asked) // 4)
    assert row["output_tokens"] == 4  # 16 bytes were seen
    assert Decimal(row["cost_usd"]) == row["input_tokens"] + 4


async def test_what_the_provider_had_counted_is_kept(rig: Rig, settings: ServerSettings) -> None:
    """Anthropic tells the input's tokens at once, the output's at the end."""
    said = anthropic_wire.start({"input_tokens": 20, "output_tokens": 1})
    said += anthropic_wire.text_block(0, "sixteen bytes ar", "e four tokens   ")
    upstream = await rig.upstream(hangs(said))
    deployment = priced(
        upstream.base_url,
        upstream=AnthropicUpstream("claude", f"http://127.0.0.1:{upstream.port}"),
    )
    gateway = await rig.gateway(key_entry(), deployment, settings=settings)
    client = await rig.client(gateway)
    client.post(body(stream=True), AUTHORIZED)
    await client.head()
    await client.chunk()
    client.leave()
    row = await one_row(settings)
    assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (20, 8, 1)


async def test_a_client_that_leaves_before_anything(rig: Rig, settings: ServerSettings) -> None:
    upstream = await rig.upstream(hangs())
    gateway = await rig.gateway(key_entry(), priced(upstream.base_url), settings=settings)
    client = await rig.client(gateway)
    client.post(body(), AUTHORIZED)

    async def called() -> bool:
        return bool(upstream.calls)

    await eventually(called)
    client.leave()
    row = await one_row(settings)
    assert (row["status"], row["estimated"], row["output_tokens"]) == ("cancelled", 1, 0)
    assert row["http_status"] is None


async def test_a_stream_that_breaks_off(rig: Rig, settings: ServerSettings) -> None:
    asked = body(stream=True)
    _, answer = await ask(rig, settings, breaks_after(*frames(SAYS[:6])), asked)
    assert b"response.failed" in answer.body
    row = await one_row(settings)
    assert (row["status"], row["estimated"], row["output_tokens"]) == ("broken_stream", 1, 4)


async def test_a_stream_that_its_upstream_fails(rig: Rig, settings: ServerSettings) -> None:
    failed = response(status="failed", usage=USAGE)
    said = frames(numbered([*SAYS[:6], {"type": "response.failed", "response": failed}]))
    await ask(rig, settings, streams(*said), body(stream=True))
    row = await one_row(settings)
    assert (row["status"], row["estimated"], row["output_tokens"]) == ("failed", 0, 7)


@pytest.mark.parametrize("tokens", [-5, 1 << 63, 10**30])
async def test_counts_that_can_not_be_meant(
    rig: Rig, settings: ServerSettings, tokens: int
) -> None:
    usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": 1}
    await ask(rig, settings, answers(answer_body(more={"usage": usage})), body())
    row = await one_row(settings)
    assert row["estimated"] == 1
    assert 0 < row["input_tokens"] < 100


async def test_names_of_any_kind_are_stored(rig: Rig, settings: ServerSettings) -> None:
    user = "\x00\x1b[2J" + "é" * 1000
    await ask(rig, settings, answers(answer_body()), body(user=user))
    row = await one_row(settings)
    assert row["end_user"] == ("??[2J" + "é" * 1000)[:256]


async def test_calls_of_several_clients_at_once(rig: Rig, settings: ServerSettings) -> None:
    upstream = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(key_entry(), priced(upstream.base_url), settings=settings)
    await asyncio.gather(*(gateway.post(body()) for _ in range(50)))
    gateway.stop.ask()
    await gateway.ended
    assert settings.ledger is not None
    rows = rows_of(settings.ledger.state_dir)
    assert len(rows) == len(upstream.calls) == 50
    assert sum(Decimal(row["cost_usd"]) for row in rows) == 50 * 18


async def test_an_echo_has_a_row_too(rig: Rig, settings: ServerSettings) -> None:
    gateway = await rig.gateway(key_entry(), echo_entry(), settings=settings)
    await gateway.post(json.dumps({"model": "echo", "input": "hi"}).encode())
    row = await one_row(settings)
    assert (row["provider"], row["status"], row["cost_usd"]) == ("echo", "completed", None)


async def test_a_ledger_in_trouble_is_told_and_serves(
    rig: Rig, settings: ServerSettings, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("in the way")
    gateway, answer = await ask(rig, settings, answers(answer_body()), body())
    assert answer.status == 200
    for ready in (await gateway.admin("/readyz"), await gateway.get("/readyz")):
        assert ready.status == 200
        assert (ready.json()["status"], ready.json()["degraded"]) == ("degraded", ["ledger"])
    assert await gateway.metric("sluicegate_ledger_ok") == 0


async def test_how_the_ledger_is_doing(rig: Rig, settings: ServerSettings) -> None:
    gateway, _ = await ask(rig, settings, answers(answer_body()), body())
    await one_row(settings)
    assert await gateway.metric("sluicegate_ledger_ok") == 1

    async def stored() -> bool:
        return await gateway.metric("sluicegate_ledger_rows_total", end="stored") == 1

    await eventually(stored)
    assert await gateway.metric("sluicegate_ledger_backlog_bytes") == 0
    assert (await gateway.admin("/readyz")).json()["status"] == "ok"
