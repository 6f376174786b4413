"""A deployment whose model, account or address is not there is passed over, whatever its API."""

import json
from typing import Literal

import pytest

from gateway_rig import Rig
from responses_wire import answer_body
from running_gateway import key_entry, openai_entry
from scripted_upstream import answers
from sluicegate.config import OpenAIUpstream

GOOD = b'{"model":"gpt-test","input":"hi"}'
REFUSALS = {
    "vLLM": (
        404,
        {"error": {"message": "The model `m` does not exist.", "param": "model", "code": 404}},
        ("not_found", 404, "model_not_found"),
    ),
    "Ollama": (
        404,
        {"error": {"message": 'model "m" not found, try pulling it first', "code": None}},
        ("not_found", 404, "model_not_found"),
    ),
    "empty account": (
        402,
        {"error": {"message": "Payment required"}},
        ("quota", 429, "insufficient_quota"),
    ),
}


NOWHERE = {
    "ingress": (404, b"<html>404</html>"),
    "wrong method": (405, b"<html>405 Not Allowed</html>"),
    "other service": (404, b'{"detail":"Not Found"}'),
    "Azure": (404, b'{"error":{"code":"404","message":"Resource not found"}}'),
    "OpenAI": (404, b'{"error":{"message":"Invalid URL (POST /v2/responses)","type":"t"}}'),
    "Kong": (404, b'{"message":"no Route matched with those values"}'),
}


@pytest.mark.parametrize(("status", "body"), NOWHERE.values(), ids=NOWHERE.keys())
@pytest.mark.parametrize("model", ["m", "*"])
async def test_an_address_that_does_not_know_the_api(
    rig: Rig, status: int, body: bytes, model: str
) -> None:
    upstream = await rig.upstream(answers(body, status))
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(upstream.base_url, name="first", upstream_model=model),
        openai_entry(upstream.base_url, name="second", upstream_model=model, priority=1),
    )
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == (
        f"default/first=not_found({status});default/second=not_found({status})"
    )
    assert (answer.status, answer.error["code"]) == (502, "upstream_not_found")
    assert "default/first" in answer.error["message"] or "default/second" in answer.error["message"]


@pytest.mark.parametrize("api", ["Responses", "ChatCompletions"])
@pytest.mark.parametrize(("status", "said", "told"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_model_or_an_account_that_is_not_there(
    rig: Rig,
    status: int,
    said: object,
    told: tuple[str, int, str],
    api: Literal["Responses", "ChatCompletions"],
) -> None:
    outcome, client_status, code = told
    upstream = await rig.upstream(answers(json.dumps(said).encode(), status))
    gateway = await rig.gateway(
        key_entry(),
        *(
            openai_entry(
                "",
                name=name,
                priority=priority,
                upstream=OpenAIUpstream("m", base_url=upstream.base_url, api=api),
            )
            for priority, name in enumerate(("first", "second"))
        ),
    )
    answer = await gateway.post(GOOD)
    assert answer.headers["x-sluicegate-attempts"] == (
        f"default/first={outcome}({status});default/second={outcome}({status})"
    )
    assert (answer.status, answer.error["code"]) == (client_status, code)


async def test_no_upstream_is_asked_for_a_model_without_a_name(rig: Rig) -> None:
    upstream = await rig.upstream(answers(answer_body()))
    gateway = await rig.gateway(
        key_entry(),
        openai_entry(upstream.base_url, name="all", model="pre/*", upstream_model="*"),
        openai_entry(upstream.base_url, name="one", model="own/*", upstream_model="fixed"),
    )
    for name in ("pre/", "pre/*"):
        answer = await gateway.post(json.dumps({"model": name, "input": "hi"}).encode())
        assert (answer.status, answer.error["code"]) == (400, "model_not_found")
    assert not upstream.calls
    for name in ("pre/m", "own/"):
        answer = await gateway.post(json.dumps({"model": name, "input": "hi"}).encode())
        assert answer.status == 200
