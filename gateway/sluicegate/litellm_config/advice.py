"""What to do about keys that have no counterpart.

A key that is in none of these tables and that nobody read is told all the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from sluicegate.litellm_config.findings import Severity
from sluicegate.litellm_config.values import Section
from sluicegate.resources.diagnostics import shown

Advice: TypeAlias = Mapping[str, tuple[Severity, str]]

_LATER = "has no counterpart: "
_CALLBACK = (
    _LATER + "say where records of calls go with --log-sink (docs/logging.md), and scrape /metrics"
)
_CACHE = _LATER + "answers are never cached; providers' own prompt caches are used and priced"
_DATABASE = (
    _LATER + "there is no database to set up; virtual keys, users and teams that LiteLLM keeps in "
    "it are not read: write an ApiKey for each key (`sluicegate key hash` makes its keyHash)"
)
_KEYS = _LATER + "keys are ApiKey objects, with their models, limits, budget and tags"
_ALERTS = _LATER + "alert on the metrics of the admin port"
_HEALTH = _LATER + "a failing deployment is found by its requests and left alone (spec.cooldown)"
_ADMIN = _LATER + "there is no admin UI and no management API: objects are managed with kubectl"
_GUARD = _LATER + "filter in the application, or in a server in front of the model (baseURL)"
_REDIS = _LATER + "several gateways share limits through SLUICEGATE_LIMITS_URL=redis://…"
_TAGS = _LATER + "give deployments a spec.model of their own, and allow it to keys by their models"
_BUDGET = _LATER + "budgets belong to ApiKeys: spec.client.budget"
_NOTHING = "needs nothing: "
_LOGS = _NOTHING + "the log is one JSON object a line, and never holds prompts or answers"
_TLS = _LATER + "certificates are always verified; --upstream-ca FILE adds a CA"
_ENDPOINTS = _LATER + "only /v1/responses is served"
_SSO = _LATER + "callers present an ApiKey; put a proxy that knows your SSO in front"


def _all(severity: Severity, text: str, *keys: str) -> dict[str, tuple[Severity, str]]:
    return dict.fromkeys(keys, (severity, text))


LITELLM_PARAMS: Advice = MappingProxyType(
    {
        **_all("warning", _TAGS, "tags", "tag_regex", "model_tags"),
        **_all("warning", _BUDGET, "max_budget", "budget_duration"),
        **_all("warning", _ENDPOINTS, "use_in_pass_through", "s3_bucket_name", "gcs_bucket_name"),
        **_all("warning", _TLS, "ssl_verify", "ssl_certificate"),
        **_all("warning", _GUARD, "guardrails"),
        **_all(
            "warning",
            _LATER + "write one ModelDeployment for each, with the same spec.model",
            "auto_router_config",
            "auto_router_config_path",
            "auto_router_default_model",
            "auto_router_embedding_model",
            "kubernetes_pod_discovery",
        ),
        **_all(
            "warning", _LATER + "clients never present a provider's credential",
            "configurable_clientside_auth_params",
        ),
        **_all(
            "warning", _LATER + "limits are per minute: rpm and tpm",
            "itpm", "otpm", "tpd", "rpd",
        ),
        **_all(
            "warning", _LATER + "write provider: {echo: {text: …}}, which answers by itself",
            "mock_response", "mock_timeout", "mock_testing_fallbacks",
        ),
        **_all(
            "warning", "is of use to LiteLLM's own router only", "litellm_trace_id", "model_config",
            "max_file_size_mb", "use_litellm_proxy", "rust", "timeout_by_service_tier",
        ),
        **_all(
            "note", _NOTHING + "reasoning is always an item of its own",
            "merge_reasoning_content_in_choices",
        ),
        **_all(
            "note", _NOTHING + "what a provider knows is passed on", "allowed_openai_params",
        ),
        **_all("note", _NOTHING + "the region is in the deployment", "watsonx_region_name"),
        **_all("warning", _ENDPOINTS, "vector_store_id", "vector_store_ids", "prompt_id"),
        **_all(
            "warning", "does not go with this provider",
            "api_version", "organization", "project", "api_base", "base_url", "api_key",
            "region_name",
            "vertex_project", "vertex_location", "vertex_credentials", "vertex_ai_project",
            "vertex_ai_location", "vertex_ai_credentials", "aws_access_key_id",
            "aws_secret_access_key", "aws_session_token", "aws_region_name", "aws_role_name",
            "aws_session_name", "aws_profile_name", "aws_web_identity_token", "aws_sts_endpoint",
            "aws_external_id", "aws_bedrock_runtime_endpoint", "azure_ad_token", "tenant_id",
            "client_id", "client_secret", "model_id", "use_chat_completions_api",
        ),
    }
)  # fmt: skip
MODEL_INFO: Advice = MappingProxyType(
    {
        **_all("note", _NOTHING + "an object is known by its name", "id"),
        **_all(
            "note",
            "chose the price in LiteLLM: prices here go by the upstream model; write spec.pricing "
            "where the catalogue does not know that",
            "base_model",
        ),
        **_all("warning", _LATER + "ApiKeys name models, with patterns: spec.client.models",
               "access_groups", "team_id", "team_public_model_name"),
        **_all("warning", _HEALTH, "health_check_model", "health_check_timeout",
               "health_check_interval", "disable_background_health_check"),
        **_all("note", _NOTHING + "the API decides", "supported_endpoints", "mode",
               "litellm_provider", "supported_openai_params"),
        **_all("note", _NOTHING + "only LiteLLM's database and UI use it", "db_model", "updated_at",
               "updated_by", "created_at", "created_by", "metadata", "tier", "description"),
    }
)  # fmt: skip
ROUTER_SETTINGS: Advice = MappingProxyType(
    {
        **_all("warning", _REDIS, "redis_url", "redis_host", "redis_port", "redis_password",
               "redis_db", "redis_ssl"),
        **_all("warning", _CACHE, "cache_responses", "cache_kwargs", "caching_groups"),
        **_all("warning", _TAGS, "enable_tag_filtering", "tag_filtering_match_any"),
        **_all("warning", _BUDGET, "provider_budget_config"),
        **_all("warning", _ALERTS, "alerting_config"),
        **_all("warning", _ENDPOINTS, "assistants_config", "search_tools"),
        **_all("warning", _LATER + "spec.retry of a deployment is for every kind of failure",
               "retry_policy", "model_group_retry_policy"),
        **_all("warning", _LATER + "spec.cooldown of a deployment is for every kind of failure",
               "allowed_fails_policy"),
        **_all("warning", _LATER + "write spec.parameters of each deployment",
               "default_litellm_params"),
        **_all("warning", _LATER + "requests are not queued: a full deployment is skipped",
               "default_priority", "polling_interval"),
        **_all("warning", _LATER + "a fallback with causes: [ContextWindow] takes over what does "
               "not fit", "enable_pre_call_checks", "enable_pre_call_check"),
        **_all("warning", _LATER + "spec.pool.affinity: EndUser or ApiKey keeps callers on one "
               "deployment", "optional_pre_call_checks", "deployment_affinity_ttl_seconds",
               "model_group_affinity_config", "session_affinity_repin_on_failover"),
        **_all("note", _NOTHING + "each fallback is tried once, in order", "max_fallbacks"),
        **_all("note", _NOTHING + "connections are kept as long as they are good", "client_ttl"),
        **_all("note", _LOGS, "set_verbose", "debug_level"),
        **_all("note", _NOTHING + "a deployment that is wrong never affects another",
               "ignore_invalid_deployments"),
        **_all("note", _NOTHING + "the strategies here have no settings", "routing_strategy_args"),
        **_all("warning", _LATER + "what goes for all is said by each object",
               "router_general_settings", "routing_groups", "model_group_settings"),
    }
)  # fmt: skip
LITELLM_SETTINGS: Advice = MappingProxyType(
    {
        **_all("warning", _CALLBACK, "callbacks", "success_callback", "failure_callback",
               "service_callback", "service_callbacks", "input_callback", "audit_log_callbacks",
               "langfuse_default_tags", "s3_callback_params", "datadog_params",
               "datadog_llm_observability_params", "aws_sqs_callback_params",
               "generic_logger_headers", "prometheus_metrics_config", "custom_prometheus_tags",
               "custom_prometheus_metadata_labels", "prometheus_initialize_budget_metrics",
               "store_audit_logs", "default_in_memory_ttl"),
        **_all("warning", _CACHE, "cache", "cache_params", "caching", "enable_caching_on_provider_"
               "specific_optional_params", "default_redis_ttl", "default_redis_batch_cache_expiry"),
        **_all("note", _LOGS, "set_verbose", "json_logs", "turn_off_message_logging",
               "redact_user_api_key_info", "redact_messages_in_exceptions", "suppress_debug_info",
               "log_raw_request_response", "disable_streaming_logging"),
        **_all("note", _NOTHING + "nothing is sent home", "telemetry"),
        **_all("warning", _KEYS, "default_team_settings", "default_key_generate_params",
               "upperbound_key_generate_params", "key_generation_settings", "default_team_params",
               "default_internal_user_params", "enable_key_alias_format_validation",
               "public_model_groups", "public_model_groups_links"),
        **_all("warning", _BUDGET, "max_budget", "budget_duration", "max_user_budget",
               "max_internal_user_budget", "default_max_internal_user_budget",
               "default_soft_budget", "internal_user_budget_duration", "tag_budget_config",
               "max_ui_session_budget", "cost_discount_config", "cost_margin_config"),
        **_all("warning", _LATER + "write spec.client.endUsers of each ApiKey",
               "max_end_user_budget", "max_end_user_budget_id", "disable_end_user_cost_tracking",
               "disable_end_user_cost_tracking_prometheus_only",
               "enable_end_user_cost_tracking_prometheus_only"),
        **_all("warning", _GUARD, "guardrails", "content_moderation", "blocked_user_list",
               "banned_keywords_list", "pre_call_rules", "post_call_rules", "output_parse_pii",
               "presidio_ad_hoc_recognizers", "llm_guard_mode", "llamaguard_model_name",
               "google_moderation_confidence_threshold", "openai_moderations_model_name"),
        **_all("warning", _TLS, "ssl_verify", "ssl_certificate", "ssl_security_level",
               "ssl_ecdh_curve"),
        **_all("warning", _LATER + "requests are not changed; unsupportedParameters: Drop leaves "
               "out what a provider does not know", "modify_params", "add_function_to_prompt"),
        **_all("warning", _LATER + "write spec.parameters.defaults of each deployment",
               "max_tokens", "temperature", "vertex_ai_safety_settings"),
        **_all("warning", "is not taken over: write it into litellm_params of each model",
               "api_key", "api_base", "api_version", "organization", "project", "headers",
               "openai_key", "azure_key", "anthropic_key", "vertex_project", "vertex_location"),
        **_all("warning", _LATER + "MCP tools go to the provider as the client sends them",
               "mcp_aliases", "mcp_semantic_tool_filter"),
        **_all("warning", _LATER + "write a ModelDeployment with that spec.model",
               "model_alias_map", "default_model"),
        **_all("warning", _LATER + "write a limit of the ApiKey: spec.client.limits",
               "priority_reservation", "priority_reservation_settings", "max_parallel_requests"),
        **_all("warning", _LATER + "the trace header is not passed on",
               "forward_traceparent_to_llm_provider"),
        **_all("note", _NOTHING + "addresses of both families are tried", "force_ipv4"),
        **_all("note", _NOTHING + "it is about how LiteLLM itself works", "enable_preview_features",
               "use_aiohttp_transport", "disable_aiohttp_transport", "aiohttp_trust_env",
               "disable_aiohttp_trust_env", "disable_hf_tokenizer_download",
               "disable_token_counter",
               "disable_add_transform_inline_image_block", "disable_copilot_system_to_assistant",
               "disable_add_prefix_to_prompt", "return_response_headers", "safe_memory_mode",
               "include_cost_in_streaming_usage", "LITELLM_DISABLE_STOP_SEQUENCE_LIMIT",
               "use_chat_completions_url_for_anthropic_messages", "enable_json_schema_validation",
               "disable_add_user_agent_to_request_tags", "model_cost_map_url", "max_fallbacks"),
        **_all("warning", _LATER + "tags of a request are in x-sluicegate-tags",
               "extra_spend_tag_headers"),
        **_all("warning", _ALERTS, "require_auth_for_metrics_endpoint"),
    }
)  # fmt: skip
GENERAL_SETTINGS: Advice = MappingProxyType(
    {
        **_all("warning", _DATABASE, "database_url", "database_type", "database_args",
               "database_connection_pool_limit", "database_connection_timeout",
               "database_extra_connection_params",
               "allow_requests_on_db_unavailable", "store_model_in_db", "supported_db_objects",
               "disable_prisma_schema_update", "use_redis_transaction_buffer"),
        **_all("warning", _KEYS, "custom_auth", "custom_key_generate", "default_team_disabled",
               "user_api_key_cache_ttl", "service_account_settings", "allow_user_auth",
               "custom_auth_settings", "role_permissions", "disable_adding_master_key_hash_to_db"),
        **_all("warning", _SSO, "enable_jwt_auth", "litellm_jwtauth", "enable_oauth2_auth",
               "enable_oauth2_proxy_auth", "oauth2_config_mappings", "custom_sso"),
        **_all("warning", _LATER + "clients send the key as Authorization: Bearer, or api-key",
               "litellm_key_header_name"),
        **_all("warning", _LATER + "clients never present a provider's credential",
               "allow_client_side_credentials"),
        **_all("warning", _LATER + "a Secret's value comes from the environment as $(NAME), or "
               "from an operator such as External Secrets", "key_management_system",
               "key_management_settings", "use_google_kms", "use_azure_key_vault"),
        **_all("warning", _ALERTS, "alerting", "alerting_threshold", "alerting_args", "alert_types",
               "alert_to_webhook_url", "spend_report_frequency"),
        **_all("warning", _HEALTH, "background_health_checks", "health_check_interval",
               "health_check_details", "use_shared_health_check", "health_check_concurrency"),
        **_all("warning", _ADMIN, "ui_access_mode", "disable_master_key_return",
               "admin_only_routes", "allowed_routes", "public_routes",
               "enable_public_model_hub", "allowed_ips", "user_mcp_management_mode",
               "infer_model_from_keys", "mcp_internal_ip_ranges"),
        **_all("warning", _ENDPOINTS, "pass_through_endpoints", "image_generation_model",
               "embedding_model", "moderation_model", "use_client_credentials_pass_through_routes",
               "mcp_servers", "forward_llm_provider_auth_headers"),
        **_all("warning", _LATER + "every request names its model", "completion_model"),
        **_all("warning", _LATER + "write spec.client.limits.maxParallelRequests of each ApiKey",
               "max_parallel_requests", "global_max_parallel_requests",
               "disable_retry_on_max_parallel_request_limit_error"),
        **_all("warning", _LATER + "spec.client.endUsers.required: true of each ApiKey refuses "
               "requests without one", "enforce_user_param", "enforced_params"),
        **_all("warning", _LATER + "the end user is in x-sluicegate-end-user or the request's user",
               "user_header_name", "user_header_mappings"),
        **_all("warning", _LATER + "write spec.headers of a deployment",
               "forward_client_headers_to_llm_api", "forward_openai_org_id"),
        **_all("warning", _LATER + "serve --max-body says how large a request may be",
               "max_request_size_mb", "max_response_size_mb"),
        **_all("warning", _LATER + "the ledger holds no prompts and no answers",
               "store_prompts_in_spend_logs", "maximum_spend_logs_retention_period",
               "maximum_spend_logs_retention_interval"),
        **_all("note", _NOTHING + "spending is always recorded", "disable_spend_logs",
               "disable_spend_updates", "disable_reset_budget", "proxy_budget_rescheduler_min_time",
               "proxy_budget_rescheduler_max_time", "proxy_batch_write_at",
               "proxy_batch_polling_interval"),
        **_all("note", _NOTHING + "an answer's id works for its own key only",
               "disable_responses_id_security"),
        **_all("warning", _LATER + "tags come from the ApiKey and x-sluicegate-tags",
               "reject_clientside_metadata_tags", "use_x_forwarded_for"),
        **_all("note", _NOTHING + "there is no license key", "litellm_license"),
        **_all("warning", _CALLBACK, "otel"),
    }
)  # fmt: skip
TOP: Advice = MappingProxyType(
    {
        **_all("warning", _GUARD, "guardrails", "policies", "policy_attachments"),
        **_all("warning", _LATER + "MCP tools go to the provider as the client sends them",
               "mcp_servers", "mcp_aliases", "mcp_tools"),
        **_all("warning", _CALLBACK, "callback_settings"),
        **_all("warning", _ENDPOINTS, "files_settings", "finetune_settings", "assistant_settings",
               "vector_store_registry", "search_tools", "pass_through_endpoints", "agents",
               "agent_list"),
        **_all("warning", _LATER + "clients send their instructions, or "
               "spec.parameters.defaults.instructions says them", "prompts"),
        **_all("warning", _KEYS, "default_team_settings", "team_settings", "worker_registry"),
    }
)  # fmt: skip


_DESCRIPTION: tuple[Severity, str] = "note", "only described the model to LiteLLM's own clients"


def report(section: Section, table: Advice) -> None:
    """Say what nobody took."""
    # Of a model's description anything may be in there.
    other = _DESCRIPTION if table is MODEL_INFO else None
    for key, value in section.left():
        place = section.place(key)
        known = table.get(key) or _by_form(key) or other
        if value in (False, "", [], {}) and not (known is not None and known[1] is _TLS):
            section.findings.note(place, "is off or empty: nothing is lost")
        elif known is not None:
            section.findings.add(place, *known)
        else:
            close = difflib.get_close_matches(key, table, n=1, cutoff=0.85)
            hint = f"; did you mean {shown(close[0])}?" if close else ""
            section.findings.warning(
                place, f"has no counterpart that is known, and is left out{hint}"
            )


def _by_form(key: str) -> tuple[Severity, str] | None:
    """What a key's name says, for those that there are too many of."""
    if key.startswith("supports_"):
        return "note", _NOTHING + "what a model can do is known of each provider"
    if "_cost" in key:
        return "warning", (
            _LATER + "prices are per input, cached, cache-write, output and reasoning token"
        )
    return None
