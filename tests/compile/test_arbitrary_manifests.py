"""Whatever a manifest says, loading and compiling it end in findings, never in an exception."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from manifest_objects import NOW, compiled
from sluicegate.compile import Settings, compile_all
from sluicegate.resources import Inputs, load_text
from sluicegate.resources.yaml_documents import FieldPath, JsonValue

FULL: list[JsonValue] = [
    {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a", "namespace": "b", "labels": {"x": "y"}},
        "spec": {
            "model": "m/*",
            "provider": {"openai": {"model": "*", "baseURL": "https://x.example/v1"}},
            "credentials": {"secretRef": {"name": "s", "key": "k"}},
            "limits": {"requestsPerMinute": 1},
            "timeouts": {"connect": "1s"},
            "headers": {"x": "y"},
            "parameters": {"defaults": {"top_p": 0.5}, "overrides": {"x": None}},
            "modelInfo": {"reasoning": "Effort"},
            "pricing": {"input": "3.00"},
            "allowedNamespaces": {
                "from": "Names",
                "names": ["c"],
                "perNamespace": {"budget": {"amountUSD": "1", "period": "1d"}},
            },
            "pool": {"strategy": "Weighted", "fallbacks": [{"model": "q", "causes": ["Error"]}]},
        },
    },
    {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"name": "c", "namespace": "b"},
        "spec": {
            "client": {
                "secretRef": {"name": "s", "key": "k"},
                "models": ["m/*"],
                "expiresAt": "2030-01-01T00:00:00Z",
                "endUsers": {"required": True, "limits": {"tokensPerMinute": 5}},
                "tags": {"team": "search"},
            }
        },
    },
    {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"name": "u", "namespace": "b"},
        "spec": {
            "upstream": {
                "aws": {"secretRef": {"name": "s"}, "roleARN": "arn:aws:iam::123456789012:role/r"}
            }
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "namespace": "b",
            "labels": {"sluicegate.dev/credential": "true"},
        },
        "data": {"k": "c2stMDEyMzQ1Njc4OWFiY2RlZg=="},
        "stringData": {"aws_access_key_id": "$(A)"},
    },
]
values: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=10),
        st.sampled_from(["*", "a@b", "..", "0s", "1h", "http://[::1]", "sha256:", "$(A)", "%%%"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: JsonValue, path: FieldPath = ()) -> list[FieldPath]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


def with_value(value: JsonValue, path: FieldPath, new: JsonValue) -> JsonValue:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(first, str):
        return {**value, first: with_value(value[first], rest, new)}
    assert isinstance(value, list)
    assert isinstance(first, int)
    return [*value[:first], with_value(value[first], rest, new), *value[first + 1 :]]


@given(st.data())
def test_any_value_anywhere_ends_in_findings(data: st.DataObject) -> None:
    objects = list(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        which = data.draw(st.integers(0, len(objects) - 1))
        path = data.draw(st.sampled_from(places(objects[which])))
        objects[which] = with_value(objects[which], path, data.draw(values))
    # JSON is YAML, but for the characters that YAML wants escaped.
    text = "\n---\n".join(ascii_json(each) for each in objects)
    loaded = load_text("f.yaml", text)
    good = load_text("f.yaml", "\n---\n".join(ascii_json(each) for each in FULL))
    before = compile_all(Inputs(good.resources, good.secrets), None, Settings.folder(), NOW)
    for settings in (Settings.folder(), Settings.cluster("b"), Settings.cluster("z")):
        now_there = Inputs(loaded.resources, loaded.secrets)
        result = compile_all(now_there, before, settings, NOW)
        lines = text.count("\n") + 1
        for found in (*loaded.diagnostics, *result.diagnostics()):
            assert 1 <= found.line <= lines
            assert found.message
            assert "\n" not in str(found)
        for ref in loaded.resources:
            assert [each.type for each in result.conditions(ref)][:2] == [
                "Accepted",
                "ResolvedRefs",
            ]


def ascii_json(value: object) -> str:
    """JSON, with YAML's escape for every character that is not plain ASCII."""
    text = msgspec.json.encode(value).decode()
    return "".join(char if " " <= char <= "~" else f"\\U{ord(char):08x}" for char in text)


def test_the_manifests_that_are_changed_are_good_ones() -> None:
    loaded = load_text(
        "f.yaml", "\n---\n".join(ascii_json(each) for each in FULL), environ={"A": "AKIA"}
    )
    result = compiled(*loaded.resources.values(), *loaded.secrets.values())
    reasons = [each.reason for each in result.diagnostics()]
    assert reasons == ["SecretKeyMissing", "FallbackNotFound"]
