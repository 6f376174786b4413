"""`x-sluicegate-tags`: what is taken, what is refused, and who wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.model import ApiError
from sluicegate.pipeline.tags import tags

NAME = "x-sluicegate-tags"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=b", {"a": "b"}),
        (" team = search , feature=sum mary,", {"team": "search", "feature": "sum mary"}),
        ("k8s.io/app=web=1", {"k8s.io/app": "web=1"}),
        ("", {}),
        (" , ", {}),
    ],
)
def test_tags(header: str, expected: dict[str, str]) -> None:
    assert tags({NAME: header}, {}) == expected


def test_the_keys_tags_win() -> None:
    assert tags({NAME: "team=mine,x=y"}, {"team": "search"}) == {"team": "search", "x": "y"}


def test_without_the_header_they_are_the_keys() -> None:
    assert tags({}, {"team": "search"}) == {"team": "search"}


@pytest.mark.parametrize(
    "header",
    [
        "a",
        "=b",
        "a=",
        "a=b,a=c",
        "a b=c",
        "-a=b",
        "a=b\x00",
        "a=ö",
        "a=" + "b" * 129,
        "a" * 64 + "=b",
        ",".join(f"t{number}=v" for number in range(17)),
    ],
)
def test_what_is_refused(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        tags({NAME: header}, {})
    assert (caught.value.status, caught.value.error.param) == (400, NAME)


@given(st.text())
def test_any_header(header: str) -> None:
    try:
        found = tags({NAME: header}, {})
    except ApiError:
        return
    assert len(found) <= 16
    assert all(text.isprintable() and len(text) <= 128 for pair in found.items() for text in pair)
