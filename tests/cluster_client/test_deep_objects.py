"""An object nested more deeply than the parser goes hides nothing but itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_api_server import ScriptedApiServer, event, item
from scripted_upstream import answers
from sluicegate.cluster import (
    SECRETS,
    ClusterClient,
    ClusterSecret,
    GarbledAnswer,
    Metadata,
    ObjectKey,
    Reflection,
    Selection,
)
from sluicegate.cluster.shallow import elements, members, text_of

DEPTH = 9_000
KEY = ObjectKey("ns", "deep")


def deep(version: int = 1) -> bytes:
    """Its managedFields, which stand in the metadata, are as deep as the object."""
    nested = b'{"a]":[' * (DEPTH // 2) + b"]}" * (DEPTH // 2)
    whole = item("deep", version)
    return whole.replace(b'"name"', b'"managedFields":%s,"name"' % nested, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values), st.sampled_from([None, 2]))
def test_members_are_what_json_says(value: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    found = members(text)
    assert {name: json.loads(part) for name, part in found.items()} == value
    for name, part in found.items():
        assert text_of(part) == (value[name] if isinstance(value[name], str) else "")


@given(st.lists(json_values), st.sampled_from([None, 2]))
def test_elements_are_what_json_says(values: list[Any], indent: int | None) -> None:
    assert [json.loads(part) for part in elements(json.dumps(values, indent=indent).encode())] == (
        values
    )


@pytest.mark.parametrize("text", [b"", b"null", b'"{"', b"[", b"{", b"3"])
def test_what_is_neither_has_no_parts(text: bytes) -> None:
    assert not members(text)
    assert not elements(text)


async def test_a_list_with_a_deep_object_keeps_the_others(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    server.put("a", 1)
    server.objects["deep"] = deep()
    server.put("b", 2)
    (page,) = [page async for page in client.pages(SECRETS, Selection("ns"))]
    held = Reflection(msgspec.json.Decoder(Metadata).decode)
    held.begin_list()
    for one in page.items:
        held.listed(one)
    assert len(held.end_list(page.resource_version)) == 3
    assert [key.name for key in held.objects] == ["a", "b"]
    assert list(held.undecodable) == [KEY]
    assert page.resource_version == "3"


async def test_a_deep_answer_is_an_error_of_that_request(
    server: ScriptedApiServer, client: ClusterClient
) -> None:
    server.upstream.script = answers(deep())
    with pytest.raises(GarbledAnswer):
        await client.get(SECRETS, "deep", ClusterSecret, namespace="ns")
    found = await client.get(SECRETS, "deep", Metadata, namespace="ns")
    assert found.metadata.key == KEY


def test_a_deep_object_comes_and_goes_in_a_watch() -> None:
    held = Reflection(msgspec.json.Decoder(Metadata).decode)
    assert held.told(event("ADDED", item("deep", 1))) == KEY
    assert held.told(event("MODIFIED", deep(2))) == KEY
    assert list(held.undecodable) == [KEY]
    assert not held.objects
    assert held.told(event("DELETED", deep(3))) == KEY
    assert not held.undecodable
