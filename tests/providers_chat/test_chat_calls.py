"""Which piece of a call belongs to which call, whatever the server's habits."""

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_wire import (
    CUSTOM,
    FUNCTION,
    NAMESPACE,
    answered,
    asking,
    call,
    calls,
    chunk,
    end,
    hear,
    piece,
    start,
    texts,
    thoughts,
)
from event_grammar import JsonObject, read_stream

TOOLS: JsonObject = {"tools": [FUNCTION, CUSTOM, NAMESPACE]}


def called(*chunks: bytes) -> list[tuple[str, str]]:
    """Id and arguments of each call of an answer."""
    response = answered(start(), *chunks, end("tool_calls"), body=TOOLS)
    return [(item["call_id"], item["arguments"]) for item in response["output"]]


A, B = '{"city": "A"}', '{"city": "B"}'
WHOLE: dict[str, bytes] = {
    "as OpenAI": call(0, "weather", '{"city"', ': "A"}', id_="a")
    + call(1, "weather", '{"city"', ': "B"}', id_="b"),
    "all in one chunk": chunk(
        {
            "tool_calls": [
                piece(A, name="weather", id_="a"),
                piece(B, index=1, name="weather", id_="b"),
            ]
        }
    ),
    "all in one chunk without an index": chunk(
        {
            "tool_calls": [
                piece(A, index=None, name="weather", id_="a"),
                piece(B, index=None, name="weather", id_="b"),
            ]
        }
    ),
    "always the first index": calls(
        piece(A, name="weather", id_="a"), piece(B, name="weather", id_="b")
    ),
    "the first index, in pieces": calls(
        piece("", name="weather", id_="a"),
        piece(A[:5]),
        piece(A[5:]),
        piece("", name="weather", id_="b"),
        piece(B[:5]),
        piece(B[5:]),
    ),
    "no index, in pieces": calls(
        piece("", index=None, name="weather", id_="a"),
        piece(A[:5], index=None),
        piece(A[5:], index=None),
        piece(B[:5], index=None, name="weather", id_="b"),
        piece(B[5:], index=None),
    ),
    "no index, ids in each piece, in turn": calls(
        piece("", index=None, name="weather", id_="a"),
        piece("", index=None, name="weather", id_="b"),
        piece(A[:5], index=None, id_="a"),
        piece(B[:5], index=None, id_="b"),
        piece(A[5:], index=None, id_="a"),
        piece(B[5:], index=None, id_="b"),
    ),
    "indices from one on": call(1, "weather", A, id_="a") + call(2, "weather", B, id_="b"),
    "indices in turn": calls(
        piece("", name="weather", id_="a"),
        piece("", index=1, name="weather", id_="b"),
        piece(B[:5], index=1),
        piece(A[:5]),
        piece(A[5:]),
        piece(B[5:], index=1),
    ),
    "the name in each piece": calls(
        piece(A[:5], name="weather", id_="a"),
        piece(A[5:], name="weather", id_="a"),
        piece(B[:5], index=1, name="weather", id_="b"),
        piece(B[5:], index=1, name="weather", id_="b"),
    ),
    "id before name": calls(
        piece(id_="a"),
        piece(name="weather"),
        piece(A),
        piece(index=1, id_="b"),
        piece(B[:5], index=1),
        piece(B[5:], index=1, name="weather"),
    ),
    "another id in each piece": calls(
        piece("", name="weather", id_="a"),
        piece(A[:5], id_="a2"),
        piece(A[5:], id_="a3"),
        piece("", index=1, name="weather", id_="b"),
        piece(B, index=1, id_="b2"),
    ),
    "said twice": call(0, "weather", A, id_="a")
    + call(1, "weather", B, id_="b")
    + calls(piece(A, name="weather", id_="a"), piece(B, index=1, name="weather", id_="b"))
    + calls(piece("", name=""), piece(None, index=1)),
    "arguments as objects": chunk(
        {
            "tool_calls": [
                {"id": "a", "function": {"name": "weather", "arguments": {"city": "A"}}},
                {"id": "b", "function": {"name": "weather", "arguments": {"city": "B"}}},
            ]
        }
    ),
}


@pytest.mark.parametrize("stream", WHOLE.values(), ids=WHOLE.keys())
def test_two_calls(stream: bytes) -> None:
    found = called(stream)
    assert [call_id for call_id, _ in found] == ["a", "b"]
    assert [json.loads(arguments) for _, arguments in found] == [{"city": "A"}, {"city": "B"}]


NAMELESS: dict[str, bytes] = {
    "no ids": call(0, "weather", A).replace(b'"id": "call_0", ', b"")
    + call(1, "weather", B).replace(b'"id": "call_1", ', b""),
    "neither id nor index": calls(
        piece(A, index=None, name="weather"), piece(B, index=None, name="weather")
    ),
    "the first index without an id": calls(piece(A, name="weather"), piece(B, name="weather")),
    "empty ids": calls(piece(A, name="weather", id_=""), piece(B, index=1, name="weather", id_="")),
    "the same id": calls(
        piece(A, name="weather", id_="x"), piece(B, index=1, name="weather", id_="x")
    ),
    "ids too long": calls(
        piece(A, name="weather", id_="a" * 65), piece(B, index=1, name="weather", id_="b" * 65)
    ),
}


@pytest.mark.parametrize("stream", NAMELESS.values(), ids=NAMELESS.keys())
def test_calls_have_ids_of_their_own(stream: bytes) -> None:
    found = called(stream)
    assert [json.loads(arguments) for _, arguments in found] == [{"city": "A"}, {"city": "B"}]
    assert len({call_id for call_id, _ in found}) == 2
    assert all(0 < len(call_id) <= 64 for call_id, _ in found)


@pytest.mark.parametrize("index", [None, 0])
def test_a_call_without_arguments_gets_none_of_the_next(index: int | None) -> None:
    response = answered(
        start(),
        calls(piece("", index=index, name="weather"), piece(A, index=index, name="crm__find")),
        end("tool_calls"),
        body=TOOLS,
    )
    told = [(item["name"], item["arguments"]) for item in response["output"]]
    assert told == [("weather", "{}"), ("find", A)]


def test_the_older_form_of_a_call() -> None:
    response = answered(
        start(),
        chunk({"function_call": {"name": "weather", "arguments": ""}}),
        chunk({"function_call": {"arguments": A[:5]}}),
        chunk({"function_call": {"arguments": A[5:]}}),
        end("function_call"),
        body=TOOLS,
    )
    (item,) = response["output"]
    assert (item["name"], item["arguments"]) == ("weather", A)


@pytest.mark.parametrize("arguments", [[], [""], ["{}"], ["{", "}"]])
def test_a_call_without_arguments(arguments: list[str]) -> None:
    ((_, found),) = called(call(0, "weather", *arguments))
    assert found == "{}"


def test_two_calls_without_arguments() -> None:
    found = called(call(0, "weather"), call(1, "weather"))
    assert [arguments for _, arguments in found] == ["{}", "{}"]


def test_calls_stream_as_they_come() -> None:
    made = asking(TOOLS)
    made.feed(start())
    seen = [
        [event.type.rpartition(".")[2] for event in made.feed(data)]
        for data in (
            calls(piece("", name="weather", id_="a")),
            calls(piece(A[:5])),
            calls(piece(A[5:])),
            calls(piece("", index=1, name="weather", id_="b")),
            calls(piece(B, index=1)),
        )
    ]
    assert seen == [["added"], ["delta"], ["delta"], ["done", "done", "added"], ["delta"]]


def test_names_come_back_as_the_client_knows_them() -> None:
    response = answered(
        start()
        + call(0, "patch", '{"input": "text"}')
        + call(1, "crm__find", "{}")
        + call(2, "unknown", "{}")
        + end("tool_calls"),
        body=TOOLS,
    )
    custom, inner, unknown = response["output"]
    assert (custom["type"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "patch",
        "text",
    )
    assert (inner["name"], inner["namespace"]) == ("find", "crm")
    assert (unknown["name"], "namespace" in unknown) == ("unknown", False)


def test_an_empty_piece_is_no_call() -> None:
    response = answered(
        start() + chunk({"tool_calls": [{}]}) + chunk({"tool_calls": [{"index": 0}]}) + end(),
        body=TOOLS,
    )
    assert response["output"] == []


def test_arguments_without_a_name_break_the_answer() -> None:
    response = answered(start() + texts("I") + calls(piece("{}")) + end("tool_calls"), body=TOOLS)
    assert response["status"] == "failed"
    assert [item["type"] for item in response["output"]] == ["message"]


# ------------------------------------------------------------------------------ what stands between


def kinds(*chunks: bytes) -> list[str]:
    response = answered(start(), *chunks, end("tool_calls"), body=TOOLS)
    return [item["type"] for item in response["output"]]


def test_what_follows_a_whole_call_follows_it() -> None:
    found = kinds(call(0, "weather", A), texts("and"), thoughts("hm"), call(1, "weather", B))
    assert found == ["function_call", "message", "reasoning", "function_call"]


def test_what_is_said_within_a_call_follows_the_calls() -> None:
    response = answered(
        start(),
        call(0, "weather", A[:5]),
        texts("an"),
        calls(piece(A[5:])),
        call(1, "weather", B[:5]),
        thoughts("hm"),
        chunk({"refusal": "no"}),
        texts("d"),
        calls(piece(B[5:], index=1)),
        end("tool_calls"),
        body=TOOLS,
    )
    first, second = response["output"][:2]
    assert (first["arguments"], second["arguments"]) == (A, B)
    rest = response["output"][2:]
    assert [item["type"] for item in rest] == ["message", "reasoning", "message"]
    assert rest[0]["content"][0]["text"] == "an"


def test_a_cut_call_is_incomplete() -> None:
    response = answered(start() + call(0, "weather", A[:5]) + end("length"), body=TOOLS)
    (item,) = response["output"]
    assert (item["status"], item["arguments"]) == ("incomplete", A[:5])


# ------------------------------------------------------------------------------------ any arguments

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS: Any = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def in_pieces(text: str, places: list[int]) -> list[str]:
    cuts = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(cuts)]


@settings(max_examples=150)
@given(
    objects=st.lists(OBJECTS, min_size=1, max_size=4),
    places=st.lists(st.integers(0, 500), max_size=8),
    order=st.randoms(use_true_random=False),
    ascii_only=st.booleans(),
)
def test_any_pieces_in_any_turn(
    objects: list[Any], places: list[int], order: random.Random, ascii_only: bool
) -> None:
    queues = [
        [
            piece("", index=index, name="weather", id_=f"c{index}"),
            *(
                piece(part, index=index)
                for part in in_pieces(json.dumps(value, ensure_ascii=ascii_only), places)
            ),
        ]
        for index, value in enumerate(objects)
    ]
    mixed: list[JsonObject] = [queue.pop(0) for queue in queues]
    while any(queues):
        mixed.append(order.choice([queue for queue in queues if queue]).pop(0))
    made = asking(TOOLS)
    events = hear(made, start(), *(calls(one) for one in mixed), end("tool_calls"))
    response = read_stream((event.frame for event in events), strict=False)
    found = [(item["call_id"], json.loads(item["arguments"])) for item in response["output"]]
    assert found == [(f"c{index}", value) for index, value in enumerate(objects)]


@settings(max_examples=100)
@given(
    objects=st.lists(OBJECTS, min_size=2, max_size=4),
    places=st.lists(st.integers(0, 500), max_size=8),
)
def test_one_after_the_other_is_never_held_back(objects: list[Any], places: list[int]) -> None:
    made = asking(TOOLS)
    made.feed(start())
    for index, value in enumerate(objects):
        opened = made.feed(calls(piece("", index=index, name="weather", id_=f"c{index}")))
        assert opened[-1].type == "response.output_item.added"
        for part in in_pieces(json.dumps(value), places):
            assert len(made.feed(calls(piece(part, index=index)))) == 1
