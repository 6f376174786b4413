"""The checks of a merge request in examples/gitops/ci, line by line as a runner would run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from gitops_tools import GITOPS, documents, kubectl

SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # as GitHub's, and GitLab's `set -eo`


class Ran(NamedTuple):
    """How far a pipeline came: the name of the step that failed, or none; and all it said."""

    failed: str
    said: str


@dataclass
class Repository:
    """The repository of models, cloned for a merge request into `main`."""

    folder: Path
    environ: dict[str, str] = field(repr=False)

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    def git(self, *arguments: str, cwd: Path | None = None) -> None:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
        subprocess.run(
            command, cwd=cwd or self.clone, env=self.environ, check=True, capture_output=True
        )

    def change(self, path: str, old: str, new: str) -> None:
        """One commit."""
        file = self.clone / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.git("commit", "-qam", "a change")

    def run(self, script: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SHELL, "-c", script],
            cwd=cwd,
            env={**self.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )

    def checked_by_github(self) -> Ran:
        (workflow,) = documents(GITOPS / "ci" / "github-actions.yaml")
        assert workflow["defaults"] == {"run": {"shell": "bash"}}
        temporary = self.folder / "runner"
        temporary.mkdir()
        said = ""
        for step in workflow["jobs"]["models"]["steps"]:
            if "run" not in step:
                continue
            ran = self.run(
                step["run"],
                self.clone,
                RUNNER_TEMP=str(temporary),
                GITHUB_BASE_REF="main",
                GITHUB_STEP_SUMMARY=str(self.folder / "summary.md"),
            )
            said += ran.stdout
            if ran.returncode:
                return Ran(step["name"], said)
        return Ran("", said)

    def checked_by_gitlab(self) -> Ran:
        (pipeline,) = documents(GITOPS / "ci" / "gitlab-ci.yaml")
        said, artifacts = "", self.folder / "artifacts"
        for stage in pipeline["stages"]:
            ((name, job),) = (
                (name, job)
                for name, job in pipeline.items()
                if name != "stages" and job["stage"] == stage
            )
            place = self.folder / name
            self.git("clone", "-q", "--no-local", str(self.clone), str(place), cwd=self.folder)
            self.git("remote", "set-url", "origin", str(self.folder / "origin"), cwd=place)
            if artifacts.exists():
                shutil.copytree(artifacts, place, dirs_exist_ok=True)
            lines = [*job.get("before_script", []), *job["script"]]
            variables = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
            ran = self.run("\n".join(lines), place, **variables)
            said += ran.stdout
            if ran.returncode:
                return Ran(name, said)
            for path in job.get("artifacts", {}).get("paths", []):
                shutil.copytree(place / path, artifacts / path)
        return Ran("", said)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl())
    kustomize = programs / "kustomize"  # the same library; `build` is called `kustomize` there
    kustomize.write_text('#!/bin/sh\n[ "$1" = build ] && exec kubectl kustomize "$2"\n')
    kustomize.chmod(0o755)
    path = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
    environ = {
        "PATH": os.pathsep.join(path),
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        # What they install is there already; nothing else would do, and nothing is fetched.
        "PIP_NO_INDEX": "1",
        "PIP_DRY_RUN": "1",
        "PIP_NO_DEPS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    found = Repository(tmp_path, environ)
    shutil.copytree(GITOPS / "kustomize", found.clone)
    found.git("init", "-q", "-b", "main")
    found.git("add", ".")
    found.git("commit", "-qm", "models")
    found.git("clone", "-q", "--bare", str(found.clone), str(tmp_path / "origin"), cwd=tmp_path)
    found.git("remote", "add", "origin", str(tmp_path / "origin"))
    found.git("fetch", "-q")
    found.git("switch", "-qc", "change")
    return found


def test_github_tells_what_a_good_change_does(repository: Repository) -> None:
    repository.change("base/models.yaml", "spec:\n  model: gpt-4.1\n", "spec:\n  model: gpt-5\n")
    repository.git("mv", "overlays/staging", "overlays/new")
    ran = repository.checked_by_github()
    assert ran.failed == "", ran.said
    assert "Requirement already satisfied: sluicegate==" in ran.said
    summary = (repository.folder / "summary.md").read_text()
    new, production, staging = summary.split("### ")[1:]
    assert "+ gpt-5 (models)" in production
    assert "- gpt-4.1 (models)" in production
    assert "7 to add" in new
    assert "7 to remove" in staging
    assert summary.count("```") == 6


def test_github_marks_the_line_of_a_mistake(repository: Repository) -> None:
    repository.change("base/models.yaml", "  pool:\n", "  wieght: 3\n  pool:\n")
    ran = repository.checked_by_github()
    assert ran.failed == "Lint what is written"
    lines = (repository.clone / "base/models.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "wieght" in text)
    assert f"::error file=base/models.yaml,line={line}," in ran.said
    assert "did you mean 'weight'?" in ran.said


def test_gitlab_tells_what_a_good_change_does(repository: Repository) -> None:
    repository.change("base/keys.yaml", '"claude-*"', '"claude-opus-*"')
    ran = repository.checked_by_gitlab()
    assert ran.failed == "", ran.said
    assert "- key models/search loses claude-sonnet-4-5" in ran.said
    assert "1 key loses access to a model" in ran.said


def test_a_mistake_that_only_an_overlay_makes_is_found(repository: Repository) -> None:
    overlay = "overlays/production/kustomization.yaml"
    repository.change(overlay, "requestsPerMinute: 600", "requestsPerMinute: many")
    ran = repository.checked_by_gitlab()
    assert ran.failed == "judge"
    assert "after/production.yaml:" in ran.said
    assert "requestsPerMinute" in ran.said
