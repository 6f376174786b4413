"""The admin port: probes that tell the truth, metrics under their names, the configuration."""

import re

import msgspec
import pytest

from gateway_rig import Rig
from raw_client import RawClient
from responses_wire import answer_body
from running_gateway import AUTHORIZED, UPSTREAM_KEY, echo_entry, key_entry, openai_entry
from scripted_upstream import answers

GOOD = b'{"model":"gpt-test","input":"hi"}'


async def test_a_gateway_in_good_health(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    revision = gateway.source.store.current.snapshot.revision
    assert re.fullmatch(r"[0-9a-f]{12}", revision)
    for port, told in ((gateway.admin, {"source": "hand"}), (gateway.get, {})):
        live, ready = await port("/healthz"), await port("/readyz")
        assert (live.status, live.json()) == (200, {"status": "ok"})
        config = {"ok": True, "sequence": 1, "revision": revision, **told}
        assert (ready.status, ready.json()) == (200, {"status": "ok", "config": config})
    assert (await gateway.get("/v1/readyz", {})).status == 200  # probes need no key


async def test_a_failed_load_is_told_and_what_was_good_serves_on(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    gateway.source.problems = ("models.yaml:7: spec.weight: expected an integer", "keys.yaml:1: no")
    told = await gateway.admin("/readyz")
    assert told.status == 200
    assert told.json()["status"] == "degraded"
    assert told.json()["config"]["ok"] is False
    assert told.json()["config"]["problems"] == list(gateway.source.problems)
    public = await gateway.get("/readyz")  # outside, nothing of files and objects
    assert (public.status, public.json()["status"]) == (200, "degraded")
    assert b"models.yaml" not in public.body
    assert await gateway.metric("sluicegate_config_ok") == 0
    assert (await gateway.post(GOOD)).status == 200
    gateway.source.problems = ()
    assert (await gateway.admin("/readyz")).json()["status"] == "ok"
    assert await gateway.metric("sluicegate_config_ok") == 1


async def test_a_removed_deployment_is_told_of_once_more(rig: Rig) -> None:
    gateway, upstream = await rig.serving(answers(answer_body()))
    assert (await gateway.post(GOOD)).status == 200
    names = ("sluicegate_attempts_total", "sluicegate_requests_total", "sluicegate_tokens_total")

    async def told(deployment: str) -> list[bool]:
        found = [await gateway.metric(name, deployment=deployment) for name in names]
        return [each > 0 for each in found]

    assert await told("default/primary") == [True, True, True]
    gateway.publish(key_entry(), openai_entry(upstream.base_url, name="other"))
    assert (await gateway.post(GOOD)).status == 200
    assert await told("default/primary") == [True, False, False]
    assert await told("default/other") == [True, True, True]


async def test_before_the_first_load_it_is_not_ready(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    gateway.source.loaded = False
    answer = await gateway.admin("/readyz")
    assert (answer.status, answer.json()["status"]) == (503, "loading")
    assert (await gateway.admin("/healthz")).status == 200


async def test_metrics_have_the_names_that_dashboards_rely_on(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    for _ in range(3):
        assert (await gateway.post(GOOD)).status == 200
    await gateway.post(b'{"model":"nobody"}')
    counted = {"model": "gpt-test", "deployment": "default/primary", "provider": "openai"}
    assert await gateway.metric("sluicegate_requests_total", status="200", **counted) == 3
    kinds = {"input": 11, "cached_input": 3, "cache_write": 2, "output": 7, "reasoning": 5}
    for kind, tokens in kinds.items():
        total = await gateway.metric("sluicegate_tokens_total", kind=kind, **counted)
        assert total == 3 * tokens
    assert await gateway.metric("sluicegate_config_sequence") == 1
    assert await gateway.metric("sluicegate_config_info", source="hand") == 1
    assert await gateway.metric("sluicegate_config_ok") == 1
    assert await gateway.metric("sluicegate_refused_total", code="model_not_found") == 1
    answer = await gateway.admin("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    body = answer.body.decode()
    assert "process_resident_memory_bytes" in body
    assert "nobody" not in body  # a client's own word would be a label without bound


async def test_metrics_without_any_traffic(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    body = (await gateway.admin("/metrics")).body.decode()
    for name in ("sluicegate_requests", "sluicegate_tokens", "sluicegate_config_sequence"):
        assert f"# TYPE {name}" in body


async def test_the_configuration_is_shown_without_secrets(rig: Rig) -> None:
    suspended = msgspec.structs.replace(echo_entry(name="resting"), suspended=True)
    gateway = await rig.gateway(
        key_entry(), openai_entry("http://127.0.0.1:9/v1"), echo_entry(), suspended
    )
    answer = await gateway.admin("/config")
    assert answer.status == 200
    assert UPSTREAM_KEY not in answer.body.decode()
    assert AUTHORIZED["Authorization"] not in answer.body.decode()
    shown = answer.json()
    assert shown["sequence"] == 1
    assert shown["revision"] == gateway.source.store.current.snapshot.revision
    models = {one["model"]: one for one in shown["models"]}
    assert models["gpt-test"]["deployments"][0]["name"] == "default/primary"
    assert models["gpt-test"]["deployments"][0]["provider"] == "openai"
    assert models["echo"]["unavailable"] == ["default/resting is suspended"]


@pytest.mark.parametrize("path", ["/", "/v1/responses", "/v1/models", "/metrics/", "/config/x"])
async def test_other_paths_are_not_served(rig: Rig, path: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    answer = await gateway.admin(path)
    assert (answer.status, answer.error["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed_through_it(rig: Rig, method: str) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await RawClient.open(gateway.admin_port) as client:
        client.send(
            f"{method} /config HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        answer = await client.answer()
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")


async def test_head_and_broken_requests(rig: Rig) -> None:
    gateway, _ = await rig.serving(answers(answer_body()))
    async with await RawClient.open(gateway.admin_port) as client:
        client.send(
            b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\nHEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert (await client.answer(to_head=True)).status == 200
        assert (await client.answer(to_head=True)).status == 200
    async with await RawClient.open(gateway.admin_port) as client:
        client.send(b"nonsense\r\n\r\n")
        assert (await client.answer()).error["code"] == "invalid_http"
