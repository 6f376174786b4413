"""`litellm_params.model` and what goes with it to `spec.provider` and `spec.credentials`.

One reader for each prefix of a model (LiteLLM, "Providers").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from sluicegate.litellm_config.bedrock_models import bedrock
from sluicegate.litellm_config.entry import Entry, Reader, Upstream, base_url, single_key
from sluicegate.litellm_config.google_models import gemini, vertex
from sluicegate.litellm_config.openai_servers import Compatible, azure, openai
from sluicegate.litellm_config.secrets import JsonObject


def anthropic(entry: Entry) -> Upstream:
    """Anthropic's Messages API."""
    fields: JsonObject = {"model": entry.model}
    base = base_url(entry, cut=re.compile(r"(/v1)?(/messages)?/?$"))
    if base is not None:
        fields["baseURL"] = base
    return Upstream("anthropic", fields, single_key(entry, "ANTHROPIC_API_KEY"))


# Base URLs as these services document them for OpenAI's SDK.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "openai": openai,
        "azure": azure,
        "azure_ai": azure,
        "anthropic": anthropic,
        "gemini": gemini,
        "vertex_ai": vertex,
        "vertex_ai_beta": vertex,
        "bedrock": bedrock,
        "bedrock_converse": bedrock,
        "custom_openai": Compatible(None, None),
        "openai_like": Compatible(None, None),
        "hosted_vllm": Compatible(None, None),
        "litellm_proxy": Compatible(None, "LITELLM_PROXY_API_KEY", "Responses"),
        "llamafile": Compatible("http://127.0.0.1:8080/v1", None),
        "lm_studio": Compatible(None, None),
        "xinference": Compatible(None, None),
        "ollama": Compatible("http://127.0.0.1:11434/v1", None, version="/v1"),
        "ollama_chat": Compatible("http://127.0.0.1:11434/v1", None, version="/v1"),
        "cerebras": Compatible("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        "deepinfra": Compatible("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        "deepseek": Compatible("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        "fireworks_ai": Compatible("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
        "groq": Compatible("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        "mistral": Compatible("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        "moonshot": Compatible("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
        "nvidia_nim": Compatible("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
        "openrouter": Compatible("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "perplexity": Compatible("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
        "sambanova": Compatible("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
        "together_ai": Compatible("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
        "xai": Compatible("https://api.x.ai/v1", "XAI_API_KEY", "Responses"),
    }
)
# LiteLLM knows models without a prefix from its list of models; these patterns tell the same.
_BARE = (
    (re.compile(r"(gpt-|o[0-9]|chatgpt-|codex-|ft:)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "vertex_ai"),
    (
        re.compile(
            r"((us|eu|apac|global)\.)?"
            r"(ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\."
        ),
        "bedrock",
    ),
    (re.compile(r"arn:aws"), "bedrock"),
)


def split_model(model: str, chosen: str | None) -> tuple[str, str] | None:
    """(prefix, model) of `litellm_params.model`; `chosen` is `custom_llm_provider`."""
    prefix, slash, rest = model.partition("/")
    if chosen is not None:
        return chosen, rest if slash and prefix == chosen else model
    if slash and rest and not model.startswith("arn:"):
        return prefix, rest
    return next(((name, model) for pattern, name in _BARE if pattern.match(model)), None)
