"""Tools for upstreams that know only functions: renamed, chosen, dropped or refused."""

import json
from collections.abc import Mapping

import msgspec
import pytest

from sluicegate.api.tools import decode_tool_choice, decode_tools
from sluicegate.api.toolset import Choice, Origin, Toolset, function_name, toolset
from sluicegate.model import ApiError

WEATHER: dict[str, object] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object"},
}
PATCH: dict[str, object] = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
GRAMMAR: dict[str, object] = {
    "type": "custom",
    "name": "calc",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: NUMBER"},
}
SPACE: dict[str, object] = {
    "type": "namespace",
    "name": "mail",
    "tools": [{"type": "function", "name": "send"}, {"type": "function", "name": "read"}],
}
SEARCH: dict[str, object] = {"type": "web_search"}


Choosing = str | dict[str, object] | None


def chosen(
    *tools: Mapping[str, object],
    choice: Choosing = None,
    drop: bool = True,
    longest: int = 64,
    hosted: frozenset[str] = frozenset(),
) -> Toolset:
    decoded = decode_tools(msgspec.Raw(json.dumps(tools).encode()))
    if isinstance(choice, dict):
        members = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in choice.items()}
        decided = decode_tool_choice(members, decoded)
    else:
        decided = decode_tool_choice(choice, decoded)
    return toolset(decoded, decided, longest=longest, hosted=hosted, drop=drop)


def names(result: Toolset) -> list[str]:
    return [function.name for function in result.functions]


def test_namespaces_are_flattened_and_restored() -> None:
    result = chosen(WEATHER, SPACE)
    assert names(result) == ["get_weather", "mail__send", "mail__read"]
    assert result.origin("mail__send") == Origin("function", "send", "mail")
    assert result.origin("never_heard_of") == Origin("function", "never_heard_of")


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    result = chosen(PATCH, GRAMMAR)
    patch, calc = result.functions
    assert patch.description == "Edits files."
    assert patch.parameters["required"] == ["input"]
    assert "start: NUMBER" in (calc.description or "")
    assert result.origin("apply_patch") == Origin("custom", "apply_patch")


def test_a_schema_without_a_type_is_an_objects() -> None:
    schema: dict[str, object] = {"properties": {}}
    bare: dict[str, object] = {"type": "function", "name": "f", "parameters": schema}
    assert chosen(bare).functions[0].parameters == {"type": "object", "properties": {}}
    assert chosen({"type": "function", "name": "f"}).functions[0].parameters["type"] == "object"


def test_long_names_are_shortened_and_stay_apart() -> None:
    result = chosen(
        *({"type": "function", "name": "x" * 100 + str(number)} for number in range(3)), longest=64
    )
    assert len(set(names(result))) == 3
    assert all(len(name) <= 64 for name in names(result))
    assert result.origin(names(result)[2]).name == "x" * 100 + "2"
    assert function_name("x" * 100 + "2", None, 64) == names(result)[2]


def test_hosted_tools_are_dropped_refused_or_kept() -> None:
    assert chosen(WEATHER, SEARCH).dropped == ("tools.web_search",)
    with pytest.raises(ApiError) as refused:
        chosen(WEATHER, SEARCH, drop=False)
    assert (refused.value.error.code, refused.value.error.param) == (
        "unsupported_parameter",
        "tools[1].type",
    )
    kept = chosen(SEARCH, hosted=frozenset({"web_search"}), choice={"type": "web_search"})
    assert kept.dropped == ()
    assert kept.choice.hosted == kept.hosted[0]


@pytest.mark.parametrize("choice", [{"type": "web_search"}, "required"])
def test_what_must_be_called_is_never_dropped(choice: Choosing) -> None:
    with pytest.raises(ApiError) as refused:
        chosen(SEARCH, choice=choice)
    assert (refused.value.status, refused.value.error.param) == (400, "tool_choice")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, Choice("auto")),
        ("none", Choice("none")),
        ("required", Choice("required")),
        ({"type": "function", "name": "get_weather"}, Choice("required", "get_weather")),
        ({"type": "function", "name": "send"}, Choice("required", "mail__send")),
        ({"type": "custom", "name": "apply_patch"}, Choice("required", "apply_patch")),
    ],
)
def test_choices(choice: Choosing, expected: Choice) -> None:
    assert chosen(WEATHER, PATCH, SPACE, choice=choice).choice == expected


def test_allowed_tools_leave_the_others_out() -> None:
    allowed: Choosing = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "function", "name": "read"}],
    }
    result = chosen(WEATHER, PATCH, SPACE, choice=allowed)
    assert names(result) == ["apply_patch", "mail__read"]
    assert result.choice == Choice("required")


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(ApiError):
        chosen(WEATHER, WEATHER)


CLASHING: list[dict[str, object]] = [
    {"type": "function", "name": "mail__send"},
    {"type": "custom", "name": "mail__out__send"},
    SPACE,
    {
        "type": "namespace",
        "name": "mail__out",
        "tools": [{"type": "function", "name": "send"}],
    },
    {
        "type": "namespace",
        "name": "mail",
        "tools": [{"type": "function", "name": "out__send"}],
    },
]


@pytest.mark.parametrize("longest", [64, 24])
def test_flattened_names_stay_apart_from_others(longest: int) -> None:
    result = chosen(*CLASHING, longest=longest)
    assert len(set(names(result))) == len(names(result)) == 6
    assert all(len(name) <= longest for name in names(result))
    assert result.origin("mail__send") == Origin("function", "mail__send")
    assert result.origin("mail__out__send") == Origin("custom", "mail__out__send")
    assert result.origin("mail__read") == Origin("function", "read", "mail")
    assert {result.origin(name) for name in names(result)} >= {
        Origin("function", "send", "mail"),
        Origin("function", "send", "mail__out"),
        Origin("function", "out__send", "mail"),
    }
    again = chosen(*reversed(CLASHING), longest=longest)
    assert again.origins == result.origins


@pytest.mark.parametrize("tools", [[WEATHER, WEATHER], [SPACE, SPACE]])
def test_what_is_really_there_twice_is_refused(tools: list[dict[str, object]]) -> None:
    with pytest.raises(ApiError, match="Duplicate tool name"):
        chosen(*tools)
