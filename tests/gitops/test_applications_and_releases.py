"""The examples for Argo CD and Flux point at what is there, in the right order."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import ROOT
from gitops_tools import GITOPS, documents, kustomized
from helm_chart import CHART, run_helm

ARGOCD = GITOPS / "argocd"
FLUX = GITOPS / "flux"
MODELS = GITOPS / "kustomize"  # the repository `models`
OURS = "https://git.example.com/platform/sluicegate.git"
REPOSITORIES = {OURS: ROOT, "https://git.example.com/platform/models.git": MODELS}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def applications() -> list[Any]:
    found = [documents(path)[0] for path in (ARGOCD / "applications").iterdir()]
    return sorted(found, key=wave)


def wave(application: Any) -> int:  # noqa: ANN401 -- it is YAML
    return int(application["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])


def flux_objects() -> dict[tuple[str, str], Any]:
    found = [*kustomized(FLUX), *kustomized(FLUX / "gateways")]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def release_values() -> list[Any]:
    (gateways,) = (each for each in applications() if "helm" in each["spec"]["source"])
    (release,) = documents(FLUX / "gateways" / "helmrelease.yaml")
    return [gateways["spec"]["source"]["helm"]["valuesObject"], release["spec"]["values"]]


def test_argo_cd_syncs_kinds_then_gateways_then_models() -> None:
    names = [(wave(each), each["metadata"]["name"]) for each in applications()]
    assert names == [(0, "sluicegate-crds"), (1, "sluicegate-gateways"), (2, "models")]
    for each in applications():
        assert "ServerSideApply=true" in each["spec"]["syncPolicy"]["syncOptions"]
        assert "ignoreDifferences" not in each["spec"]


def test_every_application_points_at_what_is_there() -> None:
    (root,) = documents(ARGOCD / "root.yaml")
    for each in (root, *applications()):
        source = each["spec"]["source"]
        folder = REPOSITORIES[source["repoURL"]] / source["path"]
        assert list(folder.iterdir()), folder
        wanted = f"v{VERSION}" if source["repoURL"] == OURS else "main"
        assert source["targetRevision"] == wanted


def test_objects_outlive_what_installs_their_kinds() -> None:
    crds = applications()[0]
    assert crds["spec"]["syncPolicy"]["automated"]["prune"] is False
    assert "finalizers" not in crds["metadata"]
    assert flux_objects()["Kustomization", "sluicegate-crds"]["spec"]["prune"] is False


def test_flux_waits_for_kinds_then_gateways_then_models() -> None:
    objects = flux_objects()
    order = ["sluicegate-crds", "sluicegate-gateways", "models"]
    before: list[dict[str, str]] = []
    for name in order:
        spec = objects["Kustomization", name]["spec"]
        assert spec.get("dependsOn", []) == before
        assert spec["wait"] is True
        before = [{"name": name}]


def test_every_source_of_flux_points_at_what_is_there() -> None:
    objects = flux_objects()
    urls = {
        name: each["spec"]["url"]
        for (kind, name), each in objects.items()
        if kind != "Namespace"
        if kind == "GitRepository"
    }
    assert set(urls.values()) == set(REPOSITORIES)
    assert objects["GitRepository", "sluicegate"]["spec"]["ref"] == {"tag": f"v{VERSION}"}
    for (kind, _), each in objects.items():
        if kind == "Kustomization":
            spec = each["spec"]
            folder = REPOSITORIES[urls[spec["sourceRef"]["name"]]] / spec["path"]
            assert list(folder.iterdir()), folder
    chart = objects["HelmRelease", "sluicegate"]["spec"]["chart"]["spec"]
    assert (ROOT / chart["chart"]).resolve() == CHART
    assert urls[chart["sourceRef"]["name"]] == OURS


@pytest.mark.parametrize("values", release_values(), ids=["argocd", "flux"])
def test_the_chart_takes_the_values_and_leaves_the_kinds_to_the_first_step(
    values: Any,  # noqa: ANN401 -- it is YAML
    tmp_path: Path,
) -> None:
    written = tmp_path / "values.yaml"
    written.write_text(yaml.safe_dump(values))
    arguments = ("template", "sluicegate", CHART, "--namespace=sluicegate", "--values", written)
    answer = run_helm(*arguments)
    assert answer.returncode == 0, answer.stderr
    kinds = {each["kind"] for each in yaml.safe_load_all(answer.stdout) if each}
    assert "Deployment" in kinds
    assert "CustomResourceDefinition" not in kinds
