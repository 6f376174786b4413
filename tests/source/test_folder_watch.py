"""Every way in which a folder changes gives a hint, and watching goes on afterwards."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sluicegate.source.scan import scan
from sluicegate.source.watch import Watch

GUARD = 10  # seconds; a hint takes some hundredths


class Watched:
    """A watch, and what it hinted at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hint = asyncio.Event()
        self.watch = Watch(lambda _paths: self.hint.set())

    async def follow(self) -> bool:
        return await self.watch.follow(await asyncio.to_thread(scan, str(self.root)))

    async def expect(self, change: Callable[[], object]) -> None:
        self.hint.clear()
        change()
        async with asyncio.timeout(GUARD):
            await self.hint.wait()
        while await self.follow():  # as the source does after each hint
            pass


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    (tmp_path / "releases/1").mkdir(parents=True)
    (tmp_path / "releases/2").mkdir()
    (tmp_path / "releases/1/a.yaml").write_text("a: 1\n")
    (tmp_path / "current").symlink_to("releases/1")
    watched = Watched(tmp_path / "current")
    assert await watched.follow()
    yield watched
    await watched.watch.close()


def replace(path: Path, text: str) -> None:
    fresh = path.with_name(".fresh")
    fresh.write_text(text)
    fresh.replace(path)


async def test_writes_renames_and_deletes(watched: Watched) -> None:
    path = watched.root / "a.yaml"
    await watched.expect(lambda: path.write_text("a: 2\n"))
    await watched.expect(lambda: replace(path, "a: 3\n"))
    await watched.expect(lambda: path.rename(watched.root / "b.yaml"))
    await watched.expect((watched.root / "b.yaml").unlink)
    assert watched.watch.alive


async def test_new_folders_are_watched_too(watched: Watched) -> None:
    folder = watched.root / "team"
    await watched.expect(folder.mkdir)
    await watched.expect(lambda: (folder / "a.yaml").write_text("a: 1\n"))
    await watched.expect((folder / "deep").mkdir)
    await watched.expect(lambda: (folder / "deep/b.yaml").write_text("a: 1\n"))
    await watched.expect(lambda: shutil.rmtree(folder))
    await watched.expect(folder.mkdir)
    await watched.expect(lambda: (folder / "a.yaml").write_text("a: 2\n"))


async def test_the_folder_as_a_link_that_is_swapped(watched: Watched, tmp_path: Path) -> None:
    def swap(release: str) -> None:
        (tmp_path / "next").symlink_to(release)
        (tmp_path / "next").replace(watched.root)

    await watched.expect(lambda: swap("releases/2"))
    await watched.expect(lambda: (tmp_path / "releases/2/a.yaml").write_text("a: 1\n"))
    await watched.expect(lambda: swap("releases/1"))
    await watched.expect(lambda: (tmp_path / "releases/1/a.yaml").write_text("a: 9\n"))


async def test_a_mounted_configmap_that_is_updated(watched: Watched) -> None:
    root = watched.root

    def update(version: str, text: str) -> None:
        (root / version).mkdir()
        (root / version / "c.yaml").write_text(text)
        (root / "..data_tmp").symlink_to(version)
        (root / "..data_tmp").replace(root / "..data")

    await watched.expect(lambda: update("..v1", "a: 1\n"))
    await watched.expect(lambda: (root / "c.yaml").symlink_to("..data/c.yaml"))
    await watched.expect(lambda: update("..v2", "a: 2\n"))


async def test_a_file_elsewhere_behind_a_link(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere/o.yaml"
    target.write_text("a: 1\n")
    await watched.expect(lambda: (watched.root / "o.yaml").symlink_to(target))
    await watched.expect(lambda: target.write_text("a: 2\n"))
    await watched.expect(lambda: replace(target, "a: 3\n"))


async def test_a_link_within_the_folder_to_a_file_of_another_name(watched: Watched) -> None:
    (watched.root / "values").write_text("a: 1\n")
    await watched.expect(lambda: (watched.root / "v.yaml").symlink_to("values"))
    await watched.expect(lambda: (watched.root / "values").write_text("a: 2\n"))


async def test_a_busy_file_beside_the_manifests_gives_no_hints(watched: Watched) -> None:
    log = watched.root / "access.log"
    await watched.expect(log.touch)
    watched.hint.clear()
    for _ in range(20):
        with log.open("a") as file:
            file.write("a line\n")
        await asyncio.sleep(0.01)
    assert not watched.hint.is_set()
    await watched.expect(log.unlink)


async def test_a_folder_that_is_deleted_made_anew_and_moved_away(
    watched: Watched, tmp_path: Path
) -> None:
    folder = tmp_path / "releases/1"

    def make() -> None:
        folder.mkdir()
        (folder / "a.yaml").write_text("a: 1\n")

    def remake() -> None:
        shutil.rmtree(folder)
        make()

    await watched.expect(remake)
    await watched.expect(lambda: (folder / "a.yaml").write_text("a: 2\n"))
    await watched.expect(lambda: folder.rename(tmp_path / "old"))
    make()
    await watched.follow()
    await watched.expect(lambda: (folder / "a.yaml").write_text("a: 3\n"))


async def test_a_folder_named_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    watched = Watched(Path("m"))
    await watched.follow()
    await watched.expect(lambda: Path("m/a.yaml").write_text("a: 1\n"))
    await watched.expect(lambda: Path("m/a.yaml").write_text("a: 2\n"))
    await watched.watch.close()


async def test_without_a_folder_there_is_nothing_to_watch(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "missing")
    assert not await watched.follow()
    assert not watched.watch.alive
    await watched.watch.close()


async def test_nothing_is_left_running_after_close(watched: Watched) -> None:
    await watched.watch.close()
    assert not watched.watch.alive
    assert len(asyncio.all_tasks()) == 1
