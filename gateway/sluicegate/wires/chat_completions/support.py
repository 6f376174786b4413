"""What chat completions make of each part of a request.

"OpenAI" in a note is OpenAI's own service and Azure OpenAI; other servers are sent what most of
them know.
"""

from __future__ import annotations

from types import MappingProxyType

from sluicegate.api.support import Row, Support, SupportTable

_NATIVE, _MAPPED = Support.NATIVE, Support.MAPPED
_HINT, _UNSUPPORTED, _REFUSED = Support.HINT, Support.UNSUPPORTED, Support.REFUSED

SUPPORT: SupportTable = MappingProxyType(
    {
        "instructions": Row(_NATIVE, "the first message, of role `system`"),
        "max_output_tokens": Row(_NATIVE, "`max_tokens`; OpenAI: `max_completion_tokens`"),
        "temperature": Row(_NATIVE),
        "top_p": Row(_NATIVE),
        "presence_penalty": Row(_NATIVE),
        "frequency_penalty": Row(_NATIVE),
        "top_logprobs": Row(_NATIVE, "with `logprobs`"),
        "include.message.output_text.logprobs": Row(_NATIVE, "`logprobs`"),
        "include.reasoning.encrypted_content": Row(_NATIVE, "always there"),
        "max_tool_calls": Row(_HINT, "it counts tools that the API runs, and there are none"),
        "parallel_tool_calls": Row(_NATIVE),
        "truncation": Row(_HINT, "input that does not fit is the upstream's to cut or refuse"),
        "service_tier": Row(_NATIVE, "`default` is sent to OpenAI only; `ultrafast`: unsupported"),
        "text.format.json_schema": Row(_NATIVE, "`response_format`"),
        "text.format.json_object": Row(_NATIVE, "`response_format`"),
        "text.verbosity": Row(_NATIVE, "OpenAI; others are not told"),
        "reasoning.effort": Row(
            _NATIVE, "`reasoning_effort`; unsupported where modelInfo.reasoning is None"
        ),
        "reasoning.summary": Row(_HINT, "the reasoning itself, where the upstream shows it"),
        "reasoning.mode": Row(_UNSUPPORTED),
        "reasoning.context": Row(_HINT),
        "metadata": Row(_HINT, "upstreams take it only with what they store"),
        "user": Row(_NATIVE, "others than OpenAI: unless there is a safety_identifier"),
        "safety_identifier": Row(_NATIVE, "OpenAI; others: `user`"),
        "prompt_cache_key": Row(_NATIVE, "OpenAI; others are not told"),
        "prompt_cache_retention": Row(_NATIVE, "OpenAI; others are not told"),
        "prompt_cache_options": Row(_NATIVE, "OpenAI; others are not told"),
        "stream_options": Row(_HINT, "usage is always asked for"),
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
        "message.system": Row(_NATIVE, "messages of role `system`, where they stand"),
        "input_image.data": Row(_NATIVE),
        "input_image.url": Row(_NATIVE),
        "input_file.data": Row(_NATIVE),
        "input_file.url": Row(_REFUSED),
        "file_id": Row(_REFUSED),
        "function_call_output.media": Row(_MAPPED, "in a message of the user after the results"),
        "reasoning": Row(
            _MAPPED, "goes back beside calls, until the user speaks; that of others is left out"
        ),
        "web_search_call": Row(_HINT, "left out: what it found is in the answer that followed"),
        "image_generation_call": Row(_UNSUPPORTED),
        "item_reference": Row(_UNSUPPORTED),
        "items.other": Row(_UNSUPPORTED),
        "stored": Row(_REFUSED),
        "tools.function": Row(_NATIVE),
        "tools.function.strict": Row(_NATIVE),
        "tools.custom": Row(_MAPPED, "a function of one text; a grammar is told, not enforced"),
        "tools.namespace": Row(_MAPPED, "functions named `namespace__name`"),
        "tools.web_search": Row(_UNSUPPORTED),
        "tools.other": Row(_UNSUPPORTED),
        "tool_choice.none": Row(_NATIVE),
        "tool_choice.required": Row(_NATIVE),
        "tool_choice.function": Row(_NATIVE),
        "tool_choice.allowed_tools": Row(_MAPPED, "the other tools are not sent"),
        "tool_choice.web_search": Row(_REFUSED),
    }
)
