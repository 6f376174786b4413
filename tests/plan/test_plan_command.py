"""`sluicegate plan`: what a change of manifests does to objects, names and keys."""

from __future__ import annotations

from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from sluicegate.cli.plan import plan

HEAD = "apiVersion: sluicegate.dev/v1alpha1\n"


def deployment(name: str, spec: str, namespace: str = "default") -> str:
    return (
        f"{HEAD}kind: ModelDeployment\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{provider: {{echo: {{}}}}, {spec}}}\n"
    )


def key(name: str, client: str, namespace: str = "default") -> str:
    return (
        f"{HEAD}kind: ApiKey\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{client: {{secretRef: {{name: not-in-git, key: key}}, {client}}}}}\n"
    )


def compared(tmp_path: Path, old: list[str], new: list[str], *options: str) -> Result:
    for name, documents in (("old", old), ("new", new)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "all.yaml").write_text("---\n".join(documents), encoding="utf-8")
    return CliRunner().invoke(plan, [str(tmp_path / "old"), str(tmp_path / "new"), *options])


def test_nothing_changes_between_equal_manifests(tmp_path: Path) -> None:
    same = [deployment("a", "model: gpt"), key("k", "models: [gpt]")]
    result = compared(tmp_path, same, list(reversed(same)))
    assert (result.output, result.exit_code) == ("Nothing changes.\n", 0)


def test_a_default_that_is_written_out_changes_nothing(tmp_path: Path) -> None:
    """So what the API server answers can be compared with what is in Git."""
    written = "model: gpt, weight: 1, retry: {attempts: 2}, headers: {X-A: b}"
    old = [deployment("a", "model: gpt, headers: {X-A: b}"), key("k", "models: [gpt]")]
    new = [deployment("a", written), key("k", "models: [gpt], revoked: false")]
    result = compared(tmp_path, old, new)
    assert (result.output, result.exit_code) == ("Nothing changes.\n", 0)


def test_a_change_is_told_without_the_defaults_beside_it(tmp_path: Path) -> None:
    old = deployment("a", "model: gpt, weight: 1, retry: {attempts: 2, backoff: 1s}")
    new = deployment("a", "model: gpt, suspended: false, retry: {backoff: 2s}")
    lines = compared(tmp_path, [old], [new]).output.splitlines()
    assert [line for line in lines if "spec." in line] == ['      spec.retry.backoff: "1s" → "2s"']


def test_fields_names_and_access_are_told(tmp_path: Path) -> None:
    old = [
        deployment("a", "model: gpt, weight: 1"),
        deployment("b", "model: gpt"),
        deployment("c", "model: gone"),
        key("app", 'models: ["g*"]'),
    ]
    new = [
        deployment("a", "model: gpt, weight: 3"),
        deployment("d", "model: fresh"),
        key("app", 'models: ["*"]'),
    ]
    result = compared(tmp_path, old, new)
    assert result.exit_code == 0
    for line in (
        "  ~ ApiKey default/app",
        "      spec.weight: 1 → 3",
        "  - ModelDeployment default/b",
        "  + ModelDeployment default/d",
        "  ~ gpt (default): 2 → 1 deployments",
        "  - gone (default): 1 → 0 deployments",
        "  - key default/app loses gone",
        "  + key default/app gains fresh",
        "1 to add, 2 to change, 2 to remove; 1 key loses access to a model",
    ):
        assert line in result.output.splitlines()


def test_sharing_that_ends_takes_the_name_from_foreign_keys(tmp_path: Path) -> None:
    shared = "model: gpt, allowedNamespaces: {from: Names, names: [team-a]}"
    app = key("app", 'models: ["*"]', "team-a")
    result = compared(
        tmp_path,
        [deployment("a", shared, "platform"), app],
        [deployment("a", "model: gpt", "platform"), app],
    )
    assert (
        "  ~ gpt (platform): 1 → 1 deployments, for its own namespace, team-a → its own namespace"
        in result.output
    )
    assert "  - key team-a/app loses gpt" in result.output


def test_a_revoked_key_loses_all(tmp_path: Path) -> None:
    model = deployment("a", "model: gpt")
    result = compared(
        tmp_path, [model, key("k", "revoked: false")], [model, key("k", "revoked: true")]
    )
    assert "  - key default/k loses gpt" in result.output


def test_a_new_error_ends_with_1_and_an_old_one_does_not(tmp_path: Path) -> None:
    broken = deployment("a", "wieght: 3")
    first = compared(tmp_path, [deployment("a", "weight: 1")], [broken])
    assert first.exit_code == 1
    assert "unknown field 'wieght'" in first.output
    assert "deployments" not in first.output  # what it was goes on being served
    again = tmp_path / "again"
    again.mkdir()
    second = compared(again, [broken], [broken, deployment("b", "weight: 1")])
    assert second.exit_code == 0
    assert "wieght" not in second.output


def test_a_secret_is_named_and_its_value_is_not(tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: %s}\n"
    result = compared(tmp_path, [secret % "first-value"], [secret % "other-value"])
    assert "  ~ Secret default/s" in result.output
    assert "value" not in result.output


def test_json_holds_the_same(tmp_path: Path) -> None:
    result = compared(tmp_path, [], [deployment("a", "model: gpt")], "--format", "json")
    found = msgspec.json.decode(result.output)
    assert found["problems"] == []
    assert found["changes"]["objects"][0]["action"] == "add"
    assert found["changes"]["names"] == [
        {
            "action": "add",
            "model": "gpt",
            "namespace": "default",
            "deployments_before": 0,
            "deployments_after": 1,
            "audience_before": [],
            "audience_after": [],
        }
    ]
