"""Request parameters in `litellm_params` to `spec.parameters`.

LiteLLM's are those of Chat Completions; here they are those of Responses (OpenAI, "Migrate to the
Responses API").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sluicegate.litellm_config.secrets import JsonObject
from sluicegate.litellm_config.values import Section
from sluicegate.resources.yaml_documents import JsonValue

_SAME = (
    "temperature",
    "top_p",
    "top_logprobs",
    "parallel_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "metadata",
    "truncation",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "reasoning",
    "text",
)
_LIMITS = ("max_completion_tokens", "max_tokens")  # the first that is there holds
# Where a parameter of Chat Completions is in Responses; None: nowhere.
_NAMES: Mapping[str, str | None] = MappingProxyType(
    {
        **{name: name for name in _SAME},
        **dict.fromkeys(_LIMITS, "max_output_tokens"),
        "reasoning_effort": "reasoning",
        "verbosity": "text",
        "response_format": "text",
        "tools": "tools",
        "tool_choice": "tool_choice",
    }
)
_WITHOUT = "has no counterpart in the Responses API: "
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "n": _WITHOUT + "a client sends several requests",
        "stop": _WITHOUT + "a client cuts the text off by itself",
        "seed": _WITHOUT + "temperature: 0 makes answers as alike as they get",
        "presence_penalty": _WITHOUT + "say it in the instructions",
        "frequency_penalty": _WITHOUT + "say it in the instructions",
        "logit_bias": _WITHOUT + "say it in the instructions",
        "logprobs": "has no counterpart: set top_logprobs, and include: "
        "[message.output_text.logprobs]",
        "top_k": _WITHOUT + "set top_p",
        "min_p": _WITHOUT + "set top_p",
        "thinking": "has no counterpart: write reasoning_effort, which becomes reasoning.effort",
        "modalities": _WITHOUT + "text is what it answers with",
        "audio": _WITHOUT + "text is what it answers with",
        "prediction": _WITHOUT + "clients have to leave it out",
        "functions": "is an old form: clients send tools",
        "function_call": "is an old form: clients send tool_choice",
        "tools": "is not taken over, because tools of Chat Completions have another form: write "
        "spec.parameters.defaults.tools in the form of Responses",
        "tool_choice": "is not taken over, because it goes with tools: write it into "
        "spec.parameters.defaults",
        "stream": "is for the client to set",
        "stream_options": "is for the client to set; usage is in every stream",
        "store": "is for the client to set",
        "messages": "is not taken over: write spec.parameters.defaults.instructions",
        "web_search_options": "has no counterpart: clients send the tool web_search",
        "extra_body": "is not taken over: write what the provider's API knows into "
        "spec.parameters.overrides",
        "extra_query": "has no counterpart: put a proxy that adds it behind baseURL",
    }
)


def defaults(params: Section) -> JsonObject:
    """`spec.parameters.defaults`."""
    found: JsonObject = {}
    for name in _SAME:
        value = params.take(name)
        if value is not None:
            found[name] = _resolved(params, name, value)
    _limit(params, found)
    for name, put in _PUT.items():
        value = params.take(name)
        if value is not None:
            put(params, found, value)
    for name, advice in _REFUSED.items():
        if params.take(name) is not None:
            params.findings.warning(params.place(name), advice)
    return {name: value for name, value in found.items() if value is not None}


def _resolved(params: Section, name: str, value: JsonValue) -> JsonValue:
    return params.resolve(value, params.place(name)) if isinstance(value, str) else value


def _limit(params: Section, found: JsonObject) -> None:
    for name in _LIMITS:
        limit = params.whole(name)
        if limit is not None and limit > 0:
            found.setdefault("max_output_tokens", limit)


def _effort(params: Section, found: JsonObject, value: JsonValue) -> None:
    if isinstance(value, str):
        _merge(found, "reasoning", {"effort": value})
    elif isinstance(value, dict):
        _merge(found, "reasoning", value)
    else:
        params.wrong("reasoning_effort", "must be a string, as in low or high")


def _verbosity(params: Section, found: JsonObject, value: JsonValue) -> None:
    if isinstance(value, str):
        _merge(found, "text", {"verbosity": value})
    else:
        params.wrong("verbosity", "must be a string, as in low or high")


def _format(params: Section, found: JsonObject, value: JsonValue) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    schema = value.get("json_schema") if isinstance(value, dict) else None
    if kind in {"text", "json_object"}:
        _merge(found, "text", {"format": {"type": kind}})
    elif kind == "json_schema" and isinstance(schema, dict):
        _merge(found, "text", {"format": {"type": "json_schema", **schema}})
    else:
        params.wrong("response_format", "must be a mapping with type: json_object or json_schema")


_PUT: Mapping[str, Callable[[Section, JsonObject, JsonValue], None]] = MappingProxyType(
    {"reasoning_effort": _effort, "verbosity": _verbosity, "response_format": _format}
)


def _merge(found: JsonObject, name: str, value: JsonObject) -> None:
    before = found.get(name)
    found[name] = {**value, **(before if isinstance(before, dict) else {})}


def overrides(params: Section) -> JsonObject:
    """`spec.parameters.overrides`: null takes a parameter out, as `additional_drop_params` does."""
    found: JsonObject = {}
    for name in params.texts("additional_drop_params"):
        known = _NAMES.get(name)
        # Of a parameter that became a part of another one, that part alone can't be taken out.
        if known is None or (known != name and name not in _LIMITS):
            params.findings.warning(
                params.place("additional_drop_params"),
                "names a parameter that the Responses API does not have as one of its own; "
                "unsupportedParameters: Drop leaves out what a provider does not know",
            )
        else:
            found[known] = None
    return found
