"""Pools that a request goes on to: by cause, with the caller's own rights, never in a circle."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from gateway_rig import Rig
from raw_client import Answer
from responses_wire import answer_body, frames, numbered, prelude, response, text_stream
from running_gateway import AUTHORIZED, ONCE, RunningGateway, key_entry
from scripted_upstream import Call, Script, ScriptedUpstream, answers, hangs, streams
from sluicegate.config import (
    ClientKey,
    Deployment,
    Entry,
    Fallback,
    OpenAIUpstream,
    Pool,
    Retry,
    SecretCredential,
    Sharing,
    Timeouts,
)

GOOD = b'{"model":"first","input":"hi"}'
STREAM = b'{"model":"first","input":"hi","stream":true}'
WHOLE = b"".join(frames(text_stream())) + b"data: [DONE]\n\n"
ALL = Sharing(source="All")


def envelope(message: str, code: str | None = None) -> bytes:
    error = {"message": message, "type": "t", "param": None, "code": code}
    return msgspec.json.encode({"error": error})


async def sound(call: Call) -> None:
    if call.streamed:
        await streams(*frames(text_stream()))(call)
    else:
        call.answer(answer_body("sound"))


def member(
    upstream: ScriptedUpstream,
    model: str,
    *,
    namespace: str = "default",
    sharing: Sharing | None = None,
    timeouts: Timeouts | None = None,
    retry: Retry = ONCE,
) -> Deployment:
    return Deployment(
        namespace=namespace,
        name=model,
        model=model,
        upstream=OpenAIUpstream(model=f"real-{model}", base_url=upstream.base_url),
        credential=SecretCredential("sk-upstream-key-of-the-pool"),
        retry=retry,
        timeouts=timeouts or Timeouts(),
        sharing=sharing or Sharing(),
    )


def pool(
    model: str, *fallbacks: Fallback, namespace: str = "default", shared: bool = False
) -> Pool:
    return Pool(
        namespace=namespace, model=model, members=(model,), fallbacks=fallbacks, shared=shared
    )


async def two(
    rig: Rig, trouble: Script, fallback: Fallback, other: Script = sound
) -> tuple[RunningGateway, ScriptedUpstream]:
    """A pool whose upstream has a trouble, and the pool that it falls back on."""
    first, second = await rig.upstream(trouble), await rig.upstream(other)
    gateway = await rig.gateway(
        key_entry(),
        member(first, "first", timeouts=Timeouts(first_byte=0.3)),
        member(second, "second"),
        pool("first", fallback),
        pool("second"),
    )
    return gateway, second


def attempts(answer: Answer) -> list[str]:
    return answer.headers["x-sluicegate-attempts"].split(";")


FLAGGED = {"code": "invalid_prompt", "message": "Flagged."}
CAUSES: dict[str, tuple[Script, str]] = {
    "500": (answers(envelope("no"), 500), "Error"),
    "401": (answers(envelope("no"), 401), "Error"),
    "unknown model": (answers(envelope("no", "model_not_found"), 404), "Error"),
    "429": (answers(envelope("no"), 429), "RateLimited"),
    "quota": (answers(envelope("no", "insufficient_quota"), 429), "RateLimited"),
    "hung": (hangs(), "Timeout"),
    "too long": (answers(envelope("long", "context_length_exceeded"), 400), "ContextWindow"),
    "filtered": (answers(envelope("bad", "content_filter"), 400), "ContentPolicy"),
    "flagged in the stream": (
        streams(
            *frames(
                numbered(
                    [
                        *prelude(),
                        {
                            "type": "response.failed",
                            "response": response(status="failed", more={"error": FLAGGED}),
                        },
                    ]
                )
            )
        ),
        "ContentPolicy",
    ),
}


@pytest.mark.parametrize(("trouble", "cause"), CAUSES.values(), ids=CAUSES.keys())
async def test_a_fallback_is_for_its_causes_only(
    rig: Rig,
    trouble: Script,
    cause: Literal["Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy"],
) -> None:
    gateway, second = await two(rig, trouble, Fallback("second", (cause,)))
    answer = await gateway.post(STREAM)
    assert (answer.status, answer.body) == (200, WHOLE)
    assert answer.headers["x-sluicegate-deployment"] == "default/second"
    assert attempts(answer)[-1] == "default/second=ok"
    assert second.last.json()["model"] == "real-second"
    everything = {"Error", "RateLimited", "Timeout", "ContextWindow", "ContentPolicy"}
    others = tuple(everything - {cause})
    gateway, second = await two(rig, trouble, Fallback("second", others))  # pyright: ignore[reportArgumentType] -- a set of literals
    assert (await gateway.post(STREAM)).status >= 400
    assert not second.calls


BLOCKED = {"incomplete_details": {"reason": "content_filter"}}


async def _blocked(call: Call) -> None:
    """As Gemini and Bedrock say that the prompt is blocked."""
    said = response(status="incomplete", more=BLOCKED)
    if call.streamed:
        event = {"type": "response.incomplete", "response": said}
        await streams(*frames(numbered([*prelude(), event])))(call)
    else:
        call.answer(msgspec.json.encode(said))


@pytest.mark.parametrize("body", [GOOD, STREAM], ids=["whole", "stream"])
async def test_an_answer_that_was_filtered_to_nothing_is_a_refusal(rig: Rig, body: bytes) -> None:
    gateway, _ = await two(rig, _blocked, Fallback("second", ("ContentPolicy",)))
    answer = await gateway.post(body)
    assert attempts(answer) == ["default/first=content_policy(200)", "default/second=ok"]
    gateway, second = await two(rig, _blocked, Fallback("second", ("Error",)))
    answer = await gateway.post(body)
    assert (answer.status, attempts(answer)) == (200, ["default/first=ok"])
    assert b"content_filter" in answer.body
    assert not second.calls


async def test_the_clients_own_mistake_goes_nowhere(rig: Rig) -> None:
    gateway, second = await two(rig, answers(envelope("bad"), 400), Fallback("second"))
    assert (await gateway.post(GOOD)).status == 400
    assert not second.calls


async def test_a_pool_without_a_deployment_that_can_be_called_falls_back_too(rig: Rig) -> None:
    upstream = await rig.upstream(sound)
    gateway = await rig.gateway(
        key_entry(),
        msgspec.structs.replace(member(upstream, "first"), suspended=True),
        member(upstream, "second"),
        pool("first", Fallback("second")),
        pool("second"),
    )
    answer = await gateway.post(GOOD)
    assert (answer.status, attempts(answer)) == (200, ["default/second=ok"])


async def test_an_ejected_pool_falls_back_at_once_and_is_the_last_resort(rig: Rig) -> None:
    gateway, second = await two(rig, answers(envelope("no"), 401), Fallback("second"))
    await gateway.post(GOOD)
    answer = await gateway.post(GOOD)
    assert attempts(answer) == ["default/first=cooldown", "default/second=ok"]
    second.script = answers(envelope("busy"), 429)
    answer = await gateway.post(GOOD)
    assert attempts(answer) == [
        "default/first=cooldown",
        "default/second=rate_limited(429)",
        "default/first=credential(401)",
    ]
    assert answer.headers["x-sluicegate-deployment"] == "default/first"


async def test_the_error_told_is_that_of_the_model_asked_for(rig: Rig) -> None:
    busy = answers(envelope("busy"), 429, [("Retry-After", "50")])
    unfit = answers(envelope("Unsupported parameter: 'x'."), 400)
    gateway, _ = await two(rig, busy, Fallback("second"), unfit)
    answer = await gateway.post(GOOD)
    assert attempts(answer) == [
        "default/first=rate_limited(429)",
        "default/second=client_error(400)",
    ]
    assert (answer.status, answer.headers["retry-after"]) == (429, "50")
    assert answer.headers["x-sluicegate-deployment"] == "default/first"
    counted = {"model": "first", "deployment": "default/first", "status": "429"}
    assert await gateway.metric("sluicegate_requests_total", **counted) == 1


async def test_fallbacks_are_tried_in_order_and_theirs_after_them(rig: Rig) -> None:
    no = await rig.upstream(answers(envelope("no"), 503))
    yes = await rig.upstream(sound)
    gateway = await rig.gateway(
        key_entry(),
        *(member(no, name) for name in ("first", "second", "third")),
        member(yes, "fourth"),
        pool("first", Fallback("second"), Fallback("third")),
        pool("second", Fallback("fourth"), Fallback("first")),
        pool("third"),
        pool("fourth"),
    )
    answer = await gateway.post(GOOD)
    assert [each.partition("=")[0] for each in attempts(answer)] == [
        "default/first",
        "default/second",
        "default/third",
        "default/fourth",
    ]


async def test_a_circle_that_got_by_the_compiler_ends(rig: Rig) -> None:
    no = await rig.upstream(answers(envelope("no"), 503))
    gateway = await rig.gateway(
        key_entry(),
        member(no, "first"),
        member(no, "second"),
        pool("first", Fallback("second")),
        pool("second", Fallback("first")),
    )
    assert (await gateway.post(GOOD)).status == 503
    assert len(no.calls) == 2


async def test_a_short_wait_comes_before_another_model(rig: Rig) -> None:
    async def script(call: Call) -> None:
        if len(first.calls) == 1:
            call.answer(envelope("no"), 503)
        else:
            await sound(call)

    first, second = await rig.upstream(script), await rig.upstream(sound)
    gateway = await rig.gateway(
        key_entry(),
        member(first, "first", retry=Retry(attempts=2, backoff=0.01)),
        member(second, "second"),
        pool("first", Fallback("second")),
        pool("second"),
    )
    answer = await gateway.post(GOOD)
    assert attempts(answer) == ["default/first=server_error(503)", "default/first=ok"]


# Whose names they are, and who may call them.


def caller(*models: str) -> ClientKey:
    return msgspec.structs.replace(key_entry(), models=models)


async def shared(rig: Rig, *more: Entry, key: ClientKey, fallback: str = "spare") -> Answer:
    """A request from `default` to a pool of `models`, which is down and falls back."""
    down = await rig.upstream(answers(envelope("down"), 503))
    gateway = await rig.gateway(
        key,
        member(down, "first", namespace="models", sharing=ALL),
        pool("first", Fallback(fallback), namespace="models", shared=True),
        *more,
    )
    return await gateway.post(GOOD, AUTHORIZED)


async def test_a_name_means_what_it_means_to_the_pool(rig: Rig) -> None:
    right, wrong = await rig.upstream(sound), await rig.upstream(sound)
    answer = await shared(
        rig,
        member(right, "spare", namespace="models", sharing=ALL),
        pool("spare", namespace="models", shared=True),
        member(wrong, "spare"),
        pool("spare"),
        key=key_entry(),
    )
    assert answer.headers["x-sluicegate-deployment"] == "models/spare"
    assert not wrong.calls


async def test_what_is_not_for_the_caller_is_not_tried(rig: Rig) -> None:
    spare = await rig.upstream(sound)
    private = (member(spare, "spare", namespace="models"), pool("spare", namespace="models"))
    assert (await shared(rig, *private, key=key_entry())).status == 503
    open_to_all = (
        member(spare, "spare", namespace="models", sharing=ALL),
        pool("spare", namespace="models", shared=True),
    )
    assert (await shared(rig, *open_to_all, key=caller("first"))).status == 503
    assert not spare.calls
    assert (await shared(rig, *open_to_all, key=caller("first", "sp*"))).status == 200


async def test_a_fallback_that_leads_nowhere_is_passed_over(rig: Rig) -> None:
    answer = await shared(rig, key=key_entry(), fallback="nobody")
    assert (answer.status, answer.error["message"]) == (503, "down")


async def test_a_prefix_takes_the_name_of_the_fallback(rig: Rig) -> None:
    spare = await rig.upstream(sound)
    wild = msgspec.structs.replace(
        member(spare, "wild"),
        model="openai/*",
        upstream=OpenAIUpstream(model="*", base_url=spare.base_url),
    )
    down = await rig.upstream(answers(envelope("down"), 503))
    gateway = await rig.gateway(
        key_entry(),
        member(down, "first"),
        pool("first", Fallback("openai/gpt-x")),
        wild,
        Pool(namespace="default", model="openai/*", members=("wild",)),
    )
    assert (await gateway.post(GOOD)).status == 200
    assert spare.last.json()["model"] == "gpt-x"
