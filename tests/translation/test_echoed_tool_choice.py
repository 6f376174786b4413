"""The choice among tools that a translated answer repeats, as strict clients read it."""

import json

import pytest

from event_grammar import JsonObject, check_answer
from sluicegate.api.answer import echo
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.api.stream import ResponseStream, fold
from sluicegate.model import Usage


def echoed(choice: object, tool: JsonObject) -> object:
    """Of a whole answer, which is judged by the types of openai-python."""
    body = {"model": "m", "input": "hi", "tools": [tool], "tool_choice": choice}
    parameters = decode_parameters(decode_request(json.dumps(body).encode()))
    told = ResponseStream(echo(parameters, store=False), "m", whole=True)
    told.text("Found.")
    response: JsonObject = json.loads(fold(told.finish(Usage(1, 2, 3))[-1]))
    check_answer(response)
    return response["tool_choice"]


@pytest.mark.parametrize(
    "kind",
    [
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    ],
)
def test_a_forced_search_has_the_name_that_the_types_know(kind: str) -> None:
    assert echoed({"type": kind}, {"type": "web_search"}) == {"type": "web_search_preview"}


def test_any_other_choice_is_repeated_as_it_was_made() -> None:
    function: JsonObject = {"type": "function", "name": "web_search", "parameters": {}}
    forced = {"type": "function", "name": "web_search"}
    assert echoed(forced, function) == forced
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    assert echoed(allowed, {"type": "web_search"}) == allowed
