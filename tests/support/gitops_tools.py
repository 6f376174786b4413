"""What Argo CD, kstatus and Flux say of an object, by their own Lua, library and CEL; and kubectl.

The judges come from `scripts/gitops-tools`, kubectl from `scripts/control-plane`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import ROOT, ControlPlaneMissing, kubectl_program

GITOPS = ROOT / "examples" / "gitops"
HEALTH = GITOPS / "argocd" / "resource_customizations"

Object = dict[str, Any]


def documents(path: Path) -> list[Any]:
    """Those of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def judged(objects: Iterable[Object], *arguments: str | Path) -> list[dict[str, str]]:
    """What a judge says of each; `arguments` are those of gitops-tools."""
    answer = subprocess.run(
        [_judges(), *arguments],
        input="\n".join(json.dumps(each) for each in objects),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def _judges() -> Path:
    found = subprocess.run(
        [ROOT / "scripts" / "gitops-tools", "where"], capture_output=True, text=True, check=True
    )
    program = Path(found.stdout.strip())
    if not os.access(program, os.X_OK):
        _missing(f"no judges at {program}: `make gitops-tools` builds them (needs Go)")
    return program


def kubectl() -> Path:
    """The kubectl to be run. Skips the test where there is none; under CI the test fails."""
    try:
        return kubectl_program()
    except ControlPlaneMissing as missing:
        return _missing(str(missing))


def _missing(what: str) -> Path:
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must not skip this", pytrace=False)
    pytest.skip(what)


def kustomized(folder: Path) -> list[Object]:
    """What `kubectl kustomize` makes of a folder."""
    return [each for each in yaml.safe_load_all(_kustomized(folder)) if each]


@cache
def _kustomized(folder: Path) -> str:
    answer = subprocess.run(
        [kubectl(), "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
