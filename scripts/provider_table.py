"""The tables of docs/providers.md, made from what the providers say of themselves in code.

Without an argument it writes them; with `--check` it only says whether the page is current. A table
stands between `<!-- table: NAME -->` and `<!-- /table -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from scripts.generated_page import keep

from sluicegate.api.support import CONTENT, FEATURES, Row, Support, SupportTable
from sluicegate.providers import anthropic, bedrock, gemini, openai, vertex_ai

PAGE = Path(__file__).resolve().parents[1] / "docs" / "providers.md"
_TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>[^\n]*?) -->\n).*?(?P<end><!-- /table -->)", re.DOTALL
)
_PASSED: SupportTable = MappingProxyType(
    dict.fromkeys((*FEATURES, *CONTENT), Row(Support.NATIVE, "passed as it is"))
)
# Names that need more words than they have.
_SPELLED: Mapping[str, str] = MappingProxyType(
    {
        "parallel_tool_calls": "`parallel_tool_calls: false`",
        "truncation": "`truncation: auto`",
        "service_tier": "`service_tier`, not `auto`",
        "reasoning.mode": "`reasoning.mode: pro`",
        "include.message.output_text.logprobs": "`include`: `message.output_text.logprobs`",
        "include.reasoning.encrypted_content": "`include`: `reasoning.encrypted_content`",
        "message.system": "messages of `system` and `developer`",
        "input_image.data": "`input_image`, data URI",
        "input_image.url": "`input_image`, URL",
        "input_file.data": "`input_file`, data",
        "input_file.url": "`input_file`, URL",
        "file_id": "images and files by `file_id`",
        "function_call_output.media": "images and files in a tool's output",
        "reasoning": "`reasoning` items",
        "web_search_call": "`web_search_call` items",
        "image_generation_call": "`image_generation_call` items",
        "item_reference": "`item_reference`, `compaction` items",
        "items.other": "other items",
        "stored": "`previous_response_id`, `conversation`, `background`, `prompt`",
        "tools.function": "functions",
        "tools.function.strict": "functions with `strict`",
        "tools.custom": "`custom` tools",
        "tools.namespace": "`namespace` tools",
        "tools.web_search": "`web_search`",
        "tools.other": "other hosted tools",
        "tool_choice.none": "`tool_choice: none`",
        "tool_choice.required": "`tool_choice: required`",
        "tool_choice.function": "`tool_choice` of a function or custom tool",
        "tool_choice.allowed_tools": "`tool_choice` of `allowed_tools`",
        "tool_choice.web_search": "`tool_choice` of `web_search`",
    }
)


class Column(NamedTuple):
    """One way to be served. `parameters` and `content` are by FEATURES and by CONTENT.

    The notes of a column that is `like` another are where they differ.
    """

    name: str
    parameters: SupportTable
    content: SupportTable
    like: str | None = None


COLUMNS = (
    Column("openai", _PASSED, _PASSED),
    Column("openai, ChatCompletions", openai.CHAT_SUPPORT, openai.CHAT_CONTENT_SUPPORT),
    Column("anthropic", anthropic.SUPPORT, anthropic.CONTENT_SUPPORT),
    Column("gemini", gemini.SUPPORT, gemini.CONTENT_SUPPORT),
    Column("vertexAI, google", vertex_ai.SUPPORT, vertex_ai.CONTENT_SUPPORT, like="gemini"),
    Column(
        "vertexAI, anthropic",
        vertex_ai.ANTHROPIC_SUPPORT,
        vertex_ai.ANTHROPIC_CONTENT_SUPPORT,
        like="anthropic",
    ),
    Column("bedrock", bedrock.SUPPORT, bedrock.CONTENT_SUPPORT),
)
_ABSENT = Row(Support.UNSUPPORTED)


def page(text: str) -> str:
    """The page with its tables made anew. Raises KeyError for a table that there is not."""
    tables = _tables()
    return _TABLE.sub(lambda found: found["begin"] + tables[found["name"]] + found["end"], text)


def _tables() -> Mapping[str, str]:
    made = {
        "parameters": _matrix("parameter", FEATURES, [each.parameters for each in COLUMNS]),
        "content": _matrix(
            "items, tools, tool choice", CONTENT, [each.content for each in COLUMNS]
        ),
    }
    return made | {f"notes of {each.name}": _notes(each) for each in COLUMNS}


def _matrix(what: str, names: Sequence[str], tables: Sequence[SupportTable]) -> str:
    heads = [what, *(column.name for column in COLUMNS)]
    rows = [
        [_spelled(name), *(table.get(name, _ABSENT).support.value for table in tables)]
        for name in names
    ]
    return _drawn([heads, ["---"] * len(heads), *rows])


def _notes(column: Column) -> str:
    heads = ["", "is", "how"]
    return _drawn([heads, ["---"] * len(heads), *_noted(column)])


def _noted(column: Column) -> Iterator[Sequence[str]]:
    others = [each for each in COLUMNS if each.name == column.like]
    known: SupportTable = {**others[0].parameters, **others[0].content} if others else {}
    said: SupportTable = {**column.parameters, **column.content}
    for name in (*FEATURES, *CONTENT):
        row = said.get(name, _ABSENT)
        if row != known.get(name, _ABSENT) if known else row.note:
            yield _spelled(name), row.support.value, row.note.replace("|", "\\|")


def _spelled(name: str) -> str:
    return _SPELLED.get(name, f"`{name}`")


def _drawn(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(keep(PAGE, page, "The tables of docs/providers.md."))
