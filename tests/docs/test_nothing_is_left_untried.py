"""Each block and each command of the documentation is tried, or says here why not."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from bench import options
from click.testing import CliRunner

from control_plane import ROOT
from documented import LANGUAGES, PAGES, Block, Step, blocks, commands, mentioned, paired, typed
from documented_scenes import IN_CLUSTER, LOCAL, MENTIONED, OTHERS, RUN_IN_CLUSTER
from sluicegate.cli import main, plugin
from sluicegate.cli.lint import lint
from sluicegate_operator.cli import main as operator

SCENES = (LOCAL, IN_CLUSTER, OTHERS)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
STEPS = [(page, step) for scenes in SCENES for page, steps in scenes.items() for step in steps]


def steps_of(page: str) -> tuple[Step, ...]:
    return tuple(step for of, step in STEPS if of == page)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_has_its_step(page: str) -> None:
    paired(page, steps_of(page))


def test_no_scene_is_of_a_page_that_is_gone_or_has_another() -> None:
    named = [page for scenes in SCENES for page in scenes]
    assert sorted(named) == sorted(set(named) & set(PAGES))


@pytest.mark.parametrize("page", PAGES)
def test_each_block_says_what_it_is(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.place} needs one of {sorted(LANGUAGES)}"
        if block.language not in {"sh", "console"}:
            assert not re.search(r"^(\$|sluicegate|kubectl|helm) ", block.text, re.MULTILINE)
    indented = re.findall(
        r"^    (?:\$|sluicegate|kubectl|helm|pip) .*", text_of(page), re.MULTILINE
    )
    assert not indented, "a command belongs in a fenced block"


def text_of(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("page", "step"), STEPS)
def test_a_command_that_is_not_run_here_has_a_reason(page: str, step: Step) -> None:
    if step.elsewhere:
        assert page.rpartition("/")[2] in (ROOT / step.elsewhere).read_text(encoding="utf-8")
    assert not (step.elsewhere and step.not_run)
    assert not step.not_run or len(step.not_run.split()) > 3


@pytest.mark.parametrize(
    "block",
    [each for each in ALL_BLOCKS if each.language in {"json", "toml", "yaml"}],
    ids=lambda each: each.place,
)
def test_values_parse_and_parts_of_manifests_are_good(block: Block, tmp_path: Path) -> None:
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        found = list(yaml.safe_load_all(block.text))
        if found[0].keys() == {"spec"}:
            assert not problems_of(found[0]["spec"], tmp_path)
        else:  # tests/lint lints our kinds
            assert all("kind" in one for one in found), block.place


def problems_of(spec: dict[str, Any], folder: Path) -> str:
    """What lint says of a deployment with this part of a spec."""
    whole = {"provider": {"openai": {"model": "gpt-4.1"}}, **spec}
    manifest = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a"},
        "spec": whole,
    }
    path = folder / "part.yaml"
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    result = CliRunner().invoke(lint, [str(path)])
    return result.output if result.exit_code else ""


# ------------------------------------------------------------------ commands that are only checked

BENCHES = [
    command
    for page in PAGES
    for command in commands(page)
    if command.text.startswith(("make bench", ".venv/bin/python -m bench profile"))
]


@pytest.mark.parametrize("text", [command.text for command in BENCHES])
def test_a_benchmark_is_asked_for_as_it_understands(text: str) -> None:
    words = shlex.split(text, comments=True)
    if words[0] == "make":
        arguments = next((one for one in words if one.startswith("ARGS=")), "ARGS=")
        words = ["python", "-m", "bench", *shlex.split(arguments.removeprefix("ARGS="))]
    options.parse(words[3:])


@pytest.mark.parametrize("text", sorted({each for page in PAGES for each in mentioned(page)}))
def test_a_command_in_running_text_is_one_that_there_is(text: str) -> None:
    if text in MENTIONED:
        return
    words = shlex.split(text.replace("…", "").replace("'", '"'))
    program, rest = words[0], words[1:]
    if text.startswith("kubectl sluicegate"):
        understood(plugin, rest[1:])
    elif program in {"sluicegate", "sluicegate-operator"}:
        understood(main if program == "sluicegate" else operator, rest)
    elif program == "make":
        assert re.search(rf"^{re.escape(rest[0])}:", MAKEFILE, re.MULTILINE), text
    elif program == "pip":
        extras = re.findall(r"\[([\w,]+)\]", text)
        wanted = {one for each in extras for one in each.split(",")}
        assert wanted <= set(PROJECT["optional-dependencies"])
    elif rest[:2] == ["-m", "bench"]:
        options.parse(rest[2:])
    elif rest[0] == "-m":
        assert importlib.util.find_spec(rest[1]), text
    else:
        assert len(rest) == 1, f"{text!r} needs a line in MENTIONED, of documented_scenes.py"


def test_no_exception_is_of_a_command_that_is_gone() -> None:
    said = {each for page in PAGES for each in mentioned(page)}
    assert set(MENTIONED) <= said


@pytest.mark.parametrize("text", [each for each in MENTIONED if MENTIONED[each] == RUN_IN_CLUSTER])
def test_what_is_said_to_be_run_in_a_cluster_is(text: str) -> None:
    typed = [step.starts for steps in IN_CLUSTER.values() for step in steps]
    source = (ROOT / "tests" / "cluster" / "test_documented_commands.py").read_text("utf-8")
    begin = " ".join(text.split()[:3])
    assert begin in source or any(one.startswith(begin) for one in typed)


def understood(group: click.Group, words: list[str]) -> None:
    """Each word is a command or an option of it; what follows is not looked at."""
    command: click.Command = group
    context = click.Context(group)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    if command.context_settings.get("ignore_unknown_options"):
        return
    known = {name for option in command.get_params(context) for name in option.opts}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{command.name} has no option {word}"


# ------------------------------------------------------------------------------ of this test itself


def test_a_command_without_a_step_and_a_step_without_a_command_are_told() -> None:
    steps = LOCAL["docs/plan.md"]
    with pytest.raises(AssertionError, match=r"docs/plan.md:\d+: sluicegate plan .* has no step"):
        paired("docs/plan.md", steps[:-1])
    with pytest.raises(AssertionError, match="has no command 'sluicegate fly' any more"):
        paired("docs/plan.md", (*steps, Step("sluicegate fly")))
    with pytest.raises(AssertionError, match="comes where the scene of this page has 'sluicegate"):
        paired("docs/plan.md", (Step("sluicegate fly"), *steps[1:]))


def test_what_is_typed_is_told_from_what_is_printed() -> None:
    text = "$ kubectl get md \\\n    -o yaml\nkind: A\n\n$ true\n"
    found = list(typed(Block("page.md", 7, "console", text)))
    assert [each.text for each in found] == ["kubectl get md \\\n    -o yaml", "true"]
    assert [(each.line, each.printed) for each in found] == [(8, "kind: A\n\n"), (12, "")]
    found = list(typed(Block("page.md", 7, "sh", "one\n\ntwo \\\n  three\n")))
    assert [each.text for each in found] == ["one", "two \\\n  three"]


def test_an_unknown_command_or_option_is_not_understood() -> None:
    for words in (["fly"], ["lint", "--fly"], ["key", "fly"], ["status", "--by"]):
        with pytest.raises(AssertionError, match=r"there is no command|has no option"):
            understood(main, words)
