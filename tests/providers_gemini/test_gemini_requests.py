"""What a Responses request becomes for `generateContent`: address, parameters, their limits."""

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from event_grammar import JsonObject
from gemini_wire import (
    FLASH_2,
    FLASH_3,
    GEMINI,
    NEWEST,
    OLD,
    RECORDINGS,
    SECRET,
    VERTEX,
    deployment,
    dropping,
    sent,
    translator,
)
from google_definitions import INSTALLED, check_body
from sluicegate.api.support import FEATURES, Support
from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    Credential,
    Deployment,
    GeminiUpstream,
    ModelInfo,
    Parameters,
    SecretCredential,
)
from sluicegate.model import ApiError
from sluicegate.providers.gemini import PROVIDER, SUPPORT
from sluicegate.routing.snapshot import Unavailable

PLAIN = {"role": "user", "parts": [{"text": "hi"}]}
PRO_2 = "gemini-2.5-pro"
Reasoning: TypeAlias = Literal["None", "Budget", "Effort"]


def refused(body: dict[str, Any], model: str = FLASH_3) -> tuple[str | None, str | None]:
    with pytest.raises(ApiError) as caught:
        translator({"input": "hi", **body}, model).request()
    assert caught.value.status == 400
    return caught.value.error.code, caught.value.error.param


def config_of(
    body: dict[str, Any], model: str = FLASH_3, of: Deployment | None = None
) -> JsonObject | None:
    made = sent({"input": "hi", **body}, model, of)
    check_body(made)
    return made.get("generationConfig")


@pytest.mark.skipif(not INSTALLED, reason="google-genai is not installed: bodies are judged less")
def test_the_judge_of_bodies_is_googles_own() -> None:
    with pytest.raises(ValidationError):
        check_body({"contents": [{"role": "user", "parts": [{"words": "hi"}]}]})


# ---------------------------------------------------------------------------------------- address


@pytest.mark.parametrize(
    ("base_url", "stream", "target"),
    [
        (
            GEMINI.base_url,
            False,
            "/v1beta/models/gemini-3-flash-preview:generateContent",
        ),
        (
            "http://127.0.0.1:9/proxy/",
            True,
            "/proxy/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse",
        ),
    ],
)
def test_where_a_request_goes(base_url: str, stream: bool, target: str) -> None:
    of = deployment(GeminiUpstream(model=FLASH_3, base_url=base_url))
    call = translator({"input": "hi", "stream": stream}, of=of).request()
    assert (call.base_url, call.method, call.target) == (base_url, "POST", target)
    assert call.headers == (
        (b"content-type", b"application/json"),
        (b"x-goog-api-key", SECRET.encode()),
    )
    assert call.authorization is None


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("../../v1/files", "models/..%2F..%2Fv1%2Ffiles"),
        ("..", "models/.."),
        ("a?b#c%2e:d e", "models/a%3Fb%23c%252e%3Ad%20e"),
    ],
)
def test_a_models_name_is_one_segment(model: str, path: str) -> None:
    """With a model of `*` it is the client who names it."""
    target = translator({"input": "hi"}, model).request().target
    assert target == f"/v1beta/{path}:generateContent"


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"GEMINI_API_KEY": "one", "GOOGLE_API_KEY": "two"}, b"one"),
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "two"}, b"two"),
    ],
)
def test_a_key_of_the_environment(environ: dict[str, str], key: bytes) -> None:
    connector = PROVIDER.connector(deployment(), AmbientCredential(), environ)
    assert dict(connector.headers)[b"x-goog-api-key"] == key


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (AmbientCredential(), "GEMINI_API_KEY"),
        (AwsCredential(role_arn="arn:aws:iam::1:role/r"), "single key"),
        (SecretCredential("clé"), "characters"),
        (SecretCredential("a\nb"), "characters"),
    ],
)
def test_a_credential_that_does_not_fit(credential: Credential, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        PROVIDER.connector(deployment(), credential, {})


def test_headers_of_the_deployment_come_below_the_credential() -> None:
    of = msgspec.structs.replace(
        deployment(), headers=(("X-Team", "a"), ("X-Goog-Api-Key", "other"))
    )
    headers = dict(translator({"input": "hi"}, of=of).request().headers)
    assert headers[b"x-team"] == b"a"
    assert headers[b"x-goog-api-key"] == SECRET.encode()


def test_nothing_shows_the_key() -> None:
    made = translator({"input": "hi"})
    assert SECRET not in repr(
        (made, made.request(), PROVIDER.connector(deployment(), deployment().credential, {}))
    )


# ------------------------------------------------------------------------------------- parameters


def test_the_least_that_is_sent() -> None:
    assert sent({"input": "hi"}) == {"contents": [PLAIN]}


def test_instructions_and_settings() -> None:
    body = sent(
        {
            "input": "hi",
            "instructions": "Be kind.",
            "max_output_tokens": 100,
            "temperature": 0,
            "top_p": 0.5,
            "presence_penalty": 0.5,
            "frequency_penalty": -1,
            "top_logprobs": 3,
            "service_tier": "flex",
        }
    )
    check_body(body)
    assert body == {
        "contents": [PLAIN],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "generationConfig": {
            "maxOutputTokens": 100,
            "temperature": 0.0,
            "topP": 0.5,
            "presencePenalty": 0.5,
            "frequencyPenalty": -1.0,
            "responseLogprobs": True,
            "logprobs": 3,
        },
        "serviceTier": "flex",
    }


def test_logprobs_may_be_asked_for_by_include() -> None:
    made = config_of({"include": ["message.output_text.logprobs"]})
    assert made == {"responseLogprobs": True}


@pytest.mark.parametrize("name", ["temperature", "top_p", "presence_penalty", "frequency_penalty"])
def test_settings_that_the_newest_models_take_no_more(name: str) -> None:
    assert refused({name: 0.5}, NEWEST) == ("unsupported_parameter", name)
    made = translator({"input": "hi", name: 0.5}, NEWEST, dropping())
    assert "generationConfig" not in json.loads(made.request().body)
    assert made.dropped == (name,)
    default = 0 if "penalty" in name else 1
    assert config_of({name: default}, NEWEST) is None


@pytest.mark.parametrize(
    ("tier", "wire"),
    [("auto", None), ("default", "standard"), ("flex", "flex"), ("priority", "priority")],
)
def test_service_tiers(tier: str, wire: str | None) -> None:
    assert sent({"input": "hi", "service_tier": tier}).get("serviceTier") == wire
    of = deployment(VERTEX)
    made = translator({"input": "hi", "service_tier": tier}, of=of).request()
    assert "serviceTier" not in json.loads(made.body)
    header = dict(made.headers).get(b"x-vertex-ai-llm-shared-request-type")
    assert header == (wire.encode() if wire in {"flex", "priority"} else None)


@pytest.mark.parametrize("tier", ["scale", "fast", "ultrafast"])
def test_tiers_that_are_not_there(tier: str) -> None:
    assert refused({"service_tier": tier}) == ("unsupported_parameter", "service_tier")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ],
)
def test_what_is_not_there_is_refused(body: dict[str, Any], param: str) -> None:
    assert refused(body) == ("unsupported_parameter", param)


def test_hints_are_taken_and_go_nowhere() -> None:
    hints = {
        "user": "u",
        "safety_identifier": "s",
        "metadata": {"k": "v"},
        "prompt_cache_key": "k",
        "truncation": "auto",
        "text": {"verbosity": "low"},
        "store": True,
        "client_metadata": {"a": "b"},
    }
    made = translator({"input": "hi", **hints})
    assert json.loads(made.request().body) == {"contents": [PLAIN]}
    assert made.dropped == ()


def test_defaults_and_overrides_of_the_deployment() -> None:
    raw = {
        name: msgspec.Raw(value) for name, value in {"temperature": b"0.2", "top_p": b"1"}.items()
    }
    of = msgspec.structs.replace(
        deployment(),
        parameters=Parameters(defaults=raw, overrides={"max_output_tokens": msgspec.Raw(b"50")}),
    )
    made = config_of({"temperature": 0.7, "max_output_tokens": 90}, of=of)
    assert made == {"temperature": 0.7, "topP": 1.0, "maxOutputTokens": 50}


def test_the_table_speaks_of_features_that_there_are() -> None:
    assert SUPPORT.keys() <= set(FEATURES)


@pytest.mark.parametrize(
    "name", [n for n, r in SUPPORT.items() if r.support is Support.UNSUPPORTED]
)
def test_what_the_table_calls_unsupported_is_refused(name: str) -> None:
    values: dict[str, Any] = {
        "max_tool_calls": 1,
        "context_management": [{"type": "compaction"}],
        "moderation": {"model": "m"},
        "access_programs": {"a": 1},
        "image": {"a": 1},
        "reasoning": {"mode": "pro"},
    }
    member = name.partition(".")[0]
    assert refused({member: values[member]}) == ("unsupported_parameter", name)


# --------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        (FLASH_3, "none", {"thinkingLevel": "MINIMAL"}),
        (FLASH_3, "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        (FLASH_3, "max", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-pro-preview", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (NEWEST, "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-4-hydrogen", "xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("gemini-9-of-tomorrow", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (FLASH_2, "none", {"thinkingBudget": 0}),
        (FLASH_2, "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        (FLASH_2, "high", {"thinkingBudget": 24_576, "includeThoughts": True}),
        (FLASH_2, "xhigh", {"thinkingBudget": 24_576, "includeThoughts": True}),
        (PRO_2, "xhigh", {"thinkingBudget": 32_768, "includeThoughts": True}),
        (OLD, "none", None),
    ],
)
def test_efforts(model: str, effort: str, config: JsonObject | None) -> None:
    made = config_of({"reasoning": {"effort": effort}}, model)
    assert made == (None if config is None else {"thinkingConfig": config})


def test_a_summary_alone_shows_the_thoughts() -> None:
    made = config_of({"reasoning": {"summary": "auto"}})
    assert made == {"thinkingConfig": {"includeThoughts": True}}
    assert config_of({"reasoning": {"summary": "auto"}}, OLD) is None


@pytest.mark.parametrize("model", [PRO_2, "gemini-3-pro-preview", NEWEST])
def test_models_that_always_reason(model: str) -> None:
    body = {"reasoning": {"effort": "none"}}
    assert refused(body, model) == ("unsupported_parameter", "reasoning.effort")
    least = config_of(body, model, dropping())
    assert least is not None
    assert least["thinkingConfig"] in ({"thinkingBudget": 128}, {"thinkingLevel": "LOW"})


def test_a_model_that_does_not_reason() -> None:
    assert refused({"reasoning": {"effort": "low"}}, OLD) == (
        "unsupported_parameter",
        "reasoning.effort",
    )


@pytest.mark.parametrize(
    ("model", "least"),
    [(FLASH_2, {"thinkingBudget": 0}), (FLASH_3, {"thinkingLevel": "MINIMAL"})],
)
def test_no_thoughts_where_there_is_no_room(model: str, least: dict[str, Any]) -> None:
    body = {"input": "hi", "reasoning": {"effort": "high"}, "max_output_tokens": 500}
    made = translator(body, model)
    assert json.loads(made.request().body)["generationConfig"]["thinkingConfig"] == least
    assert made.dropped == ("reasoning.effort",)


def test_a_budget_leaves_room_for_the_answer() -> None:
    made = config_of({"reasoning": {"effort": "high"}, "max_output_tokens": 5000}, FLASH_2)
    assert made is not None
    assert made["thinkingConfig"]["thinkingBudget"] == 4000


@pytest.mark.parametrize(
    ("kind", "key"),
    [("None", None), ("Budget", "thinkingBudget"), ("Effort", "thinkingLevel")],
)
def test_the_deployment_knows_its_model(kind: Reasoning, key: str | None) -> None:
    of = msgspec.structs.replace(dropping(), model_info=ModelInfo(reasoning=kind))
    made = config_of({"reasoning": {"effort": "high"}}, "gemini-mine", of)
    assert (None if made is None else {*made["thinkingConfig"]}) == (
        None if key is None else {key, "includeThoughts"}
    )


# -------------------------------------------------------------------------------- others' requests


@pytest.mark.parametrize("model", [FLASH_3, FLASH_2, NEWEST])
def test_requests_of_others_are_taken(model: str) -> None:
    paths = sorted((RECORDINGS / "requests").glob("*.json"))
    if not paths:
        pytest.skip("recordings are absent (../shared/reference/recordings)")
    for path in paths:
        check_body(sent(request_of(path), model))


def request_of(path: Path) -> dict[str, Any]:
    # One file's base64 ends in bits that the strictest decoders refuse.
    body = json.loads(path.read_bytes().replace(b"JVBERi1=", b"JVBERi0="))
    for item in body["input"] if isinstance(body["input"], list) else ():
        for part in item["content"] if isinstance(item.get("content"), list) else ():
            if part.get("type") == "refusal":  # written otherwise than the API has it
                part["refusal"] = part.pop("text", part.get("refusal"))
    return body


def message(role: str, content: object) -> list[JsonObject]:
    return [{"role": role, "content": content}]


def calls_answered(count: int, output: object) -> list[JsonObject]:
    calls: list[JsonObject] = [
        {"type": "function_call", "call_id": f"C{n}", "name": "f", "arguments": "{}"}
        for n in range(count)
    ]
    answers: list[JsonObject] = [
        {"type": "function_call_output", "call_id": f"C{n}", "output": output}
        for n in reversed(range(count))
    ]
    return calls + answers


TEXTS = st.text(max_size=20)
PARTS: st.SearchStrategy[JsonObject] = st.one_of(
    st.builds(dict[str, Any], type=st.just("input_text"), text=TEXTS),
    st.just({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
    st.just({"type": "input_file", "file_data": "data:application/pdf;base64,AAAA"}),
)
GROUPS = st.one_of(
    st.builds(message, st.just("user"), st.lists(PARTS, max_size=3)),
    st.builds(message, st.sampled_from(["assistant", "developer"]), TEXTS),
    st.builds(calls_answered, st.integers(1, 3), st.one_of(TEXTS, st.lists(PARTS, max_size=2))),
)


@settings(max_examples=60)
@given(groups=st.lists(GROUPS, max_size=6), model=st.sampled_from([OLD, FLASH_2, FLASH_3, NEWEST]))
def test_any_conversation_is_one_that_the_vendor_takes(
    groups: list[list[JsonObject]], model: str
) -> None:
    items = [
        {**item, "call_id": f"{item['call_id']}-{number}"} if "call_id" in item else item
        for number, group in enumerate(groups)
        for item in group
    ]
    for upstream in (GEMINI, VERTEX):
        check_body(sent({"input": items}, model, dropping(upstream)))
