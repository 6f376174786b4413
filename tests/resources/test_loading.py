"""Files to objects: identity, Lists, Secrets, what is remembered and what a broken file keeps."""

from __future__ import annotations

import base64
from collections.abc import Generator

import pytest

from sluicegate.resources import (
    Inventory,
    LoadedFile,
    ResourceRef,
    SecretRef,
    load_steps,
    load_text,
    unreadable_file,
)

MD = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}{more}}}
spec: {{provider: {{echo: {{}}}}}}
"""
KEY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {name: caller}
spec: {client: {generate: {secretName: s}}}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: s, labels: {sluicegate.dev/credential: "true"}}
"""


def md(name: str, more: str = "") -> str:
    return MD.format(name=name, more=more)


def names(loaded: LoadedFile) -> list[str]:
    return sorted(ref.name for ref in loaded.resources)


def said(loaded: LoadedFile) -> list[str]:
    return [str(diagnostic) for diagnostic in loaded.diagnostics]


def steps(work: Generator[None, None, LoadedFile]) -> int:
    count = 0
    for _ in work:
        count += 1
    return count


def test_a_namespace_that_is_left_out_is_default() -> None:
    loaded = load_text("f.yaml", md("a") + "---\n" + md("a", ", namespace: team"))
    assert set(loaded.resources) == {
        ResourceRef("ModelDeployment", "default", "a"),
        ResourceRef("ModelDeployment", "team", "a"),
    }


def test_lists_are_taken_apart_and_their_lines_are_right() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- apiVersion: sluicegate.dev/v1alpha1
  kind: ModelDeployment
  metadata: {name: a}
  spec:
    provider: {echo: {}}
- kind: ModelDeploymentList
  apiVersion: sluicegate.dev/v1alpha1
  items:
  - apiVersion: sluicegate.dev/v1alpha1
    kind: ModelDeployment
    metadata: {name: b}
    spec: {weight: 1}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
"""
    loaded = load_text("f.yaml", "# first\n---\n" + text)
    assert names(loaded) == ["a", "b"]
    assert loaded.ignored == 1
    origins = {ref.name: each.origin for ref, each in loaded.resources.items()}
    assert origins["a"] is not None
    assert origins["b"] is not None
    assert origins["a"].line_of(("spec", "provider")) == 10
    assert origins["b"].line_of(("spec", "weight")) == 17


SPEC = "\nspec: {client: {generate: {secretName: key}}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "f.yaml:1: must be an object with apiVersion"),
        ("kind: ApiKey", "f.yaml:1: apiVersion is required"),
        ("apiVersion: sluicegate.dev/v1alpha1", "f.yaml:1: kind is required"),
        (
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ApiKeys\nmetadata: {name: a}",
            "f.yaml:2: kind: kind must be ModelDeployment or ApiKey; did you mean ApiKey?",
        ),
        (
            "apiVersion: sluicegate.dev/v1\nkind: ApiKey\nmetadata: {name: a}",
            "f.yaml:1: ApiKey default/a: apiVersion: apiVersion must be sluicegate.dev/v1alpha1",
        ),
        (
            "apiVersion: slucegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: a}",
            "f.yaml:1: apiVersion: apiVersion must be sluicegate.dev/v1alpha1",
        ),
        (
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ApiKey\nmetadata:\n  name: A_b" + SPEC,
            "f.yaml:4: ApiKey: metadata.name: metadata.name must be at most 253 lower-case",
        ),
        (
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ApiKey\nmetadata:\n  name: 12" + SPEC,
            "f.yaml:4: ApiKey: metadata.name: metadata.name is required, a string (put",
        ),
        (
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: a, namespace: .}"
            + SPEC,
            "f.yaml:3: ApiKey: metadata.namespace: metadata.namespace must be",
        ),
        ("a: [", "f.yaml:1: the YAML does not parse"),
    ],
)
def test_an_object_that_can_not_be_told_is_refused_with_its_line(text: str, says: str) -> None:
    loaded = load_text("f.yaml", text)
    assert not loaded.resources
    assert [each[: len(says)] for each in said(loaded)] == [says]


def test_other_kinds_are_counted() -> None:
    text = "\n---\n".join(
        f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}}}"
        for version, kind in [
            *(("v1", "Namespace"), ("apps/v1", "Deployment"), ("v2", "Secret")),
            *(("other.dev/v1alpha1", "ApiKey"), ("gateway.dev/v1", "ModelDeployment")),
        ]
    )
    loaded = load_text("f.yaml", text)
    assert (loaded.ignored, loaded.diagnostics) == (5, ())


def test_a_secret_is_decoded_and_its_values_are_shown_nowhere() -> None:
    encoded = base64.b64encode(b"hidden-1\n").decode()
    text = (
        SECRET
        + f"data: {{one: {encoded}, bad: '%%'}}\n"
        + "stringData: {two: hidden-2, three: $(NAME), four: $(NONE)}"
    )
    loaded = load_text("f.yaml", text, environ={"NAME": "hidden-3"})
    secret = loaded.secrets[SecretRef("default", "s")]
    assert secret.values == {"one": "hidden-1\n", "two": "hidden-2", "three": "hidden-3"}
    assert secret.unset == {"four": "NONE"}
    assert "bad" in secret.missing
    assert secret.labelled
    assert secret.minted_for is None
    where = "f.yaml:4: Secret default/s: data.bad: "
    what = "must be base64 of UTF-8 text; plain text belongs into stringData"
    assert said(loaded) == [where + what]
    assert "hidden" not in repr([loaded, secret, secret.origin, *loaded.documents.values()])


def test_a_changed_document_is_parsed_and_the_others_are_not() -> None:
    texts = [md(f"d{number}") for number in range(50)]
    before = load_text("f.yaml", "---\n".join(texts))
    texts[7] = md("d7") + "# changed\n\n"
    after = load_text("f.yaml", "---\n".join(texts), before)
    parsed = [
        text for text, each in after.documents.items() if before.documents.get(text) is not each
    ]
    assert len(parsed) == 1
    moved = after.resources[ResourceRef("ModelDeployment", "default", "d8")]
    assert moved.origin is not None
    assert moved.origin.line_of(()) == 1 + 8 * 5 + 2


def test_loading_goes_in_steps_of_one_document() -> None:
    assert steps(load_steps("f.yaml", "---\n".join(md(f"d{n}") for n in range(9)))) == 9


def test_one_object_twice_in_a_file_is_an_error_at_both() -> None:
    loaded = load_text("f.yaml", md("a") + "---\n" + md("b") + "---\n" + md("a"))
    assert [(each.line, each.reason) for each in loaded.diagnostics] == [
        (1, "DuplicateObject"),
        (11, "DuplicateObject"),
    ]
    assert "f.yaml:11" in loaded.diagnostics[0].message
    assert "f.yaml:1" in loaded.diagnostics[1].message


def test_what_does_not_parse_keeps_its_objects_but_not_client_keys() -> None:
    text = f"{md('a')}---\n{md('b')}---\n{KEY}---\n{SECRET}stringData: {{k: v}}\n"
    good = load_text("f.yaml", text)
    broken = load_text("f.yaml", text.replace("{name:", "{name: ["), good)
    assert broken.unreadable
    assert names(broken) == ["a", "b"]
    assert SecretRef("default", "s") in broken.secrets
    assert broken.carried == 3
    beside = load_text("f.yaml", f"{md('b')}---\n{KEY}---\n{{[not: yaml\n", good)
    assert names(beside) == ["a", "b", *names(load_text("f.yaml", KEY))]
    deleted = load_text("f.yaml", f"{md('a')}---\n{md('b')}---\n{{[not: yaml\n", good)
    assert names(deleted) == ["a", "b"], "a client key that is not there grants nothing"
    healed = load_text("f.yaml", md("b"), beside)
    assert names(healed) == ["b"]


def test_a_file_that_can_not_be_read_keeps_its_objects_but_not_client_keys() -> None:
    good = load_text("f.yaml", f"{md('a')}---\n{KEY}")
    loaded = unreadable_file("f.yaml", "can't be read: Permission denied", good)
    assert (names(loaded), loaded.unreadable) == (["a"], True)
    assert said(loaded) == ["f.yaml:1: can't be read: Permission denied"]


@pytest.mark.parametrize("order", [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")])
def test_one_object_in_two_files_is_held_by_the_first_path(order: tuple[str, str]) -> None:
    inventory = Inventory()
    for path in order:
        inventory.replace(path, load_text(path, md("x")))
    ref = ResourceRef("ModelDeployment", "default", "x")
    origin = inventory.snapshot().resources[ref].origin
    assert origin is not None
    assert origin.file == "a.yaml"
    found = {each.file: each for each in inventory.diagnostics()}
    assert found.keys() == {"a.yaml", "b.yaml"}
    assert "b.yaml:1" in found["a.yaml"].message
    assert "a.yaml:1" in found["b.yaml"].message


def test_the_first_path_holds_an_object_whatever_was_there_before() -> None:
    inventory = Inventory()
    ref = ResourceRef("ModelDeployment", "default", "x")

    def holder() -> str | None:
        held = inventory.snapshot().resources.get(ref)
        return held.origin.file if held is not None and held.origin is not None else None

    inventory.replace("b.yaml", load_text("b.yaml", md("x")))
    assert holder() == "b.yaml"
    inventory.replace("c.yaml", load_text("c.yaml", md("x")))
    assert holder() == "b.yaml"
    inventory.replace("a.yaml", load_text("a.yaml", md("x") + "# other\n"))
    assert holder() == "a.yaml", "as after a restart"
    assert len(list(inventory.diagnostics())) == 3
    inventory.replace("a.yaml", None)
    assert holder() == "b.yaml"
    inventory.replace("b.yaml", None)
    assert holder() == "c.yaml"
    assert list(inventory.diagnostics()) == []
    inventory.replace("c.yaml", None)
    assert holder() is None


def test_a_snapshot_knows_what_changed_since_the_one_before() -> None:
    inventory = Inventory()
    inventory.replace("f.yaml", load_text("f.yaml", md("a") + "---\n" + md("b")))
    first = inventory.snapshot()
    text = "# moved\n" + md("a") + "---\n" + md("b").replace("echo: {}", "echo: {text: x}")
    inventory.replace("f.yaml", load_text("f.yaml", text))
    second = inventory.snapshot()
    assert second.since is first.token
    assert {ref.name for ref in second.changed} == {"b"}
    assert inventory.snapshot().changed == frozenset()
