"""Whatever a configuration holds: manifests that lint, or findings, never an exception."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluicegate.cli.lint import judge
from sluicegate.litellm_config import Translation, Unreadable, advice, translate, written
from sluicegate.litellm_config.deployment import per_million
from sluicegate.litellm_config.naming import allocate
from sluicegate.litellm_config.readers import READERS
from sluicegate.litellm_config.routing import weights
from sluicegate.resources import load_text
from sluicegate.resources.yaml_documents import parse_document, split_documents

Json = dict[str, Any]
ENVIRON = {"SET": "value-of-16-characters", "NUMBER": "12", "EMPTY": "", "URL": "http://host/v1"}


def translated(text: str, others: dict[str, str] | None = None) -> Translation:
    def read(path: str) -> str:
        if path not in (others or {}):
            raise Unreadable("there is no such file")
        return (others or {})[path]

    return translate("config.yaml", text, read=read, environ=ENVIRON)


def check(text: str) -> Translation:
    found = translated(text)
    output = written(manifest.value for manifest in found.manifests)
    # What is written is read as what was meant, whatever words and characters are in it.
    documents = [parse_document(piece.text) for piece in split_documents(output)]
    assert documents == [manifest.value for manifest in found.manifests]
    report = judge({"out.yaml": load_text("out.yaml", output, environ=ENVIRON)}, 1_800_000_000.0)
    assert [each for each in report.diagnostics if each.severity == "error"] == []
    assert report.objects == len(found.manifests)
    errors = [each for each in found.findings if each.severity == "error"]
    assert found.readable or errors
    lines = text.count("\n") + 1
    assert all(1 <= each.line <= lines for each in found.findings if each.file == "config.yaml")
    again = translated(text)
    assert (again.manifests, again.findings) == (found.manifests, found.findings)
    return found


WORDS = st.sampled_from(
    [
        "",
        "*",
        "a",
        "gpt-4o",
        "GPT-4o",
        "gpt-4o-2",
        "openai/*",
        "openai/gpt-4o",
        "azure/eu",
        "bedrock/us-east-1/anthropic.claude-v2",
        "vertex_ai/claude-3@1",
        "vertex_ai/gemini-1.5-pro",
        "gemini/*",
        "anthropic/claude-*",
        "groq/llama",
        "hosted_vllm/x",
        "os.environ/SET",
        "os.environ/UNSET",
        "os.environ/NUMBER",
        "os.environ/",
        "os.environ/a b",
        "$(SET)",
        "sk-1234",
        "http://host:1/v1",
        "http://169.254.169.254/",
        "https://x.openai.azure.com/openai/deployments/a?api-version=1",
        "us-east-1",
        "12",
        "1e400",
        "{}",
        "a\nb",
        "\x85",
        "least-busy",
        "high",
    ]
)
SCALARS = st.one_of(
    WORDS,
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(WORDS, st.text(max_size=4)), inner, max_size=3),
    ),
    max_leaves=6,
)
PARAMS = [*advice.LITELLM_PARAMS, *("extra_headers", "order", "response_format", "model", "stop")]


def _named(prefix: str, model: str) -> str:
    return f"{prefix}/{model}"


def _params(model: str, base: Json, good: Json, odd: Json) -> Json:
    return {"model": model, **base, **good, **odd}


def _with(good: Json, key: str, value: object) -> Json:
    return {**good, key: value}


NAMES = st.sampled_from(["a", "b", "A", "gpt-4o", "gpt-4o-2", "openai/*", "x/y", "x-y", "*"])
URLS = st.sampled_from(
    ["http://host:1/v1", "https://x.openai.azure.com/", "http://169.254.169.254/", "os.environ/URL"]
)
KEYS = st.sampled_from(["os.environ/SET", "os.environ/UNSET", "sk-1", "$(SET)", "a b", "", 7])
NUMBERS = st.one_of(st.integers(0, 10**7), st.floats(0, 1e7), st.sampled_from(["5", 0, 1e-7]))
UPSTREAM_MODELS = st.one_of(
    st.builds(
        _named,
        st.sampled_from(sorted(READERS)),
        st.sampled_from(["m", "*", "gemini-pro", "claude-3", "us-east-1/x.y", "a/b", "1234"]),
    ),
    st.sampled_from(["gpt-4o", "claude-3", "gemini-1.5-pro", "amazon.nova", "*", "odd/m", "m"]),
)
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("rpm", "tpm", "weight", "order", "max_parallel_requests"), NUMBERS),
    **dict.fromkeys(("timeout", "stream_timeout", "max_retries", "cooldown_time"), NUMBERS),
    **dict.fromkeys(("input_cost_per_token", "output_cost_per_token", "max_tokens"), NUMBERS),
    **dict.fromkeys(("api_key", "aws_access_key_id", "aws_secret_access_key"), KEYS),
    **dict.fromkeys(("aws_region_name", "vertex_location"), st.sampled_from(["us-east-1", "eu"])),
    "aws_role_name": st.sampled_from(["arn:aws:iam::123456789012:role/r", "r"]),
    "vertex_credentials": st.sampled_from(
        ['{"project_id": "p"}', {"a": 1}, "os.environ/SET", "{}", Json()]
    ),
    "temperature": NUMBERS,
    "reasoning_effort": st.sampled_from(["high", "low"]),
    "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
    "extra_headers": st.dictionaries(WORDS, WORDS, max_size=2),
    "additional_drop_params": st.lists(st.sampled_from(["user", "stop", "max_tokens"])),
}
ODD = st.one_of(st.just(Json()), st.dictionaries(st.sampled_from(PARAMS), VALUES, max_size=1))
ENTRY: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "model_name": st.one_of(NAMES, NAMES, NAMES, WORDS),
        "litellm_params": st.builds(
            _params,
            UPSTREAM_MODELS,
            st.fixed_dictionaries({"vertex_project": st.just("p"), "api_base": URLS}),
            st.dictionaries(st.sampled_from(sorted(PLAUSIBLE)), st.none(), max_size=5).flatmap(
                lambda keys: st.fixed_dictionaries({key: PLAUSIBLE[key] for key in keys})
            ),
            ODD,
        ),
    },
    optional={
        "model_info": st.dictionaries(
            st.sampled_from([*advice.MODEL_INFO, "max_tokens", "supports_vision"]),
            SCALARS,
            max_size=1,
        )
    },
)
GROUPS = st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=3), max_size=4)
POLICY: dict[str, st.SearchStrategy[Any]] = {
    "fallbacks": GROUPS,
    "context_window_fallbacks": GROUPS,
    "content_policy_fallbacks": GROUPS,
    "default_fallbacks": st.lists(NAMES, max_size=3),
    "num_retries": NUMBERS,
    "allowed_fails": NUMBERS,
    "cooldown_time": NUMBERS,
}
ROUTER = st.fixed_dictionaries(
    {},
    optional={
        **POLICY,
        "model_group_alias": st.dictionaries(NAMES, NAMES, max_size=3),
        "routing_strategy": st.sampled_from(
            ["least-busy", "simple-shuffle", "usage-based-routing"]
        ),
        "retry_after": NUMBERS,
        "timeout": NUMBERS,
        "disable_cooldowns": st.booleans(),
        "retry_policy": VALUES,
    },
)
GOOD: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"model_list": st.lists(ENTRY, min_size=1, max_size=6)},
    optional={
        "router_settings": ROUTER,
        "litellm_settings": st.fixed_dictionaries({}, optional={**POLICY, "cache": VALUES}),
        "general_settings": st.fixed_dictionaries({}, optional={"master_key": KEYS, "x": VALUES}),
        "environment_variables": st.dictionaries(
            st.sampled_from(["OPENAI_API_KEY", "SET", "AWS_ACCESS_KEY_ID"]), WORDS, max_size=2
        ),
    },
)
TOP = ["model_list", "router_settings", "litellm_settings", "general_settings", "include", "other"]
BAD = st.builds(
    _with,
    GOOD,
    st.sampled_from([*TOP, "environment_variables", "credential_list"]),
    VALUES,
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(GOOD, GOOD, BAD))
def test_manifests_of_any_configuration_lint(configuration: object) -> None:
    check(json.dumps(configuration, indent=1))


@settings(deadline=None, max_examples=150)
@given(VALUES)
def test_anything_that_is_no_configuration_gives_findings(value: object) -> None:
    check(json.dumps(value))


@settings(deadline=None, max_examples=200)
@given(
    st.text(
        st.sampled_from("model_list: -\n{}[]*&!|>'\"#%@,?abc\t\x85\u2028\ufeff\x00"), max_size=60
    )
)
@example("? {a: b}\n: c\n")
@example("a: *b")
@example("model_list: [")
@example("---\na: 1\n---\nb: 2\n")
def test_any_text_gives_findings(text: str) -> None:
    found = translated(text)
    assert found.manifests == () or found.readable
    assert found.readable or [each for each in found.findings if each.severity == "error"]


@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=12))
def test_names_are_unique_and_do_not_depend_on_what_comes_after(models: list[str]) -> None:
    names = allocate(models)
    assert len(set(names)) == len(models)
    assert allocate([*models, models[0]] if models else [])[: len(models)] == names


@given(st.decimals(0, 1, places=12))
def test_prices_are_exact(price: Decimal) -> None:
    text = per_million(price)
    assert text is not None
    assert Decimal(text) == price * 1_000_000


@given(st.lists(st.decimals(0, 10**9, places=3), min_size=1, max_size=6))
def test_weights_keep_their_order_and_are_small(shares: list[Decimal]) -> None:
    found = weights(shares)
    assert all(0 <= weight <= 1_000_000 for weight in found)
    assert all((weight == 0) == (share == 0) for weight, share in zip(found, shares, strict=True))
    ordered = sorted(zip(shares, found, strict=True))
    assert [weight for _, weight in ordered] == sorted(found)
