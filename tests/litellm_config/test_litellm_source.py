"""A LiteLLM configuration that is followed: changes, bad edits, included files, links."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sluicegate.compile import Compilation, Settings
from sluicegate.config import (
    AwsCredential,
    ClientKey,
    CredentialEntry,
    Deployment,
    SecretCredential,
)
from sluicegate.source.litellm import LiteLLMSource
from sluicegate.source.lookout import Timing
from sluicegate.source.status import SourceStatus

GUARD = 10  # seconds; what is waited for takes some tenths
MASTER = "general_settings: {master_key: sk-a-key-of-some-length}\n"


def models(**upstream: str) -> str:
    return "model_list:\n" + "".join(
        f"- model_name: {name}\n  litellm_params: {{model: {model}, api_key: os.environ/KEY}}\n"
        for name, model in upstream.items()
    )


def write(path: Path, text: str) -> None:
    path.write_text(text)


class Served:
    """A source and what it published."""

    def __init__(self, path: Path, timing: Timing) -> None:
        self.path = path
        self.published: list[Compilation] = []
        self.news = asyncio.Event()
        self.source = LiteLLMSource(
            path,
            environ={"KEY": "sk-from-the-environment"},
            settings=Settings.folder(),
            publish=self.publish,
            timing=timing,
        )

    def publish(self, compilation: Compilation) -> Iterable[None]:
        yield
        self.published.append(compilation)
        self.news.set()

    @property
    def models(self) -> dict[str, str | None]:
        """The upstream model of each public one."""
        entries = self.published[-1].config.entries.values()
        deployments = [entry for entry in entries if isinstance(entry, Deployment)]
        return {each.model: getattr(each.upstream, "model", None) for each in deployments}

    @property
    def keys(self) -> int:
        entries = self.published[-1].config.entries.values()
        return sum(isinstance(entry, ClientKey) for entry in entries)

    async def until(self, **expected: str) -> None:
        async with asyncio.timeout(GUARD):
            while not self.published or self.models != expected:
                self.news.clear()
                await self.news.wait()

    async def status(self, wanted: Callable[[SourceStatus], bool]) -> SourceStatus:
        for _ in range(GUARD * 100):
            if wanted(self.source.status):
                return self.source.status
            await asyncio.sleep(0.01)
        pytest.fail(f"the status stays {self.source.status}")


@asynccontextmanager
async def following(path: Path, *, rescan: float = 0.2) -> AsyncGenerator[Served]:
    served = Served(path, Timing(rescan=rescan))
    await served.source.load()
    task = asyncio.create_task(served.source.run())
    try:
        yield served
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(models(a="openai/x") + MASTER)
    return path


async def test_a_first_load_serves_what_the_configuration_says(config: Path) -> None:
    async with following(config) as served:
        assert (served.models, served.keys) == ({"a": "x"}, 1)
        assert (served.source.status.ok, served.source.status.loaded) == (True, True)
        [entry] = [
            each
            for each in served.published[-1].config.entries.values()
            if isinstance(each, Deployment)
        ]
        assert isinstance(entry.credential, SecretCredential)
        assert entry.credential.value == "sk-from-the-environment"


async def test_a_change_is_noticed_without_a_look_of_its_own_accord(config: Path) -> None:
    async with following(config, rescan=3600) as served:
        await asyncio.sleep(0.3)  # so that the watch is set; it would serve all the same without
        write(config, models(a="openai/y", b="openai/z") + MASTER)
        await served.until(a="y", b="z")


async def test_a_change_of_an_included_file_and_of_a_link(config: Path, tmp_path: Path) -> None:
    for name, model in (("one", "openai/1"), ("two", "openai/2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "more.yaml").write_text(models(b=model))
    link = tmp_path / "current"
    link.symlink_to("one")
    write(config, "include: [current/more.yaml]\n" + models(a="openai/x"))
    async with following(config) as served:
        assert served.models == {"a": "x", "b": "1"}
        fresh = tmp_path / "fresh"
        fresh.symlink_to("two")
        fresh.replace(link)  # as a mounted ConfigMap is updated
        await served.until(a="x", b="2")
        (tmp_path / "two" / "more.yaml").write_text(models(b="openai/3"))
        await served.until(a="x", b="3")


@pytest.mark.parametrize("text", ["model_list: [\n", "", "[]\n", "model_list: 7\n"])
async def test_a_configuration_that_can_not_be_read_leaves_all_as_it_was(
    config: Path, text: str
) -> None:
    async with following(config) as served:
        write(config, text)
        status = await served.status(lambda status: not status.ok)
        assert str(config) in status.problems[0]
        assert (served.models, served.keys) == ({"a": "x"}, 1)
        write(config, models(a="openai/y") + MASTER)
        await served.until(a="y")
        await served.status(lambda status: status.ok)


async def test_a_configuration_that_is_gone_leaves_all_as_it_was(config: Path) -> None:
    async with following(config) as served:
        shutil.move(config, config.with_name("elsewhere"))
        status = await served.status(lambda status: not status.ok)
        assert "there is no such file" in status.problems[0]
        assert served.models == {"a": "x"}
        write(config, models(a="openai/y"))
        await served.until(a="y")


async def test_an_entry_that_is_wrong_keeps_its_last_good_form(config: Path) -> None:
    async with following(config) as served:
        good = models(a="openai/x", b="openai/y")
        write(config, good + MASTER)
        await served.until(a="x", b="y")
        changed = good.replace("openai/y,", "openai/z, rpm: many,").replace("openai/x", "openai/w")
        write(config, changed + MASTER)
        await served.until(a="w", b="y")
        status = await served.status(lambda status: not status.ok)
        assert (len(status.problems), "rpm" in status.problems[0]) == (1, True)
        assert f"{config}:5" in status.problems[0]
        assert status.problems[0].endswith("(its last good version is served)")


async def test_a_broken_edit_tells_of_itself_alone(config: Path) -> None:
    wrong = models(a="openai/x", b="openai/y").replace("openai/y,", "openai/y, rpm: many,") + MASTER
    write(config, wrong)
    async with following(config) as served:
        [problem] = served.source.status.problems
        assert problem.endswith("(not served until this is right)")
        write(config, wrong + "model_list: [\n")
        status = await served.status(lambda status: "what was loaded last" in str(status.problems))
        assert len(status.problems) == 1
        assert f"{config}:" in status.problems[0]
        assert served.models == {"a": "x"}
        shutil.move(config, config.with_name("elsewhere"))
        status = await served.status(lambda status: "no such file" in str(status.problems))
        assert len(status.problems) == 1


async def test_a_last_good_deployment_keeps_its_credential(config: Path) -> None:
    aws = "aws_access_key_id: os.environ/KEY, aws_secret_access_key: os.environ/KEY"
    entry = f"- {{model_name: b, litellm_params: {{model: bedrock/m.n, {aws}}}}}\n"
    write(config, models(a="openai/x") + entry + MASTER)
    async with following(config) as served:
        write(config, models(a="openai/y") + entry.replace("bedrock/", "bedrok-") + MASTER)
        await served.until(a="y", b="m.n")
        write(config, models(a="openai/z") + entry.replace("bedrock/", "bedrok-") + MASTER)
        await served.until(a="z", b="m.n")
        credentials = [
            each
            for each in served.published[-1].config.entries.values()
            if isinstance(each, CredentialEntry)
        ]
        assert [type(each.credential) for each in credentials] == [AwsCredential]
        write(config, models(a="openai/z") + MASTER)
        await served.until(a="z")
        assert not any(each.id in served.published[-1].config.entries for each in credentials)


async def test_what_grants_access_fails_closed(config: Path) -> None:
    async with following(config) as served:
        write(config, models(a="openai/y"))
        await served.until(a="y")
        assert served.keys == 0


async def test_a_variable_that_is_not_set_leaves_its_model_out_and_says_so(config: Path) -> None:
    write(config, models(a="openai/x").replace("KEY", "NOT_SET"))
    async with following(config) as served:
        [problem] = served.source.status.problems
        assert f"{config}:2" in problem
        assert "NOT_SET" in problem
        assert served.source.status.ok  # as a folder's is


async def test_a_configuration_that_is_wrong_at_first_is_served_once_it_is_good(
    config: Path,
) -> None:
    write(config, "model_list: [\n")
    async with following(config) as served:
        assert (served.published, served.source.status.loaded) == ([], False)
        write(config, models(a="openai/x"))
        await served.until(a="x")


async def test_a_folder_that_comes_and_goes(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    moved = folder / "config.yaml"
    shutil.copy(config, moved)
    async with following(moved) as served:
        shutil.rmtree(folder)
        await served.status(lambda status: not status.ok)
        folder.mkdir()
        write(moved, models(a="openai/y"))
        await served.until(a="y")
