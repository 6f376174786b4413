"""The text of a custom tool comes out of the stand-in function's JSON arguments, as it streams."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.custom_input import CustomInput


def taken_out(arguments: str, cuts: list[int]) -> tuple[str, str]:
    custom = CustomInput()
    edges = [0, *sorted(cut % (len(arguments) + 1) for cut in cuts), len(arguments)]
    streamed = "".join(custom.feed(arguments[start:end]) for start, end in pairwise(edges))
    return streamed, custom.close()


@given(
    text=st.text(),
    cuts=st.lists(st.integers(0, 10_000)),
    ascii_only=st.booleans(),
    spaces=st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]),
)
def test_any_text_in_any_pieces(
    text: str, cuts: list[int], ascii_only: bool, spaces: tuple[str, str]
) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only, separators=spaces)
    streamed, rest = taken_out(arguments, cuts)
    assert streamed + rest == text
    assert rest == ""


def test_text_streams_before_the_arguments_are_whole() -> None:
    custom = CustomInput()
    assert custom.feed('{"inp') == ""
    assert custom.feed('ut": "one') == "one"
    assert custom.feed(" two\\") == " two"
    assert custom.feed("n three") == "\n three"
    assert custom.feed('"}') == ""
    assert custom.close() == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ('"a string"', "a string"),
        ('{"other": 1, "input": "late"}', "late"),
        ('{"other": 1}', '{"other": 1}'),
        ('{"input": 5}', '{"input": 5}'),
        ("{", "{"),
        ('{"input', '{"input'),
        ('{"input": "a", "more": 1}', "a"),
        (r'{"input": "\ud83d"}', r"\ud83d"),
        (r'{"input": "\ud83dx"}', r"\ud83dx"),
        (r'{"input": "\ud83d\n"}', "\\ud83d\n"),
        (r'{"input": "C:\windows"}', r"C:\windows"),
        ('{"input": "two\nlines"}', "two\nlines"),
    ],
)
def test_what_models_also_write(arguments: str, text: str) -> None:
    for cuts in ([], list(range(len(arguments)))):
        assert "".join(taken_out(arguments, cuts)) == text


@given(st.text(alphabet='{}":\\ninput ud8é', max_size=40), st.lists(st.integers(0, 50)))
def test_no_arguments_break_it_and_cuts_change_nothing(arguments: str, cuts: list[int]) -> None:
    assert "".join(taken_out(arguments, cuts)) == "".join(taken_out(arguments, []))
