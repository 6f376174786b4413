"""What becomes of configurations as people write them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sluicegate.cli.lint import judge
from sluicegate.litellm_config import Finding, Translation, Unreadable, translate, written
from sluicegate.resources import load_text

KEY = "sk-a-master-key-of-some-length"


def translated(
    text: str, environ: dict[str, str] | None = None, others: dict[str, str] | None = None
) -> Translation:
    def read(path: str) -> str:
        if path not in (others or {}):
            raise Unreadable("there is no such file")
        return (others or {})[path]

    found = translate("config.yaml", text, read=read, environ=environ or {})
    output = written(manifest.value for manifest in found.manifests)
    report = judge({"out.yaml": load_text("out.yaml", output)}, 1_800_000_000.0)
    assert [str(each) for each in report.diagnostics if each.severity == "error"] == []
    return found


def specs(found: Translation) -> dict[str, dict[str, Any]]:
    """The spec of each ModelDeployment, by its name."""
    return {
        manifest.name: cast("dict[str, Any]", manifest.value["spec"])
        for manifest in found.manifests
        if manifest.kind == "ModelDeployment"
    }


def objects(found: Translation, kind: str) -> dict[str, dict[str, Any]]:
    return {each.name: each.value for each in found.manifests if each.kind == kind}


def one(params: str, model: str = "m", **environ: str) -> dict[str, Any]:
    """The spec of the only deployment."""
    text = f"model_list:\n- model_name: {model}\n  litellm_params: {{{params}}}\n"
    [spec] = specs(translated(text, environ)).values()
    return spec


def told(found: Translation, severity: str) -> list[tuple[int, str]]:
    return [(each.line, each.key) for each in found.findings if each.severity == severity]


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


# --- credentials ---


def test_a_variable_becomes_one_secret_however_often_it_is_used() -> None:
    found = translated(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY}}\n"
        "- {model_name: b, litellm_params: {model: openai/y, api_key: os.environ/OPENAI_API_KEY}}\n"
    )
    assert objects(found, "Secret")["openai-api-key"]["stringData"] == {
        "api-key": "$(OPENAI_API_KEY)"
    }
    reference = {"secretRef": {"name": "openai-api-key", "key": "api-key"}}
    assert [each["credentials"] for each in specs(found).values()] == [reference, reference]
    assert len(objects(found, "Secret")) == 1


def test_a_key_in_plain_text_is_in_a_secret_and_in_no_finding() -> None:
    found = translated(
        "model_list:\n- model_name: a\n  litellm_params:\n    model: openai/x\n"
        "    api_key: sk-in-plain-text\n"
    )
    assert objects(found, "Secret")["a-key"]["stringData"] == {"api-key": "sk-in-plain-text"}
    assert (5, "model_list[0].litellm_params.api_key") in told(found, "warning")
    assert "sk-in-plain-text" not in "".join(map(str, found.findings)) + repr(found)


@pytest.mark.parametrize("key", ["$(HOME)", "${HOME}", "$HOME"])
def test_a_variable_as_others_write_it_is_no_key(key: str) -> None:
    found = translated(
        f"model_list:\n- {{model_name: a, litellm_params: {{model: openai/x, api_key: '{key}'}}}}\n"
        f"general_settings: {{master_key: '{key}'}}\n"
    )
    assert [each.line for each in found.findings if each.severity == "error"] == [2, 3]
    assert "HOME" not in written(manifest.value for manifest in found.manifests)
    assert objects(found, "ApiKey") == {}


def test_aws_keys_a_role_and_a_bearer_token() -> None:
    found = translated(
        "model_list:\n"
        "- model_name: keys\n"
        "  litellm_params: {model: bedrock/x.y, aws_access_key_id: os.environ/ID,\n"
        "    aws_secret_access_key: os.environ/SECRET, aws_session_token: os.environ/TOKEN}\n"
        "- model_name: role\n"
        "  litellm_params: {model: bedrock/x.y, aws_session_name: me,\n"
        "    aws_role_name: 'arn:aws:iam::123456789012:role/r'}\n"
        "- {model_name: bearer, litellm_params: {model: bedrock/x.y, api_key: os.environ/B}}\n"
        "- {model_name: ambient, litellm_params: {model: bedrock/x.y}}\n"
    )
    keys = objects(found, "ApiKey")
    assert keys["keys-aws"]["spec"] == {"upstream": {"aws": {"secretRef": {"name": "id"}}}}
    assert objects(found, "Secret")["id"]["stringData"] == {
        "aws_access_key_id": "$(ID)",
        "aws_secret_access_key": "$(SECRET)",
        "aws_session_token": "$(TOKEN)",
    }
    assert keys["role-aws"]["spec"]["upstream"]["aws"] == {
        "roleARN": "arn:aws:iam::123456789012:role/r",
        "sessionName": "me",
    }
    made = specs(found)
    assert made["bearer"]["credentials"] == {"secretRef": {"name": "b", "key": "api-key"}}
    assert "credentials" not in made["ambient"]


def test_google_credentials_are_json_a_variable_or_a_file() -> None:
    file = '{"type": "service_account", "project_id": "from-the-file"}'
    text = (
        "model_list:\n"
        "- model_name: variable\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_project: p,\n"
        "    vertex_credentials: os.environ/GOOGLE}\n"
        "- model_name: file\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_credentials: sa.json}\n"
    )
    found = translated(text, others={"sa.json": file})
    secrets = objects(found, "Secret")
    assert secrets["google"]["stringData"] == {"credentials.json": "$(GOOGLE)"}
    assert secrets["file-google"]["stringData"] == {"credentials.json": file}
    assert specs(found)["file"]["provider"]["vertexAI"]["project"] == "from-the-file"
    assert found.files == ("config.yaml", "sa.json")


@pytest.mark.parametrize("empty", ["{}", "'{}'"])
def test_google_credentials_without_any_member_are_none(empty: str) -> None:
    found = translated(
        "model_list:\n"
        "- model_name: m\n"
        "  litellm_params: {model: vertex_ai/gemini-1.5-pro, vertex_project: p,\n"
        f"    vertex_credentials: {empty}}}\n"
    )
    assert not objects(found, "ModelDeployment")
    assert [key for _, key in told(found, "error")] == [
        "model_list[0].litellm_params.vertex_credentials"
    ]


def test_a_server_without_a_key_never_gets_the_ambient_one() -> None:
    text = (
        "model_list:\n- model_name: m\n"
        "  litellm_params: {model: hosted_vllm/x, api_base: 'http://v/v1'}\n"
    )
    found = translated(text)
    assert objects(found, "Secret")["no-key"]["stringData"] == {"api-key": "none"}
    assert specs(found)["m"]["credentials"] == {"secretRef": {"name": "no-key", "key": "api-key"}}


def test_variables_that_the_configuration_sets_itself() -> None:
    found = translated(
        "environment_variables: {OPENAI_API_KEY: sk-written, UNUSED: x, K: os.environ/OTHER}\n"
        "model_list:\n"
        "- {model_name: ambient, litellm_params: {model: openai/x}}\n"
        "- {model_name: other, litellm_params: {model: openai/x, api_key: os.environ/K}}\n"
    )
    secrets = objects(found, "Secret")
    assert secrets["ambient-key"]["stringData"] == {"api-key": "sk-written"}
    assert secrets["other"]["stringData"] == {"api-key": "$(OTHER)"}
    assert (1, "environment_variables.UNUSED") in told(found, "warning")


def test_credentials_by_name() -> None:
    found = translated(
        "credential_list:\n"
        "- credential_name: eu\n"
        "  credential_values: {api_key: os.environ/K, api_base: 'https://r.openai.azure.com'}\n"
        "model_list:\n"
        "- {model_name: m, litellm_params: {model: azure/x, litellm_credential_name: eu}}\n"
    )
    spec = specs(found)["m"]
    assert spec["provider"]["openai"]["baseURL"] == "https://r.openai.azure.com/openai/v1"
    assert spec["credentials"]["secretRef"]["name"] == "k"


# --- the master key ---


def test_the_master_key_in_a_variable_stays_there() -> None:
    found = translated("general_settings: {master_key: os.environ/M}\nmodel_list: []\n")
    assert objects(found, "ApiKey")["litellm-master-key"]["spec"] == {
        "client": {"secretRef": {"name": "m", "key": "key"}}
    }
    assert objects(found, "Secret")["m"]["stringData"] == {"key": "$(M)"}


@pytest.mark.parametrize(
    ("text", "environ", "severity"),
    [
        (f"{{master_key: {KEY}}}", {}, "note"),
        ("{master_key: sk-1234}", {}, "warning"),
        ("{master_key: os.environ/M}", {"M": "sk-1234"}, "warning"),
        ("{}", {"LITELLM_MASTER_KEY": "sk-1234"}, "warning"),
    ],
)
def test_a_master_key_that_a_secret_can_not_hold_becomes_its_hash(
    text: str, environ: dict[str, str], severity: str
) -> None:
    found = translated(f"general_settings: {text}\nmodel_list: []\n", environ)
    spec = objects(found, "ApiKey")["litellm-master-key"]["spec"]
    assert spec["client"]["keyHash"].startswith("sha256:")
    assert (1, "general_settings.master_key") in told(found, severity)
    assert "1234" not in str(found.findings)


def test_no_master_key_is_told() -> None:
    found = translated("model_list: []\n")
    assert any("--allow-anonymous" in each.message for each in found.findings)


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
