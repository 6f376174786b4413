"""A look at some files tells the same as a look at all of them, or says that it can't."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.source.scan import MAX_FILE_BYTES, relook, scan

NAMES = ("a.yaml", "b.yml", "c.txt", ".d.yaml", "team", "team/e.yaml", "team/f.yaml", "g.yaml")


def write(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.is_fifo():  # to write into it would wait for a reader
        path.unlink()
    if path.suffix:
        path.write_text(os.urandom(4).hex())


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    remove(path)
    path.mkdir(parents=True)


def link(path: Path) -> None:
    remove(path)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("g.yaml")


def link_hard(path: Path) -> None:
    remove(path)
    path.parent.mkdir(exist_ok=True)
    (path.parent / "other").touch()
    path.hardlink_to(path.parent / "other")


def make_pipe(path: Path) -> None:
    remove(path)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    remove(path)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)


CHANGES: tuple[Callable[[Path], None], ...] = (
    write,
    remove,
    make_folder,
    link,
    link_hard,
    make_pipe,
    make_huge,
)


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(NAMES), unique=True),
    st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(NAMES)), max_size=4),
)
def test_it_is_what_a_whole_scan_would_be_or_nothing(
    before: list[str], changes: list[tuple[Callable[[Path], None], str]]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(base)
        for name in before:
            write(root / name)
        last = scan(base)
        for change, name in changes:
            try:
                change(root / name)
            except OSError:  # what the file system does not do, as through a link that loops
                continue
        everywhere = {path for name in NAMES for path in (str(root / name),)}
        seen = relook(base, last, everywhere)
        if seen is not None:
            assert seen == scan(base)


@pytest.mark.parametrize("change", [write, remove])
def test_plain_files_need_no_whole_scan(tmp_path: Path, change: Callable[[Path], None]) -> None:
    for name in ("a.yaml", "team/e.yaml", "c.txt"):
        write(tmp_path / name)
    last = scan(str(tmp_path))
    change(tmp_path / "team/e.yaml")
    write(tmp_path / "new.yaml")
    write(tmp_path / ".new.yaml.swp")
    names = ("team/e.yaml", "new.yaml", ".new.yaml.swp", "c.txt", "never.there")
    seen = relook(str(tmp_path), last, [str(tmp_path / name) for name in names])
    assert seen == scan(str(tmp_path))
    assert seen != last


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("m/a.yaml"))
    last = scan("m")
    write(Path("m/b.yaml"))
    seen = relook("m", last, [str(tmp_path / "m/b.yaml")])
    assert seen is not None
    assert seen == scan("m")
    assert set(seen.files) == {"m/a.yaml", "m/b.yaml"}
