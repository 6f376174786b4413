"""Only what is meant to change in a body changes, byte for byte."""

import json
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Raw

from sluicegate.api.request import decode_request, merge_parameters, replace_model


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a","input":"x"}', b'{"model":"new","input":"x"}'),
        (b'{"model": "a", "input": "x"}', b'{"model": "new", "input": "x"}'),
        (b'{ "model"\n:\t"a" }\n', b'{ "model"\n:\t"new" }\n'),
        (b'{"input":"x","model":"a"}', b'{"input":"x","model":"new"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"new"}'),
        (b'{"model":"a\\"b\\\\"}', b'{"model":"new"}'),
        (b'{"model":"\\u0061"}', b'{"model":"new"}'),
        (
            b'{"metadata":{"model":"a"},"tools":[{"model":"a"}],"model":"a"}',
            b'{"metadata":{"model":"a"},"tools":[{"model":"a"}],"model":"new"}',
        ),
        (b'{"input":"model","model":"model"}', b'{"input":"model","model":"new"}'),
        (
            b'{"input":"\\"model\\":\\"a\\"","model":"a"}',
            b'{"input":"\\"model\\":\\"a\\"","model":"new"}',
        ),
        (b'{"model":"a","n":1.0,"e":1E5,"z":-0}', b'{"model":"new","n":1.0,"e":1E5,"z":-0}'),
    ],
)
def test_only_the_models_bytes_are_replaced(body: bytes, expected: bytes) -> None:
    assert decode_request(body)
    assert replace_model(body, "new") == expected


def test_a_model_that_stays_leaves_the_same_bytes() -> None:
    body = b'{"model":"a"}'
    assert replace_model(body, "a") is body


def test_a_model_name_is_encoded() -> None:
    assert json.loads(replace_model(b'{"model":"a"}', 'q"\\é')) == {"model": 'q"\\é'}


def test_a_large_body() -> None:
    text = b"model " * 100_000
    body = b'{"input":"' + text + b'","model":"a","x":{"model":"a"}}'
    assert replace_model(body, "b") == body.replace(b'"model":"a","x"', b'"model":"b","x"')


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("model"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "input", "a", 'q"', "é"]), inner, max_size=3)
    ),
    max_leaves=12,
)
_keys = st.sampled_from(["a", "b", "input_x", "é", 'q"model"', "later", "Model", "model "])


@given(
    st.dictionaries(_keys, _json),
    st.dictionaries(_keys, _json),
    st.text(max_size=8),
    st.text(max_size=8),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_other_readers_see_only_the_model_changed(
    before: dict[str, Any],
    after: dict[str, Any],
    old: str,
    new: str,
    indent: int | None,
    ascii_only: bool,
) -> None:
    assume(not before.keys() & after.keys())
    value = {**before, "model": old, **after}
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    decode_request(body)
    changed = replace_model(body, new)
    assert json.loads(changed) == {**value, "model": new}
    assert list(json.loads(changed)) == list(value)
    assert replace_model(changed, old) == replace_model(body, old)
    restored = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    if not ascii_only:
        assert json.loads(replace_model(changed, old)) == json.loads(restored)


def merged(body: str, defaults: dict[str, Any], overrides: dict[str, Any]) -> str:
    def raws(values: dict[str, Any]) -> dict[str, Raw]:
        return {key: Raw(json.dumps(value).encode()) for key, value in values.items()}

    return merge_parameters(body.encode(), raws(defaults), raws(overrides)).decode()


@pytest.mark.parametrize(
    ("body", "defaults", "overrides", "expected"),
    [
        ('{"a":1}', {"b": 2}, {}, '{"a":1,"b":2}'),
        ('{"a":1}', {"a": 2}, {}, '{"a":1}'),
        ('{"a":1}', {}, {"a": 2}, '{"a":2}'),
        ('{"a":1}', {}, {"a": None}, "{}"),
        ('{"a":null}', {"a": 2}, {}, "{}"),
        ('{"r":{"x":1}}', {"r": {"x": 2, "y": 3}}, {}, '{"r":{"x":1,"y":3}}'),
        ('{"r":{"x":1,"y":2}}', {}, {"r": {"x": 5, "y": None}}, '{"r":{"x":5}}'),
        ('{"r":1}', {"r": {"x": 2}}, {}, '{"r":1}'),
        ('{"r":[1]}', {}, {"r": {"x": {"y": None}}}, '{"r":{"x":{}}}'),
        (
            '{"n": 1.0, "e":1E5 , "s":"\\u0041"}',
            {"b": 2},
            {},
            '{"n":1.0,"e":1E5,"s":"\\u0041","b":2}',
        ),
    ],
)
def test_parameters_are_merged_as_json_merge_patch(
    body: str, defaults: dict[str, Any], overrides: dict[str, Any], expected: str
) -> None:
    assert merged(body, defaults, overrides) == expected


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for name, value in cast("dict[str, Any]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


_objects = st.dictionaries(st.sampled_from("abc"), _json, max_size=3)


@given(_objects, _objects)
def test_overrides_are_the_patch(client: dict[str, Any], overrides: dict[str, Any]) -> None:
    assert json.loads(merged(json.dumps(client), {}, overrides)) == merge_patch(client, overrides)


@given(_objects, _objects)
def test_the_client_is_the_patch_of_the_defaults(
    client: dict[str, Any], defaults: dict[str, Any]
) -> None:
    # What the defaults do not name keeps its bytes, so also its nulls.
    named = {key: value for key, value in client.items() if key in defaults}
    rest = {key: value for key, value in client.items() if key not in defaults}
    expected = merge_patch(defaults, named) | rest
    assert json.loads(merged(json.dumps(client), defaults, {})) == expected
