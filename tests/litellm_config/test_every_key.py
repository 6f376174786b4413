"""Every documented key of a LiteLLM configuration is translated or told, one at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sluicegate.litellm_config import Translation, Unreadable, translate

# The keys of LiteLLM's page "All settings", and values of their types.
ROUTER: dict[str, Any] = {
    "routing_strategy": "least-busy",
    "redis_host": "cache",
    "redis_password": "os.environ/REDIS_PASSWORD",
    "redis_port": 6379,
    "redis_db": 2,
    "redis_url": "redis://cache",
    "enable_pre_call_check": True,
    "enable_pre_call_checks": True,
    "content_policy_fallbacks": [{"a": ["b"]}],
    "context_window_fallbacks": [{"a": ["b"]}],
    "fallbacks": [{"a": ["b"]}],
    "default_fallbacks": ["b"],
    "max_fallbacks": 3,
    "enable_tag_filtering": True,
    "tag_filtering_match_any": True,
    "cooldown_time": 30,
    "disable_cooldowns": True,
    "retry_policy": {"TimeoutErrorRetries": 3},
    "model_group_retry_policy": {"a": {"TimeoutErrorRetries": 3}},
    "allowed_fails": 7,
    "allowed_fails_policy": {"TimeoutErrorAllowedFails": 12},
    "default_max_parallel_requests": 5,
    "default_priority": 1,
    "polling_interval": 0.01,
    "default_litellm_params": {"temperature": 1},
    "timeout": 30,
    "stream_timeout": 20,
    "debug_level": "DEBUG",
    "client_ttl": 3600,
    "cache_kwargs": {"a": 1},
    "cache_responses": True,
    "routing_strategy_args": {"ttl": 10},
    "model_group_alias": {"c": "a"},
    "num_retries": 4,
    "caching_groups": [["a", "b"]],
    "alerting_config": {"webhook_url": "https://hooks.example"},
    "assistants_config": {"custom_llm_provider": "azure"},
    "set_verbose": True,
    "retry_after": 5,
    "provider_budget_config": {"openai": {"budget_limit": 1}},
    "router_general_settings": {"async_only_mode": True},
    "optional_pre_call_checks": ["prompt_caching"],
    "ignore_invalid_deployments": True,
    "search_tools": [{"search_tool_name": "x"}],
}
LITELLM: dict[str, Any] = {
    "success_callback": ["langfuse"],
    "failure_callback": ["sentry"],
    "callbacks": ["otel"],
    "service_callbacks": ["datadog"],
    "turn_off_message_logging": True,
    "modify_params": True,
    "enable_preview_features": True,
    "LITELLM_DISABLE_STOP_SEQUENCE_LIMIT": True,
    "redact_user_api_key_info": True,
    "mcp_aliases": {"github": "github_server"},
    "langfuse_default_tags": ["cache_hit"],
    "set_verbose": True,
    "json_logs": True,
    "default_fallbacks": ["b"],
    "request_timeout": 10,
    "force_ipv4": True,
    "content_policy_fallbacks": [{"a": ["b"]}],
    "context_window_fallbacks": [{"a": ["b"]}],
    "fallbacks": [{"a": ["b"]}],
    "num_retries": 5,
    "allowed_fails": 6,
    "drop_params": True,
    "cache": True,
    "cache_params": {"type": "redis"},
    "disable_end_user_cost_tracking": True,
    "disable_end_user_cost_tracking_prometheus_only": True,
    "key_generation_settings": {"team_key_generation": {}},
    "disable_add_transform_inline_image_block": True,
    "use_chat_completions_url_for_anthropic_messages": True,
    "disable_hf_tokenizer_download": True,
    "enable_json_schema_validation": True,
    "enable_key_alias_format_validation": True,
    "disable_copilot_system_to_assistant": True,
    "max_budget": 100,
    "budget_duration": "30d",
    "default_team_settings": [{"team_id": "t"}],
    "upperbound_key_generate_params": {"max_budget": 1},
    "default_key_generate_params": {"max_budget": 1},
    "max_end_user_budget": 1.5,
    "ssl_verify": False,
    "something_new": {"a": 1},
}
GENERAL: dict[str, Any] = {
    "master_key": "sk-a-key-of-some-length",
    "completion_model": "a",
    "disable_spend_logs": True,
    "disable_spend_updates": True,
    "disable_master_key_return": True,
    "disable_retry_on_max_parallel_request_limit_error": True,
    "disable_reset_budget": True,
    "disable_adding_master_key_hash_to_db": True,
    "disable_responses_id_security": True,
    "enable_jwt_auth": True,
    "enforce_user_param": True,
    "reject_clientside_metadata_tags": True,
    "allowed_routes": ["/chat/completions"],
    "key_management_system": "google_kms",
    "key_management_settings": {"a": 1},
    "database_url": "os.environ/DATABASE_URL",
    "database_connection_pool_limit": 10,
    "database_connection_timeout": 60,
    "allow_requests_on_db_unavailable": True,
    "custom_auth": "auth.check",
    "max_parallel_requests": 10,
    "global_max_parallel_requests": 100,
    "infer_model_from_keys": True,
    "background_health_checks": True,
    "health_check_interval": 300,
    "health_check_details": True,
    "alerting": ["slack"],
    "alerting_threshold": 300,
    "alert_types": ["llm_exceptions"],
    "alerting_args": {"a": 1},
    "alert_to_webhook_url": {"budget_alerts": "https://hooks.example"},
    "use_client_credentials_pass_through_routes": True,
    "public_routes": ["/x"],
    "enforced_params": ["user"],
    "enable_oauth2_auth": True,
    "use_x_forwarded_for": True,
    "service_account_settings": {"a": 1},
    "image_generation_model": "x",
    "store_model_in_db": True,
    "supported_db_objects": ["models"],
    "user_mcp_management_mode": "restricted",
    "store_prompts_in_spend_logs": True,
    "max_request_size_mb": 10,
    "max_response_size_mb": 10,
    "proxy_budget_rescheduler_min_time": 1,
    "proxy_budget_rescheduler_max_time": 1,
    "proxy_batch_write_at": 60,
    "proxy_batch_polling_interval": 60,
    "custom_key_generate": "x.y",
    "allowed_ips": ["10.0.0.1"],
    "embedding_model": "x",
    "default_team_disabled": True,
    "allow_user_auth": True,
    "user_api_key_cache_ttl": 60,
    "disable_prisma_schema_update": True,
    "litellm_key_header_name": "X-Key",
    "moderation_model": "x",
    "custom_sso": "x.y",
    "allow_client_side_credentials": True,
    "admin_only_routes": ["/x"],
    "use_azure_key_vault": True,
    "use_google_kms": True,
    "spend_report_frequency": "1d",
    "ui_access_mode": "admin_only",
    "litellm_jwtauth": {"a": 1},
    "litellm_license": "license",
    "oauth2_config_mappings": {"a": "b"},
    "pass_through_endpoints": [{"path": "/x"}],
    "enable_oauth2_proxy_auth": True,
    "forward_openai_org_id": True,
    "forward_client_headers_to_llm_api": True,
    "maximum_spend_logs_retention_period": "30d",
    "maximum_spend_logs_retention_interval": "1d",
    "user_header_name": "X-User",
}
PARAMS: dict[str, Any] = {
    "api_key": "os.environ/KEY",
    "api_base": "http://vllm:8000/v1",
    "base_url": "http://vllm:8000/v1",
    "api_version": "2024-10-21",
    "organization": "org-1",
    "custom_llm_provider": "anthropic",
    "rpm": 10,
    "tpm": 10,
    "itpm": 10,
    "rpd": 10,
    "max_parallel_requests": 3,
    "weight": 2,
    "order": 2,
    "timeout": 600,
    "request_timeout": 600,
    "stream_timeout": 30,
    "max_retries": 3,
    "num_retries": 3,
    "cooldown_time": 9,
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 10,
    "max_completion_tokens": 10,
    "reasoning_effort": "high",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "response_format": {"type": "json_object"},
    "seed": 1,
    "stop": ["x"],
    "n": 2,
    "user": "u",
    "metadata": {"a": "b"},
    "tools": [{"type": "function"}],
    "tool_choice": "auto",
    "stream": True,
    "extra_headers": {"X-Team": "core"},
    "headers": {"X-Team": "core"},
    "extra_body": {"a": 1},
    "drop_params": True,
    "additional_drop_params": ["user"],
    "allowed_openai_params": ["x"],
    "input_cost_per_token": 0.000001,
    "output_cost_per_token": 0.000002,
    "cache_read_input_token_cost": 1e-7,
    "cache_creation_input_token_cost": 1e-6,
    "output_cost_per_reasoning_token": 1e-6,
    "input_cost_per_second": 0.1,
    "tags": ["free"],
    "max_budget": 5,
    "budget_duration": "1d",
    "mock_response": "hi",
    "litellm_credential_name": "shared",
    "vertex_project": "p",
    "aws_region_name": "us-east-1",
    "configurable_clientside_auth_params": ["api_key"],
    "use_in_pass_through": True,
    "merge_reasoning_content_in_choices": True,
    "model_info": {"id": "x"},
    "ssl_verify": False,
    "something_new": 1,
}
INFO: dict[str, Any] = {
    "id": "one",
    "mode": "embedding",
    "base_model": "gpt-4o",
    "max_tokens": 10,
    "max_input_tokens": 10,
    "max_output_tokens": 10,
    "input_cost_per_token": 0.000001,
    "access_groups": ["beta"],
    "supports_vision": True,
    "supported_endpoints": ["/v1/chat/completions"],
    "health_check_model": "x",
    "team_id": "t",
    "output_cost_per_image": 0.1,
    "something_new": 1,
}
TOP: dict[str, Any] = {
    "environment_variables": {"A": "b"},
    "guardrails": [{"guardrail_name": "x"}],
    "mcp_servers": {"x": {"url": "https://x.example"}},
    "callback_settings": {"otel": {"message_logging": False}},
    "files_settings": [{"custom_llm_provider": "azure"}],
    "finetune_settings": [{"custom_llm_provider": "azure"}],
    "assistant_settings": {"custom_llm_provider": "azure"},
    "vector_store_registry": [{"vector_store_name": "x"}],
    "search_tools": [{"search_tool_name": "x"}],
    "prompts": [{"prompt_id": "x"}],
    "include": ["other.yaml"],
    "something_new": 1,
}


def base() -> dict[str, Any]:
    return {
        "model_list": [
            {"model_name": "a", "litellm_params": {"model": "openai/gpt-4.1"}, "model_info": {}},
            {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o"}},
            {"model_name": "b", "litellm_params": {"model": "anthropic/claude-3"}},
        ],
        "router_settings": {},
        "litellm_settings": {},
        "general_settings": {},
        "credential_list": [
            {"credential_name": "shared", "credential_values": {"api_key": "os.environ/SHARED"}}
        ],
    }


def translated(configuration: dict[str, Any]) -> Translation:
    def read(path: str) -> str:
        raise Unreadable(f"there is no {path}")

    text = msgspec.json.encode(configuration).decode()
    return translate("config.yaml", text, read=read, environ={})


def with_key(section: str, key: str, value: object) -> dict[str, Any]:
    configuration = base()
    first = configuration["model_list"][0]
    sections = {**configuration, "": configuration, **first}
    sections[section][key] = value
    return configuration


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        pytest.param(section, key, value, id=f"{section}.{key}")
        for section, table in (
            ("router_settings", ROUTER),
            ("litellm_settings", LITELLM),
            ("general_settings", GENERAL),
            ("litellm_params", PARAMS),
            ("model_info", INFO),
            ("", TOP),
        )
        for key, value in table.items()
    ],
)
def test_a_key_is_translated_or_told(section: str, key: str, value: object) -> None:
    without, found = translated(base()), translated(with_key(section, key, value))
    new = set(found.findings) - set(without.findings)
    named = [each for each in new if key in each.key.replace("[", ".").split(".")]
    served = [manifest.value for manifest in found.manifests]
    changed = served != [manifest.value for manifest in without.manifests]
    assert named or changed
    for finding in named:
        assert len(finding.message) > 20  # says what to do, not only that it is so


def test_what_needs_nothing_is_told_too() -> None:
    found = translated(with_key("litellm_settings", "cache", value=False))
    assert [each.severity for each in found.findings if each.key.endswith("cache")] == ["note"]


def test_a_misspelt_key_is_told_with_what_was_meant() -> None:
    found = translated(with_key("general_settings", "database_uri", "x"))
    [finding] = [each for each in found.findings if "database_uri" in each.key]
    assert finding.severity == "warning"
    assert "did you mean database_url?" in finding.message
