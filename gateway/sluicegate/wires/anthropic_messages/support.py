"""What a Messages API makes of each part of a request.

Where a row says that it depends on the model, capabilities.py decides, and what the model can't do
is refused or dropped as an unsupported parameter is.
"""

from __future__ import annotations

from types import MappingProxyType

from sluicegate.api.support import Row, Support, SupportTable

_NATIVE, _MAPPED = Support.NATIVE, Support.MAPPED
_HINT, _UNSUPPORTED, _REFUSED = Support.HINT, Support.UNSUPPORTED, Support.REFUSED

SUPPORT: SupportTable = MappingProxyType(
    {
        "instructions": Row(_NATIVE, "the first `system` block"),
        "max_output_tokens": Row(_NATIVE, "`max_tokens`; left out: the most the model writes"),
        "temperature": Row(_NATIVE, "0 to 1; not on models that refuse it, nor with a budget"),
        "top_p": Row(_NATIVE, "as temperature; not beside it on models since 4.1"),
        "presence_penalty": Row(_UNSUPPORTED),
        "frequency_penalty": Row(_UNSUPPORTED),
        "top_logprobs": Row(_UNSUPPORTED),
        "include.message.output_text.logprobs": Row(_UNSUPPORTED),
        "include.reasoning.encrypted_content": Row(_NATIVE, "always there"),
        "max_tool_calls": Row(_MAPPED, "`max_uses` of web_search"),
        "parallel_tool_calls": Row(_NATIVE, "`disable_parallel_tool_use`"),
        "truncation": Row(_HINT, "input that does not fit is refused upstream"),
        "service_tier": Row(
            _MAPPED, "default: `standard_only`; priority, scale: `auto`; others unsupported"
        ),
        "text.format.json_schema": Row(
            _NATIVE,
            "models before 4.1, and schemas that the API can't enforce: a forced tool, else an "
            "instruction",
        ),
        "text.format.json_object": Row(_MAPPED, "an instruction"),
        "text.verbosity": Row(_HINT),
        "reasoning.effort": Row(_MAPPED, "adaptive thinking and `effort`, or a thinking budget"),
        "reasoning.summary": Row(
            _MAPPED, "the thinking that the API shows, whichever is asked for"
        ),
        "reasoning.mode": Row(_UNSUPPORTED),
        "reasoning.context": Row(_HINT),
        "metadata": Row(_HINT),
        "user": Row(_MAPPED, "`metadata.user_id`, unless there is a safety_identifier"),
        "safety_identifier": Row(_MAPPED, "`metadata.user_id`"),
        "prompt_cache_key": Row(_MAPPED, "turns caching on; the key itself is not sent"),
        "prompt_cache_retention": Row(_MAPPED, "24h: cached for one hour"),
        "prompt_cache_options": Row(_MAPPED, "mode, and a ttl of one hour"),
        "stream_options": Row(_HINT),
        "client_metadata": Row(_HINT),
        "background_options": Row(_HINT, "there are no background responses"),
        "context_management": Row(_UNSUPPORTED),
        "moderation": Row(_UNSUPPORTED),
        "access_programs": Row(_UNSUPPORTED),
        "image": Row(_UNSUPPORTED),
    }
)

CONTENT_SUPPORT: SupportTable = MappingProxyType(
    {
        "message.system": Row(
            _NATIVE, "`system`; later ones keep their place on models since Opus 4.8, else move up"
        ),
        "input_image.data": Row(_NATIVE, "JPEG, PNG, GIF, WebP; `detail` is not sent"),
        "input_image.url": Row(_NATIVE),
        "input_file.data": Row(_NATIVE, "PDF, and text in UTF-8"),
        "input_file.url": Row(_NATIVE),
        "file_id": Row(_REFUSED),
        "function_call_output.media": Row(_NATIVE, "inside the result"),
        "reasoning": Row(
            _MAPPED, "signed thinking of the same provider and model; other is left out"
        ),
        "web_search_call": Row(_HINT, "left out: what it found is in the answer that followed"),
        "image_generation_call": Row(_UNSUPPORTED),
        "item_reference": Row(_UNSUPPORTED),
        "items.other": Row(_UNSUPPORTED),
        "stored": Row(_REFUSED),
        "tools.function": Row(_NATIVE),
        "tools.function.strict": Row(
            _NATIVE, "the first 20, on models since 4.1, where the API can enforce the schema"
        ),
        "tools.custom": Row(_MAPPED, "a function of one text; a grammar is told, not enforced"),
        "tools.namespace": Row(_MAPPED, "functions named `namespace__name`"),
        "tools.web_search": Row(
            _NATIVE,
            "not on Claude 3 before 3.7, with `external_web_access: false`, or beside a function "
            "of that name",
        ),
        "tools.other": Row(_UNSUPPORTED),
        "tool_choice.none": Row(_NATIVE),
        "tool_choice.required": Row(_NATIVE, "`any`; unsupported on models that can't be forced"),
        "tool_choice.function": Row(_NATIVE, "`tool`; as `required`"),
        "tool_choice.allowed_tools": Row(_MAPPED, "the other tools are not sent"),
        "tool_choice.web_search": Row(_NATIVE, "as `required`"),
    }
)
