"""The repository of models in examples/gitops/kustomize: what its overlays come to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from control_plane import ROOT
from gitops_tools import GITOPS, Object, documents, kustomized
from sluicegate.cli.lint import lint

REPOSITORY = GITOPS / "kustomize"
OVERLAYS = sorted(path.name for path in (REPOSITORY / "overlays").iterdir())


def named(objects: list[Object]) -> dict[tuple[str, str], Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def references(schema: Any, path: tuple[str, ...] = ()) -> Iterator[str]:  # noqa: ANN401 -- it is JSON
    """Where a schema names another object: `…/secretRef/name`, `…/apiKeyRef/name`."""
    for name, below in schema.get("properties", {}).items():
        here = (*path, name)
        if name in {"secretRef", "apiKeyRef"}:
            yield "/".join((*here, "name"))
        yield from references(below, here)


def test_names_are_followed_wherever_our_kinds_refer_to_an_object() -> None:
    (config,) = documents(REPOSITORY / "component" / "name-references.yaml")
    configured = {
        (field["kind"], field["path"], rule["kind"])
        for rule in config["nameReference"]
        for field in rule["fieldSpecs"]
    }
    wanted: set[tuple[str, str, str]] = set()
    for path in (ROOT / "crds").glob("*.yaml"):
        (crd,) = documents(path)
        (version,) = crd["spec"]["versions"]
        for place in references(version["schema"]["openAPIV3Schema"]):
            target = "ApiKey" if place.endswith("apiKeyRef/name") else "Secret"
            wanted.add((crd["spec"]["names"]["kind"], place, target))
    assert configured == wanted


def test_suffixes_and_hashes_reach_every_reference() -> None:
    staging = named(kustomized(REPOSITORY / "overlays" / "staging"))
    secrets = {name for kind, name in staging if kind == "Secret"}
    assert {name.rpartition("-")[0] for name in secrets} == {"openai-staging", "anthropic-staging"}
    for name in ("openai", "anthropic"):
        key = staging["ApiKey", f"{name}-staging"]
        assert key["spec"]["upstream"]["secretRef"]["name"] in secrets
    model = staging["ModelDeployment", "gpt-staging"]
    assert model["spec"]["credentials"]["apiKeyRef"]["name"] == "openai-staging"
    assert model["spec"]["model"] == "gpt-4.1"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_sound(overlay: str, tmp_path: Path) -> None:
    objects = kustomized(REPOSITORY / "overlays" / overlay)
    rendered = tmp_path / f"{overlay}.yaml"
    rendered.write_text(yaml.safe_dump_all(objects))
    answer = CliRunner().invoke(lint, [str(rendered)])
    assert answer.exit_code == 0, answer.output
    assert " 0 errors" in answer.output
    told = [line for line in answer.output.splitlines() if line.endswith("[warning]")]
    made = [each for each in objects if each["kind"] == "ExternalSecret"]
    assert bool(told) == bool(made), "only Secrets that are not in Git are missing"
    assert all("Secret" in line for line in told)


def test_secrets_that_are_made_elsewhere_are_those_referred_to_and_labelled() -> None:
    production = named(kustomized(REPOSITORY / "overlays" / "production"))
    for name in ("openai", "anthropic"):
        reference = production["ApiKey", name]["spec"]["upstream"]["secretRef"]
        made = production["ExternalSecret", reference["name"]]
        assert made["spec"]["target"]["template"]["metadata"]["labels"] == {
            "sluicegate.dev/credential": "true"
        }
        assert [each["secretKey"] for each in made["spec"]["data"]] == [reference["key"]]


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    base = named(kustomized(REPOSITORY / "base"))["ApiKey", "search"]["spec"]
    production = named(kustomized(REPOSITORY / "overlays" / "production"))["ApiKey", "search"]
    client = {
        **base["client"],
        "limits": {"requestsPerMinute": 600},
        "budget": {**base["client"]["budget"], "amountUSD": "2000.00"},
    }
    assert production["spec"] == {"client": client}
