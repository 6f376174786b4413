"""What Converse makes of each part of a request; checks and documentation read it alike."""

from __future__ import annotations

from types import MappingProxyType

from sluicegate.api.support import Row, Support, SupportTable

SUPPORT: SupportTable = MappingProxyType(
    {
        "instructions": Row(Support.NATIVE, "`system`"),
        "max_output_tokens": Row(Support.NATIVE, "`inferenceConfig.maxTokens`"),
        "temperature": Row(
            Support.NATIVE, "0 to 1; not for Claude 4.7 and later, nor while Claude thinks"
        ),
        "top_p": Row(Support.NATIVE, "not for Claude 4.7 and later; 0.95 to 1 while Claude thinks"),
        "include.reasoning.encrypted_content": Row(
            Support.MAPPED, "signatures and redacted reasoning, always included"
        ),
        "parallel_tool_calls": Row(
            Support.MAPPED, "false: of several calls in one answer only the first is passed on"
        ),
        "service_tier": Row(Support.NATIVE, "default, flex, priority"),
        "text.format.json_schema": Row(
            Support.MAPPED,
            "`outputConfig.textFormat` where the model has it and the schema closes its objects "
            "(and, on Claude, does not recur and says what each part is), "
            "else a tool that has to be called, whose input becomes the text",
        ),
        "text.format.json_object": Row(
            Support.MAPPED, "a tool that has to be called, whose input becomes the text"
        ),
        "text.verbosity": Row(Support.HINT),
        "reasoning.effort": Row(
            Support.MAPPED,
            "Claude: a budget of tokens (3.7 to 4.5) or adaptive; gpt-oss: `reasoning_effort`; "
            "Nova 2: `reasoningConfig`; others refuse it; left out where a tool is forced",
        ),
        "reasoning.summary": Row(Support.MAPPED, "reasoning that the model shows, always"),
        "reasoning.context": Row(Support.HINT),
        "metadata": Row(Support.MAPPED, "`requestMetadata`, as far as its characters allow"),
        "user": Row(Support.MAPPED, "`requestMetadata.user`"),
        "safety_identifier": Row(Support.MAPPED, "`requestMetadata.user`"),
        "prompt_cache_key": Row(Support.HINT),
        "prompt_cache_retention": Row(
            Support.MAPPED, "24h: cache points of an hour; the parts' own breakpoints set them"
        ),
        "prompt_cache_options": Row(Support.HINT),
        "stream_options": Row(Support.HINT),
        "truncation": Row(Support.HINT, "input that does not fit is refused upstream"),
        "client_metadata": Row(Support.HINT),
        "background_options": Row(Support.HINT, "without `background` they say nothing"),
    }
)
CONTENT_SUPPORT: SupportTable = MappingProxyType(
    {
        "message.system": Row(Support.NATIVE, "`system`, wherever they stood"),
        "input_image.data": Row(Support.NATIVE, "PNG, JPEG, GIF, WebP; `detail` is not sent"),
        "input_image.url": Row(Support.REFUSED),
        "input_file.data": Row(
            Support.NATIVE, "PDF, CSV, Word, Excel, HTML, Markdown, other text; by type or name"
        ),
        "input_file.url": Row(Support.REFUSED),
        "file_id": Row(Support.REFUSED),
        "function_call_output.media": Row(Support.NATIVE, "inside the result"),
        "reasoning": Row(
            Support.MAPPED, "signed or redacted reasoning of the same model; other is left out"
        ),
        "web_search_call": Row(
            Support.HINT, "left out: what it found is in the answer that followed"
        ),
        "image_generation_call": Row(Support.UNSUPPORTED),
        "item_reference": Row(Support.REFUSED),
        "items.other": Row(Support.UNSUPPORTED),
        "stored": Row(Support.REFUSED),
        "tools.function": Row(Support.NATIVE),
        "tools.function.strict": Row(
            Support.NATIVE,
            "Claude since 4.5, gpt-oss, Qwen3, where `json_schema` would be native; else as if "
            "not strict",
        ),
        "tools.custom": Row(
            Support.MAPPED, "a function of one text; a grammar is told, not enforced"
        ),
        "tools.namespace": Row(Support.MAPPED, "functions named `namespace__name`"),
        "tools.web_search": Row(
            Support.MAPPED, "Nova 2 and Nova Premier: `nova_grounding`; others don't have it"
        ),
        "tools.other": Row(Support.UNSUPPORTED),
        "tool_choice.none": Row(Support.MAPPED, "no tools are sent; earlier calls become text"),
        "tool_choice.required": Row(Support.NATIVE, "`any`"),
        "tool_choice.function": Row(Support.NATIVE, "`tool`"),
        "tool_choice.allowed_tools": Row(Support.MAPPED, "the other tools are not sent"),
        "tool_choice.web_search": Row(Support.REFUSED),
    }
)
# Types of hosted tools that a grounding model stands in for (Nova user guide, "Web grounding").
WEB_SEARCH = frozenset(
    {"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"}
)
