"""Health of both kinds as Argo CD, kstatus and Flux read it, by their own Lua, library and CEL."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scripts import health_cases

from control_plane import ROOT
from gitops_tools import GITOPS, HEALTH, documents, judged, kustomized

OURS = HEALTH / "sluicegate.dev" / "_"
SUITES = sorted(path.parent for path in HEALTH.rglob("health.lua"))
CASES = list(health_cases.made())
GUIDE = ROOT / "docs" / "gitops.md"


class Row(NamedTuple):
    """A row of the guide's table."""

    argocd: str
    kstatus: str
    flux: str


def ready(content: dict[str, Any]) -> dict[str, str]:
    conditions: list[dict[str, str]] = content["status"]["conditions"]
    return next(one for one in conditions if one["type"] == "Ready")


def reasons_in(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z][A-Za-z]+)`", text))


def told_by_the_guide() -> dict[str, Row]:
    """What docs/gitops.md says of each reason."""
    rows: dict[str, Row] = {}
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] in {"True", "Unknown", "False"}:
            for reason in reasons_in(cells[1]):
                rows[f"{cells[0]} {reason}"] = Row(*cells[2:])
    return rows


def test_argo_cd_has_a_suite_for_both_kinds_and_for_applications() -> None:
    assert [suite.relative_to(HEALTH).as_posix() for suite in SUITES] == [
        "argoproj.io/Application",
        "sluicegate.dev/_",
    ]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_script_answers_as_its_suite_says(suite: Path) -> None:
    (tests,) = documents(suite / "health_test.yaml")
    inputs = [suite / one["inputPath"] for one in tests["tests"]]
    assert sorted(inputs) == sorted(suite.glob("testdata/*.yaml"))
    objects = [documents(path)[0] for path in inputs]
    answers = judged(objects, "health", suite / "health.lua")
    assert answers == [one["healthStatus"] for one in tests["tests"]]


def test_the_test_data_is_what_the_operator_writes() -> None:
    """As far as health depends on it; words may change, `make docs` takes them over."""
    kept = {path.stem: documents(path)[0] for path in OURS.glob("testdata/*.yaml")}
    assert kept.keys() == {made.name for made in CASES}, "run `make docs`"
    for made in CASES:
        told = kept[made.name]
        assert told["spec"] == made.content["spec"], made.name
        assert essence(told["status"]) == essence(made.content["status"]), "run `make docs`"


def essence(status: dict[str, Any]) -> object:
    conditions: list[dict[str, Any]] = status["conditions"]
    return status.get("observedGeneration"), [
        (one["type"], one["status"], one["reason"], one.get("observedGeneration"))
        for one in conditions
    ]


def test_every_case_is_about_its_reason() -> None:
    for case, made in zip(health_cases.CASES, CASES[1:], strict=True):
        assert ready(made.content)["reason"] == case.reason, case.name


def test_no_reason_that_an_object_may_have_is_left_out() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    row = r"^\| `(?:Accepted|ResolvedRefs|Programmed)` \|[^|]*\|(.*)\|$"
    rows = re.findall(row, operations, flags=re.MULTILINE)
    assert len(rows) == 3
    documented = {reason for row in rows for reason in reasons_in(re.sub(r"\([^)]*\)", "", row))}
    of_ready = {"Ready", "Suspended", "Revoked", "Expired", "Pending"}
    assert {ready(made.content)["reason"] for made in CASES} == documented | of_ready


def test_all_three_judge_as_the_guide_says(tmp_path: Path) -> None:
    checks = tmp_path / "checks.json"
    checks.write_text(json.dumps(health_checks()))
    objects = [made.content for made in CASES]
    argocd = judged(objects, "health", OURS / "health.lua")
    kstatus = judged(objects, "kstatus")
    flux = judged(objects, "expressions", checks)
    guide = told_by_the_guide()
    seen: set[str] = set()
    for made, *said in zip(CASES, argocd, kstatus, flux, strict=True):
        answer = Row(said[0]["status"], said[1]["kstatus"], said[2]["status"])
        assert said[1]["flux"] == answer.kstatus, made.name
        if made.content["metadata"]["generation"] != made.content["status"].get(
            "observedGeneration", 1
        ):
            assert answer == Row("Progressing", "InProgress", "InProgress")
            continue
        told = f"{ready(made.content)['status']} {ready(made.content)['reason']}"
        assert answer == guide[told], made.name
        seen.add(told)
    assert seen == set(guide)


def test_a_reason_that_is_new_is_judged_by_whether_it_may_pass(tmp_path: Path) -> None:
    """So a newer operator's statuses are no worse than unexplained."""
    checks = tmp_path / "checks.json"
    checks.write_text(json.dumps(health_checks()))
    waiting, invalid = (
        next(made.content for made in CASES if made.name == name)
        for name in ("model-waiting", "model-invalid-spec")
    )
    objects = [
        json.loads(json.dumps(one).replace(f'"{ready(one)["reason"]}"', '"Unheard"'))
        for one in (waiting, invalid)
    ]
    answers = [
        [each["status"] for each in judged(objects, "health", OURS / "health.lua")],
        [each["kstatus"] for each in judged(objects, "kstatus")],
        [each["status"] for each in judged(objects, "expressions", checks)],
    ]
    assert answers == [
        ["Progressing", "Degraded"],
        ["InProgress", "Failed"],
        ["InProgress", "Failed"],
    ]


def test_what_has_no_status_yet_is_under_way() -> None:
    bare = {name: value for name, value in CASES[1].content.items() if name != "status"}
    statuses: list[dict[str, Any]] = [{}, {"status": {}}, {"status": {"conditions": []}}]
    for status in statuses:
        (answer,) = judged([{**bare, **status}], "health", OURS / "health.lua")
        assert answer["status"] == "Progressing"


def test_what_is_being_deleted_is_going() -> None:
    """Argo CD says so itself before it asks a script."""
    content = CASES[1].content
    metadata = {**content["metadata"], "deletionTimestamp": "2027-01-01T00:00:00Z"}
    (answer,) = judged([{**content, "metadata": metadata}], "kstatus")
    assert (answer["kstatus"], answer["flux"]) == ("Terminating", "Terminating")


def health_checks() -> list[dict[str, str]]:
    """Those of the example for Flux."""
    for each in documents(GITOPS / "flux" / "kustomizations.yaml"):
        checks: list[dict[str, str]] = each["spec"].get("healthCheckExprs", [])
        if checks:
            return checks
    raise AssertionError("no healthCheckExprs")


def test_argocd_cm_gets_these_scripts_under_the_keys_that_argo_cd_reads() -> None:
    (config,) = kustomized(HEALTH)
    assert (config["kind"], config["metadata"]["name"]) == ("ConfigMap", "argocd-cm")
    assert config["metadata"]["namespace"] == "argocd"
    ours = (OURS / "health.lua").read_text(encoding="utf-8")
    applications = (HEALTH / "argoproj.io/Application/health.lua").read_text(encoding="utf-8")
    assert config["data"] == {
        "resource.customizations.health.sluicegate.dev_ModelDeployment": ours,
        "resource.customizations.health.sluicegate.dev_ApiKey": ours,
        "resource.customizations.health.argoproj.io_Application": applications,
    }
    kinds = {documents(path)[0]["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml")}
    assert kinds == {"ModelDeployment", "ApiKey"}
