"""A folder is served as it is, whatever way it changes, and whatever is wrong with a part of it."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.source.lookout import Timing
from watched_folder import Served, api_key, echo, replace

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
        await served.until({"a": "new", "b": "hello", "c": "goes on"})
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


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"a: \x00\n",
        b"\t- {",
        b"a: &a [*a, *b]\n",
        b"just words\n",
        b"apiVersion: sluicegate.dev/v1alpha1\nkind: ModelDeploy",
        b"apiVersion: sluicegate.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {nam: a}\n",
    ],
)
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


@pytest.mark.parametrize("garbled", ["# départ\n".encode("latin-1"), b"---\n{[not: yaml\n"])
async def test_a_revocation_is_not_held_up_by_what_else_is_wrong_with_the_file(
    served: Served, garbled: bytes
) -> None:
    path = served.root / "a.yaml"
    key = 'keyHash: "sha256:' + "0" * 64 + '"'
    path.write_text(echo("a") + "---\n" + api_key("k", key))
    await served.source.load()
    assert [entry.revoked for entry in served.keys.values()] == [False]
    revoked = echo("a") + "---\n" + api_key("k", f"{key}, revoked: true")
    path.write_bytes(revoked.encode() + garbled)
    status = await served.source.load()
    assert not status.ok
    assert not any(not entry.revoked for entry in served.keys.values())
    assert served.texts == {"a": "hello"}


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
        assert "RuntimeError at watched_folder.py" in status.problems[0]
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
