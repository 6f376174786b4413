"""A folder is served as it is, whatever way it changes, and whatever is wrong with a part of it."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.compile import Compilation, Settings
from sluicegate.config import ClientKey, Deployment, EchoUpstream
from sluicegate.source.folder import FolderSource, Timing
from sluicegate.source.status import SourceStatus

GUARD = 10  # seconds; what is waited for takes some tenths
NOW = 1_800_000_000.0


def echo(name: str, text: str = "hello") -> str:
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec: {{provider: {{echo: {{text: "{text}"}}}}}}
"""


def api_key(name: str, client: str) -> str:
    return f"""\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}}}
spec: {{client: {{{client}}}}}
"""


SOON = Timing(rescan=0.2)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Served:
    """A source and what it published."""

    def __init__(self, base: Path, timing: Timing = SOON) -> None:
        self.root = base / "manifests"
        self.state = base / "state"
        self.clock = Clock()
        self.published: list[Compilation] = []
        self.news = asyncio.Event()
        self.fail: Exception | None = None
        self.source = FolderSource(
            self.root,
            state_dir=self.state,
            environ={"TOKEN": "sk-from-the-environment"},
            settings=Settings.folder(),
            publish=self.publish,
            clock=self.clock,
            timing=timing,
        )

    def publish(self, compilation: Compilation) -> Iterable[None]:
        yield
        if self.fail is not None:
            raise self.fail
        self.published.append(compilation)
        self.news.set()

    @property
    def texts(self) -> dict[str, str | None]:
        """What each echo deployment says."""
        return {
            entry.name: entry.upstream.text
            for entry in self.published[-1].config.entries.values()
            if isinstance(entry, Deployment) and isinstance(entry.upstream, EchoUpstream)
        }

    @property
    def keys(self) -> dict[str, ClientKey]:
        entries = self.published[-1].config.entries.values()
        return {entry.name: entry for entry in entries if isinstance(entry, ClientKey)}

    async def until(self, texts: dict[str, str | None]) -> None:
        async with asyncio.timeout(GUARD):
            while not self.published or self.texts != texts:
                self.news.clear()
                await self.news.wait()

    async def status(self, wanted: Callable[[SourceStatus], bool]) -> SourceStatus:
        for _ in range(GUARD * 100):
            if wanted(self.source.status):
                return self.source.status
            await asyncio.sleep(0.01)
        pytest.fail(f"the status stays {self.source.status}")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Served", None]:
        await self.source.load()
        task = asyncio.create_task(self.source.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    served = Served(tmp_path)
    served.root.mkdir()
    return served


def replace(path: Path, text: str) -> None:
    fresh = path.with_name(".fresh")
    fresh.write_text(text)
    fresh.replace(path)


# --- changes --------------------------------------------------------------------------------------


async def test_the_first_load_serves_what_is_there(served: Served) -> None:
    (served.root / "a.yaml").write_text(echo("a") + "---\n" + echo("b"))
    (served.root / "other.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    )
    status = await served.source.load()
    assert served.texts == {"a": "hello", "b": "hello"}
    assert (status.ok, status.loads, status.files, status.objects, status.ignored) == (
        True,
        1,
        2,
        2,
        1,
    )
    await served.source.load()
    assert len(served.published) == 1  # nothing new, nothing published


async def test_an_empty_folder_is_a_configuration(served: Served) -> None:
    status = await served.source.load()
    assert (status.ok, status.loaded) == (True, True)
    assert served.texts == {}


async def test_files_are_changed_added_moved_and_deleted(served: Served) -> None:
    path = served.root / "a.yaml"
    path.write_text(echo("a"))
    async with served.running():
        path.write_text(echo("a", "in place"))
        await served.until({"a": "in place"})
        replace(path, echo("a", "renamed"))
        await served.until({"a": "renamed"})
        (served.root / "team/deep").mkdir(parents=True)
        (served.root / "team/deep/b.yml").write_text(echo("b"))
        await served.until({"a": "renamed", "b": "hello"})
        with path.open("a") as file:
            file.write("---\n" + echo("c"))
        await served.until({"a": "renamed", "b": "hello", "c": "hello"})
        path.rename(served.root / "team/a.yaml")
        path.write_text(echo("d"))
        await served.until({"a": "renamed", "b": "hello", "c": "hello", "d": "hello"})
        shutil.rmtree(served.root / "team")
        await served.until({"d": "hello"})
        path.unlink()
        await served.until({})
        assert served.source.status.ok


def save_as_vim(path: Path, text: str) -> None:
    """Vim with `backup`: probes the folder, moves the file away, writes it anew."""
    swap = path.with_name(f".{path.name}.swp")
    swap.write_bytes(b"b0VIM")
    probe = path.with_name("4913")
    probe.touch()
    probe.unlink()
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()
    swap.unlink()


def save_as_emacs(path: Path, text: str) -> None:
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("someone@host.123:456")
    path.with_name(f"#{path.name}#").write_text(echo("autosaved"))
    path.write_text(text)
    path.with_name(f"#{path.name}#").unlink()
    lock.unlink()


def save_as_sed(path: Path, text: str) -> None:
    temporary = path.with_name("sedAbC123")
    temporary.write_text(text)
    temporary.replace(path)


def save_as_intellij(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + "___jb_tmp___")
    temporary.write_text(text)
    path.rename(path.with_name(path.name + "___jb_old___"))
    temporary.rename(path)
    path.with_name(path.name + "___jb_old___").unlink()


@pytest.mark.parametrize("save", [save_as_vim, save_as_emacs, save_as_sed, save_as_intellij])
async def test_the_ways_of_editors(served: Served, save: Callable[[Path, str], None]) -> None:
    path = served.root / "a.yaml"
    path.write_text(echo("a"))
    (served.root / "b.yaml").write_text(echo("b"))
    async with served.running():
        for count in range(3):
            save(path, echo("a", f"saved {count}"))
            await served.until({"a": f"saved {count}", "b": "hello"})
    assert all("autosaved" not in str(sorted(c.config.entries)) for c in served.published)


async def test_a_mounted_configmap_is_updated(served: Served) -> None:
    def update(version: str, text: str) -> None:
        (served.root / version).mkdir()
        for name in ("a", "b"):
            (served.root / version / f"{name}.yaml").write_text(echo(name, text))
        (served.root / "..data_tmp").symlink_to(version)
        (served.root / "..data_tmp").replace(served.root / "..data")

    update("..2026_1", "one")
    for name in ("a.yaml", "b.yaml"):
        (served.root / name).symlink_to(f"..data/{name}")
    async with served.running():
        assert served.texts == {"a": "one", "b": "one"}
        update("..2026_2", "two")
        shutil.rmtree(served.root / "..2026_1")
        await served.until({"a": "two", "b": "two"})
        update("..2026_3", "three")
        await served.until({"a": "three", "b": "three"})
        assert served.source.status.ok


async def test_the_folder_is_a_link_that_is_swapped(tmp_path: Path) -> None:
    served = Served(tmp_path)
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a.yaml").write_text(echo("a", release))
    served.root.symlink_to("1")
    async with served.running():
        assert served.texts == {"a": "1"}
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").replace(served.root)
        await served.until({"a": "2"})
        (tmp_path / "2/a.yaml").write_text(echo("a", "two"))
        await served.until({"a": "two"})


async def test_a_file_that_is_being_written_is_not_taken_for_its_half(tmp_path: Path) -> None:
    served = Served(tmp_path, Timing(rescan=0.05, quiet=0.4, patience=5.0))
    served.root.mkdir()
    path = served.root / "a.yaml"
    path.write_text(echo("a") + "---\n" + echo("b"))
    async with served.running():
        with path.open("w") as file:
            for part in (echo("a", "new"), "---\n", echo("b", "new")[:40], echo("b", "new")[40:]):
                await asyncio.sleep(0.1)
                file.write(part)
                file.flush()
        await served.until({"a": "new", "b": "new"})
    assert [sorted(compilation.config.entries) for compilation in served.published] == [
        ["md/default/a", "md/default/b", "pool/default/a", "pool/default/b"]
    ] * 2


async def test_a_writer_that_never_rests_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    served = Served(tmp_path, Timing(quiet=0.05, patience=0.1))
    served.root.mkdir()
    async with served.running():
        for count in range(1000):
            (served.root / "busy.yaml").write_text(echo("busy", str(count)))
            (served.root / "a.yaml").write_text(echo("a"))
            await asyncio.sleep(0.01)
            if len(served.published) > 2:
                break
        else:
            pytest.fail("nothing was published while the writer went on")


# --- what is wrong --------------------------------------------------------------------------------


async def test_broken_text_keeps_the_files_objects_and_nothing_else_waits(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = served.root / "a.yaml"
    path.write_text(echo("a") + "---\n" + echo("b"))
    (served.root / "c.yaml").write_text(echo("c"))
    async with served.running():
        caplog.clear()
        path.write_text(echo("a", "new") + "---\n" + "{[not: yaml\n")
        status = await served.status(lambda status: not status.ok)
        assert status.problems[0].startswith(f"{path}:")
        (served.root / "c.yaml").write_text(echo("c", "goes on"))
        await served.until({"a": "hello", "b": "hello", "c": "goes on"})
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(errors) == 1
        path.write_text(echo("a", "healed"))
        await served.until({"a": "healed", "c": "goes on"})
        await served.status(lambda status: status.ok)
        assert "all good again" in caplog.text


async def test_broken_text_at_the_first_load_does_not_hold_up_the_rest(served: Served) -> None:
    (served.root / "a.yaml").write_text("{[not: yaml\n")
    (served.root / "b.yaml").write_text(echo("b"))
    status = await served.source.load()
    assert (status.ok, status.loaded) == (False, True)
    assert served.texts == {"b": "hello"}


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00\n", b"\t- {", b"a: &a [*a, *b]\n"])
async def test_bytes_that_are_no_manifest_keep_the_last_good_one(
    served: Served, content: bytes
) -> None:
    path = served.root / "a.yaml"
    path.write_text(echo("a"))
    await served.source.load()
    path.write_bytes(content)
    status = await served.source.load()
    assert not status.ok
    assert served.texts == {"a": "hello"}
    path.write_text(echo("a"))
    assert (await served.source.load()).ok


async def test_an_object_that_does_not_compile_keeps_its_last_good_entry(served: Served) -> None:
    path = served.root / "a.yaml"
    path.write_text(echo("a"))
    (served.root / "b.yaml").write_text(echo("b"))
    async with served.running():
        path.write_text(echo("a").replace("echo:", "ekko:"))
        (served.root / "b.yaml").write_text(echo("b", "new"))
        await served.until({"a": "hello", "b": "new"})
        status = await served.status(lambda status: not status.ok)
        assert f"{path}:4" in status.problems[0]


async def test_an_object_in_two_files_is_reported(served: Served) -> None:
    (served.root / "a.yaml").write_text(echo("a"))
    (served.root / "b.yaml").write_text(echo("a", "again"))
    status = await served.source.load()
    assert served.texts == {"a": "hello"}
    assert not status.ok
    assert any("b.yaml" in problem for problem in status.problems)
    (served.root / "a.yaml").unlink()
    assert (await served.source.load()).ok
    assert served.texts == {"a": "again"}


async def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    served = Served(tmp_path)
    async with served.running():
        status = served.source.status
        assert (status.ok, status.loaded) == (False, False)
        assert str(served.root) in status.problems[0]
        served.root.mkdir()
        (served.root / "a.yaml").write_text(echo("a"))
        await served.until({"a": "hello"})
        await served.status(lambda status: status.ok)


async def test_a_folder_that_goes_away_leaves_everything_as_it_was(
    served: Served, tmp_path: Path
) -> None:
    (served.root / "a.yaml").write_text(echo("a"))
    async with served.running():
        served.root.rename(tmp_path / "old")
        await served.status(lambda status: not status.ok)
        assert served.texts == {"a": "hello"}
        served.root.mkdir()
        (served.root / "b.yaml").write_text(echo("b"))
        await served.until({"b": "hello"})
        await served.status(lambda status: status.ok)
        (served.root / "b.yaml").write_text(echo("b", "watched again"))
        await served.until({"b": "watched again"})


async def test_a_defect_in_publishing_is_reported_and_tried_again(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    (served.root / "a.yaml").write_text(echo("a"))
    async with served.running():
        served.fail = RuntimeError("no snapshot")
        (served.root / "a.yaml").write_text(echo("a", "new"))
        status = await served.status(lambda status: not status.ok)
        assert "RuntimeError at test_folder_source.py" in status.problems[0]
        assert "no snapshot" not in str(status)
        assert served.texts == {"a": "hello"}
        served.fail = None
        await served.until({"a": "new"})
        await served.status(lambda status: status.ok)
    assert caplog.text.count("internal error") == 1


async def test_a_variable_that_is_not_set_is_no_failed_load(served: Served) -> None:
    (served.root / "a.yaml").write_text("""\
apiVersion: v1
kind: Secret
metadata: {name: provider}
stringData: {key: $(NOT_SET), other: $(TOKEN)}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {name: gpt}
spec:
  provider: {openai: {model: gpt-4.1}}
  credentials: {secretRef: {name: provider, key: key}}
""")
    status = await served.source.load()
    assert status.ok
    assert "NOT_SET" in status.problems[0]
    assert "sk-from-the-environment" not in str(status)


# --- keys -----------------------------------------------------------------------------------------


async def test_a_generated_key_is_minted_once_and_serves_again_after_a_restart(
    served: Served, tmp_path: Path
) -> None:
    path = served.root / "keys.yaml"
    path.write_text(api_key("search", "generate: {secretName: search-key}"))
    await served.source.load()
    (held,) = served.keys["search"].digests
    key = (served.state / "keys/default/search-key").read_text().strip()
    assert held.key_id in key
    await served.source.load()
    again = Served(tmp_path)
    await again.source.load()
    assert again.keys["search"].digests == (held,)
    path.write_text(echo("a"))
    await again.source.load()
    assert again.keys == {}
    path.write_text(api_key("search", "generate: {secretName: search-key}"))
    await again.source.load()
    assert again.keys["search"].digests == (held,)


@pytest.mark.parametrize(("old", "new"), [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")])
async def test_a_key_survives_the_move_of_its_object_to_another_file(
    served: Served, old: str, new: str
) -> None:
    search = api_key("search", "generate: {secretName: search-key}")
    (served.root / old).write_text(search)
    (served.root / new).write_text(echo("a"))
    await served.source.load()
    digests = served.keys["search"].digests
    (served.root / new).write_text(echo("a") + "---\n" + search)
    (served.root / old).write_text(echo("b"))
    await served.source.load()
    assert served.keys["search"].digests == digests
    (served.root / new).write_text(echo("a"))
    await served.source.load()
    assert served.keys == {}


async def test_a_minted_key_is_not_lent_to_another_object(served: Served) -> None:
    path = served.root / "keys.yaml"
    path.write_text(api_key("search", "generate: {secretName: search-key}"))
    await served.source.load()
    path.write_text(api_key("impostor", "generate: {secretName: search-key}"))
    status = await served.source.load()
    assert served.keys == {}
    assert any("impostor" in problem for problem in status.problems)
    path.write_text(api_key("impostor", "secretRef: {name: search-key, key: key}"))
    await served.source.load()
    assert served.keys == {}


async def test_a_secret_of_the_folder_is_never_adopted(served: Served) -> None:
    (served.root / "keys.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: search-key}\n"
        "stringData: {key: a-key-that-everybody-knows}\n---\n"
        + api_key("search", "generate: {secretName: search-key}")
    )
    status = await served.source.load()
    assert served.keys == {}
    assert "never adopted" in status.problems[0]
    assert not (served.state / "keys/default/search-key").exists()


async def test_rotation_serves_both_keys_until_the_overlap_is_over(tmp_path: Path) -> None:
    served = Served(tmp_path, Timing(rescan=0.05))
    served.root.mkdir()
    path = served.root / "keys.yaml"
    path.write_text(api_key("search", "generate: {secretName: search-key}"))
    async with served.running():
        (first,) = served.keys["search"].digests
        rotation = 'rotation: {requestedAt: "2027-01-01T00:00:00Z", overlap: 1h}'
        path.write_text(api_key("search", f"generate: {{secretName: search-key}}, {rotation}"))
        async with asyncio.timeout(GUARD):
            while len(served.keys["search"].digests) < 2:
                served.news.clear()
                await served.news.wait()
        second, old = served.keys["search"].digests
        assert (old.digest, old.not_after) == (first.digest, int(NOW) + 3600)
        served.clock.now = NOW + 3601  # time alone ends it
        async with asyncio.timeout(GUARD):
            while len(served.keys["search"].digests) > 1:
                served.news.clear()
                await served.news.wait()
        assert served.keys["search"].digests == (second,)


async def test_a_state_directory_that_cannot_be_written_stops_only_its_keys(
    served: Served,
) -> None:
    served.state.write_text("in the way")
    (served.root / "a.yaml").write_text(
        echo("a") + "---\n" + api_key("search", "generate: {secretName: search-key}")
    )
    async with served.running():
        assert served.texts == {"a": "hello"}
        status = served.source.status
        assert not status.ok
        assert f"{served.root / 'a.yaml'}:9: ApiKey default/search" in status.problems[0]
        assert "SLUICEGATE_STATE_DIR" in status.problems[0]
        served.state.unlink()  # and it heals by itself
        async with asyncio.timeout(GUARD):
            while not served.keys:
                served.news.clear()
                await served.news.wait()
        await served.status(lambda status: status.ok)


async def test_no_key_is_logged_or_told(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (served.root / "keys.yaml").write_text(api_key("search", "generate: {secretName: search-key}"))
    status = await served.source.load()
    key = (served.state / "keys/default/search-key").read_text().strip()
    said = str([vars(record) for record in caplog.records]) + str(status) + repr(served.published)
    assert str(served.state / "keys/default/search-key") in said
    assert key.split("-")[3] not in said


# --- whatever happens -----------------------------------------------------------------------------

FILES = ("a.yaml", "b.yml", "team/c.yaml", "team/deep/d.yaml")


@st.composite
def texts(draw: st.DrawFn, path: str) -> str:
    """A manifest, sometimes broken; its objects have names that no other file has."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(["", "---\n", "{[", "a: b: c\n", "kind: Pod\n", "\0"]))
    names = [f"{Path(path).stem}{number}" for number in range(3)]
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    return "---\n".join(echo(name, draw(st.sampled_from("xyz"))) for name in chosen)


@st.composite
def operations(draw: st.DrawFn) -> list[Callable[[Path], None]]:
    def write(path: str, text: str, *, atomically: bool) -> Callable[[Path], None]:
        def run(root: Path) -> None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (replace if atomically else Path.write_text)(root / path, text)

        return run

    def delete(path: str) -> Callable[[Path], None]:
        return lambda root: (root / path).unlink(missing_ok=True)

    def prune(folder: str) -> Callable[[Path], None]:
        return lambda root: shutil.rmtree(root / folder, ignore_errors=True)

    steps: list[Callable[[Path], None]] = []
    for _ in range(draw(st.integers(1, 12))):
        path = draw(st.sampled_from(FILES))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            steps.append(prune(draw(st.sampled_from(("team", "team/deep")))))
        elif kind <= 2:
            steps.append(delete(path))
        else:
            steps.append(write(path, draw(texts(path)), atomically=draw(st.booleans())))
    return steps


def heal(root: Path) -> Iterator[None]:
    """Put good text into every file; what went before may have left last good objects."""
    for path in root.rglob("*.y*ml"):
        if path.is_file():
            path.write_text(echo(path.stem, "healed"))
            yield


@settings(max_examples=40)
@given(operations(), st.sets(st.integers(0, 12)))
async def test_any_sequence_of_changes_ends_as_a_fresh_load_would(
    steps: list[Callable[[Path], None]], looks: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        served = Served(Path(base))
        served.root.mkdir()
        for count, step in enumerate(steps):
            step(served.root)
            if count in looks:
                await served.source.load()
        await served.source.load()
        fresh = Served(Path(base))
        await fresh.source.load()
        if fresh.source.status.ok:
            # An empty or foreign document is a good one, so nothing is last good any more.
            assert served.source.status.ok
            assert served.published[-1].config == fresh.published[-1].config
        assert served.source.status.ok == fresh.source.status.ok
        for _ in heal(served.root):
            await served.source.load()
        await served.source.load()
        fresh = Served(Path(base))
        await fresh.source.load()
        assert served.source.status.ok
        assert served.published[-1].config == fresh.published[-1].config
