"""What `generateContent` makes of each part of a request.

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
        "instructions": Row(_NATIVE, "`systemInstruction`"),
        "max_output_tokens": Row(_NATIVE, "`maxOutputTokens`, thoughts included"),
        "temperature": Row(_NATIVE, "not on models since 3.6"),
        "top_p": Row(_NATIVE, "not on models since 3.6"),
        "presence_penalty": Row(_NATIVE, "not on models since 3.6"),
        "frequency_penalty": Row(_NATIVE, "not on models since 3.6"),
        "top_logprobs": Row(_NATIVE, "`logprobs`, on models that have them"),
        "include.message.output_text.logprobs": Row(_NATIVE, "on models that have them"),
        "include.reasoning.encrypted_content": Row(
            _MAPPED, "signatures of calls are always there, with this those of texts too"
        ),
        "max_tool_calls": Row(_UNSUPPORTED),
        "parallel_tool_calls": Row(
            _MAPPED, "false: of several calls in one answer only the first is passed on"
        ),
        "truncation": Row(_HINT, "input that does not fit is refused upstream"),
        "service_tier": Row(_MAPPED, "default, flex, priority; others unsupported"),
        "text.format.json_schema": Row(
            _NATIVE,
            "`responseJsonSchema`; models before 2.5: `responseSchema` with what OpenAPI's subset "
            "can say; models before 3 beside functions or search: an instruction",
        ),
        "text.format.json_object": Row(
            _NATIVE, "`responseMimeType`; models before 3 beside functions: an instruction"
        ),
        "text.verbosity": Row(_HINT),
        "reasoning.effort": Row(
            _MAPPED,
            "`thinkingLevel`, before 3 `thinkingBudget`; none: the least level, where that is "
            "minimal, or no budget",
        ),
        "reasoning.summary": Row(
            _MAPPED, "the thoughts that the API shows, whichever is asked for"
        ),
        "reasoning.mode": Row(_UNSUPPORTED),
        "reasoning.context": Row(_HINT),
        "metadata": Row(_HINT),
        "user": Row(_HINT),
        "safety_identifier": Row(_HINT),
        "prompt_cache_key": Row(_HINT, "prefixes are cached by themselves"),
        "prompt_cache_retention": Row(_HINT),
        "prompt_cache_options": Row(_HINT),
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
        "message.system": Row(_NATIVE, "`systemInstruction`, wherever they stood"),
        "input_image.data": Row(_NATIVE, "`detail` is not sent"),
        "input_image.url": Row(_NATIVE, "models since 2.5; refused by older ones"),
        "input_file.data": Row(_NATIVE, "of any type that `filename` or the data URI tells"),
        "input_file.url": Row(_NATIVE, "models since 2.5; refused by older ones"),
        "file_id": Row(_REFUSED),
        "function_call_output.media": Row(
            _NATIVE, "models before 3: in a message of the user after the results"
        ),
        "reasoning": Row(_MAPPED, "signatures of the same provider and model; other are left out"),
        "web_search_call": Row(_HINT, "left out: what it found is in the answer that followed"),
        "image_generation_call": Row(_MAPPED, "an image of the model's turn, with its signature"),
        "item_reference": Row(_UNSUPPORTED),
        "items.other": Row(_UNSUPPORTED),
        "stored": Row(_REFUSED),
        "tools.function": Row(_NATIVE),
        "tools.function.strict": Row(_MAPPED, "mode `VALIDATED`, which is for all functions"),
        "tools.custom": Row(_MAPPED, "a function of one text; a grammar is told, not enforced"),
        "tools.namespace": Row(_MAPPED, "functions named `namespace__name`"),
        "tools.web_search": Row(
            _NATIVE,
            "`googleSearch`; not beside functions before 3, with filters, with "
            "`external_web_access: false`, or beside a function of that name",
        ),
        "tools.other": Row(_UNSUPPORTED),
        "tool_choice.none": Row(_NATIVE),
        "tool_choice.required": Row(_NATIVE, "mode `ANY`"),
        "tool_choice.function": Row(_NATIVE, "mode `ANY` of one name"),
        "tool_choice.allowed_tools": Row(_MAPPED, "the other tools are not sent"),
        "tool_choice.web_search": Row(_UNSUPPORTED),
    }
)
