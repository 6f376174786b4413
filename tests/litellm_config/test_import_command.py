"""`sluicegate import litellm`: what it writes, what it tells, and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sluicegate.cli import main

CONFIG = """\
model_list:
- model_name: gpt
  litellm_params: {model: openai/gpt-4.1, api_key: os.environ/OPENAI_API_KEY}
general_settings: {master_key: os.environ/MASTER}
"""
WARNS = CONFIG + "litellm_settings: {callbacks: [langfuse]}\n"
WRONG = CONFIG.replace("gpt-4.1,", "gpt-4.1, rpm: many,")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["import", "litellm", *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_what_it_writes_passes_lint(config: Path, tmp_path: Path) -> None:
    result = run(config)
    assert (result.exit_code, "ModelDeployment" in result.stdout) == (0, True)
    out = tmp_path / "out.yaml"
    out.write_text(result.stdout)
    linted = CliRunner().invoke(main, ["lint", str(out)])
    assert (linted.exit_code, linted.stdout.splitlines()[-1].split(",")[1]) == (0, " 0 errors")
    assert result.stderr.splitlines()[-1].startswith("1 ModelDeployment, 1 ApiKey, 2 Secrets")


def test_it_writes_the_same_each_time(config: Path) -> None:
    assert run(config).output == run(config).output


@pytest.mark.parametrize(
    ("text", "strict", "code"), [(CONFIG, 0, 0), (WARNS, 0, 0), (WARNS, 1, 1), (WRONG, 0, 1)]
)
def test_how_it_exits(config: Path, text: str, strict: int, code: int) -> None:
    config.write_text(text)
    result = run(config, *["--strict"] * strict)
    assert result.exit_code == code
    assert "kind: ApiKey" in result.stdout  # the rest is written all the same


def test_findings_are_on_standard_error_with_file_and_line(config: Path) -> None:
    config.write_text(WARNS)
    result = run(config)
    assert f"{config}:5: litellm_settings.callbacks: has no counterpart" in result.stderr
    assert "callbacks" not in result.stdout


def test_a_folder_gets_a_file_for_each_kind(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "manifests"
    assert run(config, "--output", folder).exit_code == 0
    names = ["keys.yaml", "models.yaml", "secrets.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / "secrets.yaml").stat().st_mode & 0o077 == 0
    assert run(config, "--output", folder).exit_code == 0  # nothing has changed


def test_a_folder_with_other_content_is_left_alone_without_force(
    config: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "manifests"
    run(config, "--output", folder)
    (folder / "mine.yaml").write_text("# mine\n")
    before = (folder / "models.yaml").read_text()
    config.write_text("model_list:\n- {model_name: gpt, litellm_params: {model: openai/other}}\n")
    refused = run(config, "--output", folder)
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)
    assert (folder / "models.yaml").read_text() == before
    assert run(config, "--output", folder, "--force").exit_code == 0
    # What an earlier import left and is no more is gone; what is not ours stays.
    assert sorted(path.name for path in folder.iterdir()) == ["mine.yaml", "models.yaml"]


def test_included_files_are_beside_the_configuration(config: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(
        "model_list:\n- {model_name: more, litellm_params: {model: openai/x}}\n"
    )
    config.write_text("include: [more.yaml]\n" + CONFIG)
    assert "name: more" in run(config).stdout


def test_what_is_no_configuration(config: Path, tmp_path: Path) -> None:
    config.write_text("model_list: [\n")
    broken = run(config, "--output", tmp_path / "out")
    assert (broken.exit_code, (tmp_path / "out").exists()) == (1, False)
    assert "does not parse" in broken.stderr
    config.write_bytes(b"\xff\xfe\x00")
    assert run(config).exit_code == 1
    assert run(tmp_path / "nothing.yaml").exit_code == 2
