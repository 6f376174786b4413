"""The commands and programs of the documentation do what the pages say."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from documented import blocks, page_folder, paired
from documented_scenes import CLIENT_KEY, LOCAL
from documented_stage import Stage, stage
from ledger_records import encoded, recently
from served_folder import echo_manifest, key_manifest
from sluicegate.ledger import CallRecord
from sluicegate.ledger.sqlite import SqliteStore
from stand_in_providers import stand_in_providers

LOGGED = [block for block in blocks("README.md") if '"manifests loaded"' in block.text]
HEAD = "apiVersion: sluicegate.dev/v1alpha1\n"
LITELLM = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 100
      timeout: 60
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o-2024-08-06
      api_key: os.environ/OPENAI_API_KEY
      rpm: 50
      timeout: 60
  - model_name: gpt-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: os.environ/OPENAI_API_KEY
      temperature: 0.2
      max_tokens: 1000
      timeout: 60
      tags: [free]
  - model_name: o1
    litellm_params:
      model: openai/o1
      api_key: os.environ/OPENAI_API_KEY
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""


def echo(name: str, more: str = "") -> str:
    head = f"{HEAD}kind: ModelDeployment\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  provider: {{echo: {{}}}}\n{more}"


def write(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


# --------------------------------------------------------------------- what a page takes as given


def of_readme(made: Stage) -> None:
    (made.folder / "config.yaml").write_text(LITELLM)
    made.environ["LITELLM_MASTER_KEY"] = "sk-master-0123456789"


def of_cost(made: Stage) -> None:
    """Calls of two keys, of which the last of each has what the page's sums are of."""
    rows: list[CallRecord] = []
    for namespace, key, calls, input_, cached, output, cost in (
        ("team-a", "search", 12_402, 9_120_774, 800_112, 2_204_381, "61.204418"),
        ("team-b", "laptop", 310, 188_204, 0, 91_882, "1.388650"),
    ):
        nothing = recently(namespace=namespace, key=key, cost_usd=Decimal(0))
        nothing = replace(nothing, input_tokens=0, cached_tokens=0, output_tokens=0)
        rows += [replace(nothing, id=f"req_{key}{number}.1") for number in range(calls - 1)]
        tokens = {"input_tokens": input_, "cached_tokens": cached, "output_tokens": output}
        rows.append(recently(namespace=namespace, key=key, cost_usd=Decimal(cost), **tokens))
    state = Path(made.environ["HOME"]) / ".local" / "state" / "sluicegate"
    with closing(SqliteStore(state / "ledger.sqlite3")) as store:
        store.open()
        store.add(encoded(*rows))


def of_explain(made: Stage) -> None:
    head = f"{HEAD}kind: ModelDeployment\nmetadata: {{namespace: models, name: NAME}}\nspec: SPEC\n"
    shared = "model: gpt, allowedNamespaces: {from: All}"
    fallbacks = "[{model: echo}, {model: private, causes: [Timeout]}]"
    pool = f"pool: {{strategy: LowestCost, fallbacks: {fallbacks}}}"
    key = "credentials: {secretRef: {name: elsewhere, key: key}}"
    specs = {
        "a": f"{{provider: {{openai: {{model: gpt-4.1}}}}, {shared}, weight: 3, {key}, {pool}}}",
        "b": f"{{provider: {{openai: {{model: gpt-4.1-mini}}}}, {shared}}}",
        "c": f"{{provider: {{echo: {{}}}}, {shared}, suspended: true}}",
        "d": "{provider: {echo: {}}, model: gpt}",
        "e": f"{{provider: {{echo: {{}}}}, {shared}, wieght: 2}}",
        "echo": "{provider: {echo: {}}, allowedNamespaces: {from: All}}",
        "private": "{provider: {echo: {}}}",
    }
    app = key_manifest(name="app").replace("name: app", "namespace: team-a, name: app")
    app = app.replace("client: {", "client: {limits: {requestsPerMinute: 600}, ")
    objects = [head.replace("NAME", name).replace("SPEC", spec) for name, spec in specs.items()]
    write(made.folder / "manifests", all="---\n".join([*objects, app]))


def of_litellm(made: Stage) -> None:
    (made.folder / "config.yaml").write_text(LITELLM)


def of_lint(made: Stage) -> None:
    model = f"{HEAD}kind: ModelDeployment\nmetadata:\n  name: sonnet\nspec:\n"
    model += "  provider: {anthropic: {model: claude-sonnet-4-5}}\n  wieght: 2\n"
    others = "---\n".join(echo(f"model-{number}") for number in range(11))
    maps = "---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\n" for number in range(3)
    )
    write(made.folder / "manifests", models=model, others=others, maps=maps)


def of_logging(made: Stage) -> None:
    write(made.folder / "manifests", echo=echo_manifest("gpt"), key=key_manifest(CLIENT_KEY))


def of_plan(made: Stage) -> None:
    """A repository whose work tree is a change."""
    app = key_manifest(name="app")
    pool = "  model: gpt\n"
    before = [echo("gpt-a", f"{pool}  weight: 1\n"), echo("gpt-b", pool), echo("old-model"), app]
    after = [echo("gpt-a", f"{pool}  weight: 3\n"), app]
    write(made.folder / "manifests-of-main", all="---\n".join(before))
    write(made.folder / "manifests", all="---\n".join(before))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "manifests"],
        ["commit", "-q", "-m", "before"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run([*git, *command], cwd=made.folder, check=True, env=made.environ)
    write(made.folder / "manifests", all="---\n".join(after))


PREPARED: dict[str, Callable[[Stage], None]] = {
    "README.md": of_readme,
    "docs/cost.md": of_cost,
    "docs/explain.md": of_explain,
    "docs/from-litellm.md": of_litellm,
    "docs/lint.md": of_lint,
    "docs/logging.md": of_logging,
    "docs/plan.md": of_plan,
}


def _nothing(made: Stage) -> None:
    del made


@pytest.mark.parametrize("page", LOCAL, ids=page_folder)
async def test_what_a_page_says_to_type(page: str, tmp_path: Path) -> None:
    programs = [] if page == "README.md" else [Path(sys.prefix) / "bin"]
    async with (
        stand_in_providers(tmp_path) as providers,
        stage(tmp_path, providers.environ(), *programs) as made,
    ):
        await asyncio.to_thread(PREPARED.get(page, _nothing), made)
        for command, step in paired(page, LOCAL[page]):
            await made.perform(command, step)


async def test_a_change_is_live_as_the_readme_says(tmp_path: Path) -> None:
    [shown] = [json.loads(block.text.replace("…", "0").replace(":0}", ":0.5}")) for block in LOGGED]
    async with stage(tmp_path, {}) as made:
        await made.serve("make run")
        path = made.folder / "examples" / "quickstart" / "echo.yaml"
        story = re.compile(r"(name: storyteller.*?text: )[^\n]*", re.DOTALL)
        text, changes = story.subn(r'\1"Another story."', path.read_text())
        assert changes == 1
        draft = path.with_name(".draft")  # a file that is written to is empty for a moment
        draft.write_text(text)
        draft.replace(path)
        [told] = await made.until_printed(f'"message":"{shown["message"]}","load":2')
        assert json.loads(told).keys() == shown.keys()
        asked = "curl -s http://127.0.0.1:4000/v1/responses -H 'content-type: application/json'"
        _, answer = await made.run(f"""{asked} -d '{{"model": "storyteller", "input": "Tell"}}'""")
        assert "Another story." in answer
