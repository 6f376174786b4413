"""The chart helm/sluicegate, rendered by the real helm that scripts/helm has built."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import ROOT

CHART = ROOT / "helm" / "sluicegate"
VALUES = {
    "default": None,
    **{path.name.removesuffix("-values.yaml"): path for path in sorted(CHART.glob("ci/*.yaml"))},
}
# Of kinds that only some clusters have.
FOREIGN_GROUPS = {"gateway.networking.k8s.io", "monitoring.coreos.com"}


def helm_program() -> Path:
    """The helm to be run. Skips the test where there is none; under CI the test fails."""
    found = subprocess.run(
        [ROOT / "scripts" / "helm", "where"], capture_output=True, text=True, check=True
    )
    program = Path(found.stdout.strip())
    if not os.access(program, os.X_OK):
        missing = f"no helm at {program}: `make helm` builds it (needs Go)"
        if os.environ.get("CI"):
            pytest.fail(f"{missing}; CI must not skip this", pytrace=False)
        pytest.skip(missing)
    return program


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What helm says, whether or not it succeeds."""
    command = [helm_program(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def rendered_text(values: Path | None, *settings: str, namespace: str = "sluicegate") -> str:
    """The manifests of a release `sluicegate`; `settings` are as for `--set`."""
    arguments: list[str | Path] = ["template", "sluicegate", CHART, "--namespace", namespace]
    if values is not None:
        arguments += ["--values", values]
    for setting in settings:
        arguments += ["--set", setting]
    answer = run_helm(*arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def rendered(values: Path | None, *settings: str, namespace: str = "sluicegate") -> list[Any]:
    """The same as documents; helm is asked once for each."""
    text = _rendered_once(values, *settings, namespace=namespace)
    return [document for document in yaml.safe_load_all(text) if document]


_rendered_once = functools.cache(rendered_text)


def metric_names(found: list[Any]) -> set[str]:
    """Those that the alerts and the dashboard of a rendered chart ask for."""
    expressions: list[str] = []
    for each in found:
        if each["kind"] == "PrometheusRule":
            rules = [rule for group in each["spec"]["groups"] for rule in group["rules"]]
            expressions += [rule["expr"] for rule in rules]
        elif each["kind"] == "ConfigMap":
            panels = json.loads(each["data"]["sluicegate.json"])["panels"]
            expressions += [target["expr"] for panel in panels for target in panel["targets"]]
    # A metric is a name before its labels; every one of the expressions has some.
    return {name for one in expressions for name in re.findall(r"([a-z_]+)\{", one)}
