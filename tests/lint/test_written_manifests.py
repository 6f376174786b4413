"""Manifests that people copy, in the documentation and in examples/, are good ones."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sluicegate.cli.lint import lint

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
# What examples/gitops holds is whole only once kustomize and others have made objects of it.
FOLDERS = sorted(path for path in (ROOT / "examples").iterdir() if path.name != "gitops")
EXAMPLES = sorted(path for folder in FOLDERS for path in folder.rglob("*.yaml"))
PROVIDERS = ("anthropic", "bedrock", "echo", "gemini", "openai", "vertex-ai")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> list[Any]:
    """Each YAML block that holds objects; others are of other programs, or parts of an object."""
    return [
        pytest.param(block, id=f"{page.name} {number}")
        for page in PAGES
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1)
        if "apiVersion: sluicegate.dev" in block
    ]


def run(*paths: Path) -> Result:
    return CliRunner().invoke(lint, [str(path) for path in paths])


@pytest.mark.parametrize("block", blocks())
def test_manifests_of_the_documentation_lint(block: str, tmp_path: Path) -> None:
    path = tmp_path / "block.yaml"
    path.write_text(block, encoding="utf-8")
    result = run(path)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_example_lints(path: Path) -> None:
    result = run(path)
    assert result.exit_code == 0, result.output


def test_all_examples_together_lint() -> None:
    result = run(*FOLDERS)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_example_of_a_provider_is_what_the_page_shows(name: str) -> None:
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    example = (ROOT / "examples" / "providers" / f"{name}.yaml").read_text(encoding="utf-8")
    assert f"```yaml\n{example}```" in page
