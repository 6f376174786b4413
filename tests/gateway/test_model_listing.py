"""/v1/models: what the key may call, and nothing else."""

import msgspec
import pytest
from openai import AsyncOpenAI

from gateway_rig import Rig
from running_gateway import AUTHORIZED, CLIENT_KEY, echo_entry, key_entry
from sluicegate.config import Deployment, Pool, Sharing

HOSTILE = "a/b:c.d-e_f"


def deployment(model: str, *, namespace: str = "default", shared: bool = False) -> Deployment:
    return msgspec.structs.replace(
        echo_entry(name=f"d-{abs(hash(model))}", model=model),
        namespace=namespace,
        sharing=Sharing(source="All" if shared else "Same"),
    )


def shared_pool(entry: Deployment) -> Pool:
    return Pool(namespace=entry.namespace, model=entry.model, members=(entry.name,), shared=True)


@pytest.mark.parametrize("prefix", ["/v1", ""])
async def test_only_what_the_key_may_call_is_listed(rig: Rig, prefix: str) -> None:
    foreign = deployment("gpt-shared", namespace="platform", shared=True)
    gateway = await rig.gateway(
        msgspec.structs.replace(key_entry(), models=("gpt-*", "openai/*")),
        deployment("gpt-own"),
        deployment("openai/o1-pro"),
        deployment("claude"),
        deployment("gpt-private", namespace="platform"),
        foreign,
        shared_pool(foreign),
    )
    listed = await gateway.get(f"{prefix}/models")
    assert listed.status == 200
    found = listed.json()
    assert found["object"] == "list"
    assert [one["id"] for one in found["data"]] == ["gpt-own", "gpt-shared", "openai/o1-pro"]
    for one in found["data"]:
        assert set(one) == {"id", "object", "created", "owned_by"}
        assert one["object"] == "model"
        assert isinstance(one["created"], int)
        answer = await gateway.get(f"{prefix}/models/{one['id']}")
        assert (answer.status, answer.json()) == (200, one)
    for hidden in ("claude", "gpt-private", "gpt-nobody", "", "gpt-own/"):
        answer = await gateway.get(f"{prefix}/models/{hidden}")
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert answer.error["param"] == "model"


async def test_a_listed_model_can_be_called_and_a_hidden_one_not(rig: Rig) -> None:
    gateway = await rig.gateway(
        msgspec.structs.replace(key_entry(), models=("gpt-*",)),
        deployment("gpt-own"),
        deployment("claude"),
    )
    assert (await gateway.post(b'{"model":"gpt-own","input":"x"}')).status == 200
    assert (await gateway.post(b'{"model":"claude","input":"x"}')).status == 403


@pytest.mark.parametrize("spelling", [HOSTILE, "a%2Fb%3Ac.d-e_f", "a/b%3ac.d-e_f"])
async def test_ids_with_slashes_in_any_spelling(rig: Rig, spelling: str) -> None:
    gateway = await rig.gateway(key_entry(), deployment(HOSTILE))
    answer = await gateway.get(f"/v1/models/{spelling}?x=1")
    assert (answer.status, answer.json()["id"]) == (200, HOSTILE)


async def test_a_name_below_a_prefix_is_a_model_too(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), deployment("openai/*"))
    assert [one["id"] for one in (await gateway.get("/v1/models")).json()["data"]] == ["openai/*"]
    answer = await gateway.get("/v1/models/openai/gpt-5")
    assert (answer.status, answer.json()["id"]) == (200, "openai/gpt-5")
    assert (await gateway.get("/v1/models/anthropic/claude")).status == 404


async def test_head_says_how_much_get_would(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), deployment("gpt-own"))
    for path in ("/v1/models", "/v1/models/gpt-own", "/v1/models/none"):
        got = await gateway.get(path)
        head = await gateway.get(path, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert head.headers["content-length"] == str(len(got.body))


async def test_callers_without_a_key_are_refused(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), deployment("gpt-own"))
    for path in ("/v1/models", "/v1/models/gpt-own", "/v1/models/none"):
        answer = await gateway.get(path, {})
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


async def test_the_sdk_lists_and_finds_models(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), deployment("gpt-own"), deployment("openai/o1-pro"))
    async with AsyncOpenAI(
        base_url=gateway.base_url,
        api_key=CLIENT_KEY,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        assert [model.id async for model in client.models.list()] == ["gpt-own", "openai/o1-pro"]
        assert (await client.models.retrieve("openai/o1-pro")).id == "openai/o1-pro"


async def test_the_list_follows_the_configuration(rig: Rig) -> None:
    gateway = await rig.gateway(key_entry(), deployment("gpt-old"))
    async with await gateway.connect() as client:
        for model in ("gpt-old", "gpt-new"):
            client.send(b"GET /models HTTP/1.1\r\nHost: x\r\n")
            client.send(f"Authorization: {AUTHORIZED['Authorization']}\r\n\r\n".encode())
            assert [one["id"] for one in (await client.answer()).json()["data"]] == [model]
            gateway.publish(key_entry(), deployment("gpt-new"))
