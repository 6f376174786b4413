"""The CustomResourceDefinitions that are shipped: current, bounded, described, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from sluicegate.cli import main
from sluicegate.crds import FILES, manifest, page

ROOT = Path(__file__).parents[2]
# `kubectl apply` keeps the whole object in an annotation of at most 256 KiB.
MOST_BYTES = 262_144
# What a structural schema may not have, and what would let unknown fields in.
FORBIDDEN = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "const", "title", "nullable"}
YAML_WORDS = {"on", "off", "yes", "no", "y", "n", "true", "false", "null", "~"}


def crd(kind: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(manifest(kind))
    return loaded


def schema(kind: str) -> dict[str, Any]:
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below one, itself included."""
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


@pytest.fixture(params=list(FILES.values()))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_field_is_described(kind: str) -> None:
    for path, node in nodes(schema(kind), kind):
        if not path.endswith(("[]", "{}", ".metadata")):
            assert node.get("description", "").endswith((".", "`.")), path


def test_everything_is_bounded(kind: str) -> None:
    """The API server reckons what the rules may cost from these bounds."""
    for path, node in nodes(schema(kind)["properties"]["spec"], "spec"):
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node or ".parameters." in path, path
        elif node["type"] == "integer":
            assert {"minimum", "maximum"} <= node.keys(), path
        elif node["type"] == "array":
            assert "maxItems" in node, path
        elif "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_the_schema_is_structural(kind: str) -> None:
    for path, node in nodes(schema(kind), kind):
        assert not FORBIDDEN & node.keys(), path
        assert isinstance(node["type"], str), path
        assert node.get("additionalProperties") is not False, path


def test_no_field_is_a_word_of_yaml(kind: str) -> None:
    for path, node in nodes(schema(kind), kind):
        for name in node.get("properties", {}):
            assert isinstance(name, str), path
            assert name.lower() not in YAML_WORDS, path


def test_each_rule_says_what_to_write(kind: str) -> None:
    for path, node in nodes(schema(kind), kind):
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 10, path
            assert "\n" not in rule["message"], path


def test_a_pool_has_no_defaults() -> None:
    pool = schema("ModelDeployment")["properties"]["spec"]["properties"]["pool"]
    assert [path for path, node in nodes(pool, "pool") if "default" in node] == []


def test_an_object_without_status_is_pending(kind: str) -> None:
    status = schema(kind)["properties"]["status"]
    (condition,) = status["default"]["conditions"]
    assert status["properties"]["conditions"]["default"] == [condition]
    assert (condition["type"], condition["status"]) == ("Ready", "Unknown")
    assert condition["reason"] == "Pending"


def test_what_kubectl_get_shows() -> None:
    columns = {
        kind: [
            (column["name"], column.get("priority", 0))
            for column in crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
        ]
        for kind in FILES.values()
    }
    deployment = ["Model", "Provider", "Ready", "Gateways", "Age"]
    key = ["Type", "Ready", "Spend", "Budget", "Expires", "Age"]
    wide = [("Reason", 1), ("Revision", 1)]
    assert columns["ModelDeployment"] == [*((name, 0) for name in deployment), *wide]
    assert columns["ApiKey"] == [*((name, 0) for name in key), *wide]
    assert crd("ModelDeployment")["spec"]["names"]["shortNames"] == ["md"]
    assert crd("ApiKey")["spec"]["names"]["shortNames"] == ["ak"]


def test_kubectl_can_apply_them(kind: str) -> None:
    assert len(manifest(kind).encode()) < MOST_BYTES


def test_what_is_shipped_is_what_the_models_say() -> None:
    for name, kind in FILES.items():
        assert (ROOT / "crds" / name).read_text(encoding="utf-8") == manifest(kind)
    assert (ROOT / "docs" / "resources.md").read_text(encoding="utf-8") == page()


def test_the_command_prints_writes_and_checks(tmp_path: Path) -> None:
    runner = CliRunner()
    printed = runner.invoke(main, ["crds"])
    assert printed.exit_code == 0
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(printed.output)]
    assert names == ["modeldeployments.sluicegate.dev", "apikeys.sluicegate.dev"]

    folder = str(tmp_path / "crds")
    assert runner.invoke(main, ["crds", "--check", folder]).exit_code == 1
    assert runner.invoke(main, ["crds", "--write", folder]).exit_code == 0
    assert runner.invoke(main, ["crds", "--check", folder]).exit_code == 0
    stale = tmp_path / "crds" / "apikeys.yaml"
    stale.write_bytes(stale.read_bytes() + b"# by h\xe4nd\n")
    refused = runner.invoke(main, ["crds", "--check", folder])
    assert refused.exit_code == 1
    assert "apikeys.yaml" in refused.output
    assert "modeldeployments.yaml" not in refused.output
    assert runner.invoke(main, ["crds", "--check", folder, "--write", folder]).exit_code == 2

    occupied = runner.invoke(main, ["crds", "--write", str(stale / "below")])
    assert occupied.exit_code == 1
    assert "apikeys.yaml/below can't be written: Not a directory" in occupied.output


def test_the_page_has_every_field() -> None:
    text = page()
    for path in ("provider.bedrock.region", "pool.fallbacks[].causes", "client.endUsers.required"):
        assert f"| `{path}` |" in text
    assert "`provider` must name exactly one provider" in text
