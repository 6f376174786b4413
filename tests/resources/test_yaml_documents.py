"""Strict YAML: what kubectl reads, nothing else, with the right line."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.resources.yaml_documents import (
    DocumentError,
    JsonValue,
    line_of,
    parse_document,
    split_documents,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("On", True),
        ("y", True),
        ("no", False),
        ("OFF", False),
        ("~", None),
        ("NULL", None),
        ("2027-06-30", "2027-06-30"),
        ("2027-06-30T00:00:00Z", "2027-06-30T00:00:00Z"),
        ("1:30", "1:30"),
        ("0x1F", 31),
        ("017", 15),
        ("0o17", 15),
        ("0b101", 5),
        ("1_000", 1000),
        ("-7", -7),
        ("08", 8.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("'yes'", "yes"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ("!!int 1", 1),
        ("! 1", "1"),
        ("+", "+"),
        ("Yess", "Yess"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("-1" + "0" * 30, -1e30),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: object) -> None:
    assert parse_document(f"a: {text}") == {"a": value}


@pytest.mark.parametrize(("text", "value"), [("5.0", 5), ("1e3", 1000), ("-0.0", 0), ("08", 8)])
def test_a_whole_number_is_one_however_it_is_written(text: str, value: int) -> None:
    found = parse_document(f"a: {text}")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert isinstance(found["a"], int)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 3, "'c' is there twice"),
        ("a: &x [1]\nb: *y\n", 1, "has no anchor"),
        ("a: &x [*x]\n", 0, "has no anchor"),
        ("a: 1\n1: 2\n", 1, "must be a string"),
        ("yes: 2\n", 0, "must be a string"),
        ("[a]: 2\n", 0, "must be a string"),
        ("? {a: 1}\n: 2\n", 0, "must be a string"),
        ("a: !!python/object:os.system x\n", 0, "is not allowed"),
        ("a: !custom x\n", 0, "is not allowed"),
        ("a: !!binary aGk=\n", 0, "is not allowed"),
        ("a: !!int x\n", 0, "not what its tag"),
        ("a: .nan\n", 0, "NaN"),
        ("a: -.INF\n", 0, "NaN"),
        ("a: 1e999\n", 0, "too large"),
        ("a:\n  - 0xFFFFFFFFFFFFFFFFF\n", 1, "64 bits"),
        ("a: [1\n", 0, "does not parse"),
        ("a: b: c\n", 0, "put a value that holds ': ' in quotes"),
        ("a:\n\t- b\n", 1, "indent with spaces"),
        ("a:\n  b:\n  \tc: 1\n", 2, "indent with spaces"),
        ("a: *\n", 0, "put a value that begins with '"),
        ("a:\n  b: 1\n\tc: 1\n", 2, "indent with spaces"),
        ('{\n\t"a" 1\n}', 1, "expected ',' or '}'$"),
        ("a: 'b\n", 0, "a quote is opened and not closed"),
        ("a: @b\n", 0, "put a value that begins with '@'"),
        ("apiVersion: v1\nkind: A\napiVersion: v1\n", 2, "there must be a line '---'"),
        ("a: \x07\n", 0, "does not parse"),
        ("a: \ud800\n", 0, "not valid Unicode"),
        ("x: " + "[" * 100_000, 0, "nested deeper"),
        ("a: 1\n<<: 3\n", 1, "must be followed by a mapping"),
    ],
)
def test_what_is_refused_and_where(text: str, line: int, says: str) -> None:
    with pytest.raises(DocumentError, match=says) as caught:
        parse_document(text)
    assert caught.value.line == line


def test_aliases_and_merges_work_as_kubectl_takes_them() -> None:
    text = """
base: &base {a: 1, b: 2}
more: &more {b: 3, c: 4}
one: {<<: *base, b: 9}
two:
  <<: [*base, *more]
  d: *base
"""
    value = parse_document(text)
    assert isinstance(value, dict)
    assert value["one"] == {"a": 1, "b": 9}
    assert value["two"] == {"a": 1, "b": 2, "c": 4, "d": {"a": 1, "b": 2}}


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(DocumentError, match="aliases make the document too large"):
        parse_document("\n".join(lines))


def test_a_long_text_repeated_by_aliases_is_refused() -> None:
    text = f"a: &a {'x' * 10_000}\nb: [{', '.join(['*a'] * 1000)}]\n"
    with pytest.raises(DocumentError, match="aliases make the document too large"):
        parse_document(text)


def test_a_file_is_cut_into_documents_with_their_lines() -> None:
    two = "--- # two\nb: |\n  --- not a marker\n  ...\n"
    text = f"# head\na: 1\n{two}---\n# only words\n---\nc: 3\n...\n"
    pieces = list(split_documents(text))
    assert [piece.line for piece in pieces] == [0, 2, 8]
    assert [parse_document(piece.text) for piece in pieces] == [
        {"a": 1},
        {"b": "--- not a marker\n...\n"},
        {"c": 3},
    ]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# x\n", "---\n", "--- # x\n---\n...\n# y z\n", "\ufeff"]
)
def test_white_space_and_comments_are_no_document(text: str) -> None:
    assert list(split_documents(text)) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_counts(end: str) -> None:
    pieces = list(split_documents(f"a: 1{end}---{end}b: 2{end}"))
    assert [parse_document(piece.text) for piece in pieces] == [{"a": 1}, {"b": 2}]
    assert pieces[1].line == 1


keys = st.text(alphabet="abcxyz-", min_size=1, max_size=4).filter(
    lambda text: text not in {"y", "---"} and not text.startswith("-")
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    st.sampled_from(["yes", "1", "null", "---", "...", "a\n---\nb", "- x", "#", "2020-01-01"]),
)
values = st.recursive(
    leaves,
    lambda children: st.one_of(
        st.lists(children, max_size=4), st.dictionaries(keys, children, max_size=4)
    ),
    max_leaves=12,
)


class Quoting(yaml.SafeDumper):
    """Puts every text in quotes: what is a number or a word to PyYAML and kubectl differs."""

    def represent_text(self, text: str) -> yaml.Node:
        return yaml.ScalarNode("tag:yaml.org,2002:str", text, style='"')


Quoting.add_representer(str, Quoting.represent_text)
flow = st.sampled_from([True, False, None])


def same(left: JsonValue, right: JsonValue) -> bool:
    if isinstance(right, float) and isinstance(left, (int, float)):
        return math.isclose(left, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


@given(st.lists(st.dictionaries(keys, values, min_size=1, max_size=4), max_size=4), flow)
def test_what_is_written_is_read(documents: list[dict[str, Any]], style: bool | None) -> None:
    """PyYAML writes, we read."""
    text = yaml.dump_all(
        documents, Dumper=Quoting, default_flow_style=style, explicit_start=True, allow_unicode=True
    )
    pieces = list(split_documents(text))
    assert len(pieces) == len(documents)
    for piece, document in zip(pieces, documents, strict=True):
        assert same(parse_document(piece.text), document)


@given(st.text(max_size=60), st.lists(st.sampled_from("-.:#&*{}[]\n \t'\"!|>?%@,ab1"), max_size=60))
def test_no_text_does_more_than_fail(words: str, signs: list[str]) -> None:
    lines: list[tuple[int, int]] = []
    for text in (words, "".join(signs)):
        for piece in split_documents(text):
            try:
                parse_document(piece.text)
            except DocumentError as error:
                lines.append((error.line, piece.text.count("\n") + 2))
            assert line_of(piece.text, ("a", 0, "b")) >= 0
    assert all(0 <= line <= most for line, most in lines)


@given(st.dictionaries(keys, values, min_size=1, max_size=5))
def test_every_field_has_its_line(document: dict[str, Any]) -> None:
    """In block style each entry of the outer mapping begins a line of its own."""
    text = yaml.dump(
        document, Dumper=Quoting, default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    found = [line_of(text, (key,)) for key in document]
    assert found == sorted(set(found))
    lines = text.splitlines()
    for key, line in zip(document, found, strict=True):
        assert lines[line].startswith((key, f"'{key}'", f'"{key}"'))


def test_the_line_of_a_nested_field_and_of_a_missing_one() -> None:
    text = "a:\n  b:\n  - c: 1\n  - c: 2\n    d: {e: 5}\nf: 1\n"
    assert line_of(text, ("a", "b", 1, "d", "e")) == 4
    assert line_of(text, ("a", "b", 0, "c")) == 2
    assert line_of(text, ("a", "b", 7)) == 1
    assert line_of(text, ("f", "x", "y")) == 5
    assert line_of(text, ("nothing",)) == 0
