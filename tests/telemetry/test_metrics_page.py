"""What /metrics shows: everything that is documented, and nothing that clients choose."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families
from scripts.metric_list import PAGE, families, page

from gateway_rig import Rig
from responses_wire import answer_body
from running_gateway import AUTHORIZED, key_entry, openai_entry
from scripted_upstream import Call


def test_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


async def test_nothing_that_a_client_or_an_upstream_says_is_a_label(rig: Rig) -> None:
    async def answering(call: Call) -> None:
        said = json.loads(answer_body("Yes."))
        call.answer(json.dumps(said | {"status": "chosen-status", "model": "chosen-said"}).encode())

    upstream = await rig.upstream(answering)
    wildcard = openai_entry(upstream.base_url, name="any", model="any/*", upstream_model="*")
    gateway = await rig.gateway(key_entry(), wildcard)
    for number in range(3):
        asked = {
            "model": f"any/chosen-{number}",
            "input": "hi",
            "user": "chosen-user",
            "metadata": {"user_id": "chosen-other"},
        }
        headers = {**AUTHORIZED, "x-sluicegate-tags": "chosen=tag"}
        await gateway.post(json.dumps(asked).encode(), headers)
        await gateway.post(json.dumps(asked | {"model": f"chosen-{number}"}).encode(), headers)
    text = (await gateway.admin("/metrics")).body.decode()
    assert "chosen" not in text
    name = "gen_ai_client_operation_duration_seconds_count"
    assert await gateway.metric(name, gen_ai_request_model="any/*", gen_ai_response_model="") == 3
    assert await gateway.metric(name, error_type="_OTHER") == 3
    shown = {family.name for family in text_string_to_metric_families(text)}
    known = {family.name for family in families()}
    assert shown - known == set()
