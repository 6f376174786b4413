"""What becomes of configurations as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from litellm_translations import objects, one, specs, told, translated
from sluicegate.litellm_config import Finding, Translation, translate

KEY = "sk-a-master-key-of-some-length"

# --- providers ---


@pytest.mark.parametrize(
    ("params", "provider"),
    [
        ("model: openai/gpt-4.1", {"openai": {"model": "gpt-4.1"}}),
        ("model: gpt-4.1", {"openai": {"model": "gpt-4.1"}}),
        (
            "model: openai/gpt-4.1, organization: org-1",
            {"openai": {"model": "gpt-4.1", "organization": "org-1"}},
        ),
        (
            "model: openai/llama, api_base: 'http://vllm:8000/v1/chat/completions'",
            {"openai": {"model": "llama", "baseURL": "http://vllm:8000/v1",
                        "api": "ChatCompletions"}},
        ),
        (
            "model: openai/responses/llama, api_base: 'http://vllm:8000/v1'",
            {"openai": {"model": "llama", "baseURL": "http://vllm:8000/v1"}},
        ),
        (
            "model: hosted_vllm/org/llama, api_base: 'http://vllm:8000/v1/'",
            {"openai": {"model": "org/llama", "baseURL": "http://vllm:8000/v1",
                        "api": "ChatCompletions"}},
        ),
        (
            "model: ollama/llama3, api_base: 'http://ollama:11434'",
            {"openai": {"model": "llama3", "baseURL": "http://ollama:11434/v1",
                        "api": "ChatCompletions"}},
        ),
        (
            ("model: azure/eu, api_base: 'https://r.openai.azure.com/', api_version: 2024-10-21, "
             "api_key: os.environ/K"),
            {"openai": {"model": "eu", "baseURL": "https://r.openai.azure.com/openai/v1",
                        "auth": "ApiKey"}},
        ),
        (
            ("model: azure/eu, api_base: 'https://r.openai.azure.com/openai/deployments/eu/chat/"
             "completions?api-version=1', api_key: os.environ/K"),
            {"openai": {"model": "eu", "baseURL": "https://r.openai.azure.com/openai/v1",
                        "auth": "ApiKey"}},
        ),
        (
            ("model: anthropic/claude-3, api_base: 'https://proxy.example/v1/messages', "
             "extra_headers: {anthropic-beta: 'a, b', anthropic-version: 2023-01-01}"),
            {"anthropic": {"model": "claude-3", "baseURL": "https://proxy.example",
                           "betas": ["a", "b"], "version": "2023-01-01"}},
        ),
        ("model: gemini/gemini-1.5-flash", {"gemini": {"model": "gemini-1.5-flash"}}),
        (
            "model: vertex_ai/claude-3-5-sonnet@20240620, vertex_project: p, vertex_location: eu",
            {"vertexAI": {"model": "claude-3-5-sonnet@20240620", "project": "p", "location": "eu",
                          "publisher": "anthropic"}},
        ),
        (
            "model: vertex_ai/1234567890, vertex_project: p",
            {"vertexAI": {"model": "endpoints/1234567890", "project": "p",
                          "location": "us-central1"}},
        ),
        (
            "model: bedrock/converse/us.anthropic.claude-3-v1:0, aws_region_name: eu-west-1",
            {"bedrock": {"model": "us.anthropic.claude-3-v1:0", "region": "eu-west-1"}},
        ),
        (
            "model: bedrock/eu-west-1/anthropic.claude-v2",
            {"bedrock": {"model": "anthropic.claude-v2", "region": "eu-west-1"}},
        ),
        (
            ("model: bedrock/llama/arn:aws:bedrock:us-east-1:123456789012:imported-model/r4, "
             "aws_region_name: us-east-1"),
            {"bedrock": {"model": "arn:aws:bedrock:us-east-1:123456789012:imported-model/r4",
                         "region": "us-east-1"}},
        ),
        ("model: anthropic.claude-v2", {"bedrock": {"model": "anthropic.claude-v2",
                                                     "region": "us-west-2"}}),
        (
            "model: groq/llama-3.1-70b",
            {"openai": {"model": "llama-3.1-70b", "baseURL": "https://api.groq.com/openai/v1",
                        "api": "ChatCompletions"}},
        ),
    ],
)  # fmt: skip
def test_each_provider(params: str, provider: dict[str, Any]) -> None:
    assert one(params)["provider"] == provider


def test_a_region_may_come_from_the_environment() -> None:
    spec = one("model: bedrock/x.y, aws_region_name: os.environ/R", R="ap-southeast-2")
    assert spec["provider"]["bedrock"]["region"] == "ap-southeast-2"


def test_what_a_manifest_needs_and_is_not_set_is_an_error() -> None:
    text = (
        "model_list:\n- model_name: m\n  litellm_params:\n    model: bedrock/x.y\n"
        "    aws_region_name: os.environ/R\n"
    )
    found = translated(text)
    assert specs(found) == {}
    assert [each.name for each in found.unserved] == ["m"]
    assert told(found, "error") == [(5, "model_list[0].litellm_params.aws_region_name")]


@pytest.mark.parametrize(
    ("params", "info"),
    [
        ("model: cohere/command-r", "{}"),
        ("model: vertex_ai/mistral-large, vertex_project: p", "{}"),
        ("model: openai/text-embedding-3-small", "{mode: embedding}"),
        ("model: 'azure/x', api_base: 'https://r.openai.azure.com', tenant_id: t", "{}"),
        ("model: bedrock/agent/ABC", "{}"),
    ],
)
def test_what_is_not_served_is_left_out_with_a_warning(params: str, info: str) -> None:
    found = translated(
        f"model_list:\n- model_name: m\n  litellm_params: {{{params}}}\n  model_info: {info}\n"
    )
    assert specs(found) == {}
    assert told(found, "error") == []
    assert any("left out" in each.message for each in found.findings)


# --- one deployment ---


def test_limits_timeouts_retries_and_prices() -> None:
    spec = one(
        "model: openai/x, rpm: 60, tpm: 1e5, max_parallel_requests: '8', timeout: 2.5, "
        "stream_timeout: 30, max_retries: 4, cooldown_time: 7, input_cost_per_token: 0.00000125, "
        "output_cost_per_token: 1e-05, cache_read_input_token_cost: 1.25e-7"
    )
    assert spec["limits"] == {
        "requestsPerMinute": 60,
        "tokensPerMinute": 100_000,
        "maxParallelRequests": 8,
    }
    assert spec["timeouts"] == {"firstByte": "2500ms", "idle": "30s"}
    assert spec["retry"] == {"attempts": 5}
    assert spec["cooldown"] == {"duration": "7s"}
    assert spec["pricing"] == {"input": "1.25", "output": "10.00", "cachedInput": "0.125"}


def test_parameters_become_those_of_responses() -> None:
    spec = one(
        "model: openai/x, temperature: 0.2, max_tokens: 10, max_completion_tokens: 20, "
        "reasoning_effort: high, verbosity: low, user: u, additional_drop_params: [top_p], "
        "response_format: {type: json_schema, json_schema: {name: s, schema: {type: object}}}"
    )
    assert spec["parameters"] == {
        "defaults": {
            "temperature": 0.2,
            "user": "u",
            "max_output_tokens": 20,
            "reasoning": {"effort": "high"},
            "text": {
                "format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}},
                "verbosity": "low",
            },
        },
        "overrides": {"top_p": None},
    }


def test_a_credential_in_a_header_is_left_out() -> None:
    text = (
        "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/x\n    extra_headers:\n"
        "      Authorization: Bearer secret-token\n      X-Key: os.environ/K\n      X-Team: core\n"
    )
    found = translated(text)
    assert specs(found)["m"]["headers"] == {"X-Team": "core"}
    assert [line for line, key in told(found, "warning") if "extra_headers" in key] == [6, 7]
    assert "secret-token" not in str(found.findings)


def test_a_flaw_of_the_manifest_is_told_at_the_key_that_it_comes_from() -> None:
    found = translated(
        "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/x\n"
        "    api_base: http://169.254.169.254/v1\n"
    )
    assert told(found, "error") == [(5, "model_list[0].litellm_params.api_base")]
    assert [each.name for each in found.unserved] == ["m"]


def test_unquoted_n_is_a_parameter_and_no_boolean() -> None:
    found = translated("model_list:\n- model_name: y\n  litellm_params: {model: openai/x, n: 2}\n")
    assert specs(found)["y"]["model"] == "y"
    assert (3, "model_list[0].litellm_params.n") in told(found, "warning")


# --- pools ---


def pool(entries: str, settings: str = "") -> Translation:
    return translated(f"model_list:\n{entries}{settings}")


def entry(name: str, extra: str = "") -> str:
    return f"- {{model_name: {name}, litellm_params: {{model: openai/x{extra}}}}}\n"


def test_weights_are_by_weight_else_by_rpm() -> None:
    by_weight = pool(entry("a", ", weight: 0.5, rpm: 1") + entry("a", ", weight: 2"))
    assert [each.get("weight", 1) for each in specs(by_weight).values()] == [1, 4]
    by_rpm = pool(entry("a", ", rpm: 900") + entry("a", ", rpm: 300") + entry("a"))
    assert [each.get("weight", 1) for each in specs(by_rpm).values()] == [3, 1, 0]
    told = [each.message for each in by_rpm.findings if "has no rpm" in each.message]
    assert len(told) == 1, "a deployment that gets nothing is told"


def test_other_strategies_share_by_weight_only() -> None:
    least_busy = "router_settings: {routing_strategy: least-busy}\n"
    found = pool(entry("a", ", weight: 3") + entry("a", ", rpm: 200"), least_busy)
    assert [each.get("weight", 1) for each in specs(found).values()] == [3, 1]
    found = pool(entry("a", ", rpm: 600") + entry("a", ", rpm: 200"), least_busy)
    assert [each.get("weight", 1) for each in specs(found).values()] == [1, 1]


def test_the_variable_that_stands_in_for_a_master_key_is_told() -> None:
    found = translated(
        f"model_list:\n{entry('a')}general_settings: {{}}\n", {"LITELLM_MASTER_KEY": KEY}
    )
    assert "litellm-master-key" in objects(found, "ApiKey")
    assert any("LITELLM_MASTER_KEY is the key" in each.message for each in found.findings)


def test_the_lowest_order_goes_first_and_none_goes_last() -> None:
    found = pool(entry("a", ", order: 2") + entry("a") + entry("a", ", order: 1"))
    assert [each.get("priority", 0) for each in specs(found).values()] == [2, 3, 1]


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("simple-shuffle", None),
        ("least-busy", "LeastBusy"),
        ("latency-based-routing", "LowestLatency"),
        ("cost-based-routing", "LowestCost"),
        ("usage-based-routing-v2", None),
    ],
)
def test_strategies(name: str, strategy: str | None) -> None:
    found = pool(entry("a"), f"router_settings: {{routing_strategy: {name}}}\n")
    assert specs(found)["a"].get("pool", {}).get("strategy") == strategy


def fallbacks_of(found: Translation, name: str) -> list[dict[str, Any]]:
    return specs(found)[name].get("pool", {}).get("fallbacks", [])


def test_fallbacks_of_each_kind() -> None:
    found = pool(
        entry("a") + entry("b") + entry("c") + entry("d"),
        "litellm_settings:\n  fallbacks: [{a: [b, c]}]\n  context_window_fallbacks: [{a: [d]}]\n",
    )
    usual = ["Error", "RateLimited", "Timeout", "ContentPolicy"]
    assert fallbacks_of(found, "a") == [
        {"model": "b", "causes": usual},
        {"model": "c", "causes": usual},
        {"model": "d", "causes": ["ContextWindow"]},
    ]


def test_fallbacks_are_for_every_cause_where_there_are_no_special_ones() -> None:
    found = pool(entry("a") + entry("b"), "litellm_settings: {fallbacks: [{a: [b]}]}\n")
    assert fallbacks_of(found, "a") == [{"model": "b"}]


def test_default_fallbacks_are_for_models_without_their_own() -> None:
    found = pool(
        entry("a") + entry("b") + entry("c"),
        "router_settings: {fallbacks: [{a: [b]}], default_fallbacks: [c]}\n",
    )
    assert [fallbacks_of(found, name) for name in "abc"] == [[{"model": "b"}], [{"model": "c"}], []]


def test_a_circle_and_an_unknown_model_are_left_out() -> None:
    found = pool(
        entry("a") + entry("b"),
        "router_settings:\n  fallbacks:\n  - a: [b]\n  - b: [a, nowhere]\n",
    )
    assert (fallbacks_of(found, "a"), fallbacks_of(found, "b")) == ([{"model": "b"}], [])
    lines = [line for line, key in told(found, "warning") if "fallbacks" in key]
    assert lines == [7, 7]


def test_settings_of_the_router_hold_for_deployments_without_their_own() -> None:
    found = pool(
        entry("a") + entry("b", ", max_retries: 0, timeout: 9"),
        "router_settings: {num_retries: 1, timeout: 60, retry_after: 2, allowed_fails: 3,\n"
        "  cooldown_time: 30}\nlitellm_settings: {num_retries: 7, drop_params: true}\n",
    )
    a, b = specs(found).values()
    assert (a["retry"], a["timeouts"]["firstByte"]) == ({"attempts": 2, "backoff": "2s"}, "60s")
    assert (b["retry"], b["timeouts"]["firstByte"]) == ({"attempts": 1, "backoff": "2s"}, "9s")
    assert a["cooldown"] == {"failures": 4, "duration": "30s"}
    assert a["unsupportedParameters"] == b["unsupportedParameters"] == "Drop"


# --- names ---


def test_aliases_are_deployments_of_their_own() -> None:
    found = pool(
        entry("a", ", rpm: 5")
        + '- {model_name: "o/*", litellm_params: {model: "openai/*"}}\n'
        + entry("b"),
        "router_settings:\n  fallbacks: [{a: [b]}]\n"
        "  model_group_alias: {x: a, y: {model: o/gpt-4.1, hidden: true}, z: nowhere}\n",
    )
    made = specs(found)
    assert (made["x"]["model"], made["x"]["limits"]) == ("x", {"requestsPerMinute": 5})
    assert made["x"]["pool"] == {"fallbacks": [{"model": "b"}]}
    assert made["y"]["provider"]["openai"]["model"] == "gpt-4.1"
    assert "z" not in made


def test_names_of_objects() -> None:
    found = pool(
        entry("openai-gpt-4o") + entry("openai/gpt-4o") + entry("GPT_4o") + entry("GPT_4o")
    )
    names = {name: spec["model"] for name, spec in specs(found).items()}
    assert names.pop("openai-gpt-4o") == "openai-gpt-4o"
    assert names.pop("gpt-4o") == names.pop("gpt-4o-2") == "GPT_4o"
    [(other, model)] = names.items()
    assert (other.rpartition("-")[0], model) == ("openai-gpt-4o", "openai/gpt-4o")


def test_wildcards() -> None:
    found = translated(
        'model_list:\n- {model_name: "anthropic/*", litellm_params: {model: "anthropic/*"}}\n'
        '- {model_name: "*", litellm_params: {model: "*"}}\n'
        '- {model_name: "claude-*", litellm_params: {model: "anthropic/claude-*"}}\n'
    )
    upstreams = {spec["model"]: spec["provider"] for spec in specs(found).values()}
    assert upstreams == {
        "anthropic/*": {"anthropic": {"model": "*"}},
        "openai/*": {"openai": {"model": "*"}},
        "gemini/*": {"gemini": {"model": "*"}},
    }
    assert (4, "model_list[2].litellm_params.model") in told(found, "warning")


# --- files ---


def test_included_files_count_with_their_own_lines() -> None:
    found = translate(
        "etc/config.yaml",
        "include: [models.yaml]\nmodel_list:\n- {model_name: a, litellm_params: {model: gpt-4}}\n",
        read={"etc/models.yaml": "\n\nmodel_list:\n" + entry("b", ", odd: 1")}.__getitem__,
        environ={},
    )
    assert [(each.name, each.file, each.line) for each in found.manifests] == [
        ("a", "etc/config.yaml", 3),
        ("b", "etc/models.yaml", 4),
    ]
    assert found.files == ("etc/config.yaml", "etc/models.yaml")
    assert any((each.file, each.line) == ("etc/models.yaml", 4) for each in found.findings)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("model_list:\n- a: [\n", 2, "does not parse"),
        ("model_list:\n- {}\nmodel_list: []\n", 3, "is there twice"),
        ("", 1, "is empty"),
        ("- a\n", 1, "must be a mapping"),
        ("model_list: {}\n", 1, "must be a list"),
        ("include: [gone.yaml]\nmodel_list: []\n", 1, "can't be read: there is no such file"),
    ],
)
def test_what_can_not_be_understood_gives_nothing(text: str, line: int, words: str) -> None:
    found = translated(text)
    assert (found.readable, found.manifests) == (False, ())
    [finding] = [each for each in found.findings if each.severity == "error"]
    assert finding.line == line
    assert words in finding.message


def test_findings_are_written_as_compilers_do() -> None:
    finding = Finding("c.yaml", 3, "a.b", "warning", "is lost")
    assert str(finding) == "c.yaml:3: a.b: is lost [warning]"
