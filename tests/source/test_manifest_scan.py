"""What a look at a manifest folder sees, and how a file is read."""

import os
import time
from pathlib import Path

import pytest

from sluicegate.source.scan import MAX_FILE_BYTES, Content, Fault, Scan, Signature, read, scan

LONG_AGO = 10**9  # ns before now


def names(folder: Path) -> set[str]:
    seen = scan(str(folder))
    return {str(Path(path).relative_to(folder)) for path in seen.files}


def write(path: Path, text: str = "a: 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def later() -> int:
    return time.time_ns() + LONG_AGO


def test_manifests_are_yaml_files_at_any_depth(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "deep/er/c.yaml", "x.yaml/d.yaml", "ä ö.yaml"):
        write(tmp_path / name)
    for name in ("a.json", "README.md", "yaml", "a.yaml.bak", "a.yaml~", "a.YAML"):
        write(tmp_path / name)
    assert names(tmp_path) == {"a.yaml", "b.yml", "deep/er/c.yaml", "x.yaml/d.yaml", "ä ö.yaml"}


@pytest.mark.parametrize(
    "name",
    [
        ".a.yaml.swp",
        ".a.yaml",
        "a.yaml~",
        "4913",
        "#a.yaml#",
        ".#a.yaml",
        ".git/x.yaml",
        "..2026_01/a.yaml",
        "a.yaml.tmp",
        "___jb_tmp___",
    ],
)
def test_what_editors_and_mounts_leave_beside_manifests_is_passed_over(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path / name)
    assert names(tmp_path) == set()


def test_a_mounted_configmap_counts_each_file_once(tmp_path: Path) -> None:
    write(tmp_path / "..2026_11_22/a.yaml")
    write(tmp_path / "..2026_11_22/b.yaml")
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "b.yaml").symlink_to("..data/b.yaml")
    seen = scan(str(tmp_path))
    assert set(seen.files) == {str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")}
    assert seen.faults == {}
    assert seen.links == frozenset()


def test_a_file_or_folder_that_is_reached_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a/one.yaml")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a/two.yaml").symlink_to("one.yaml")
    (tmp_path / "a/three.yaml").hardlink_to(tmp_path / "a/one.yaml")
    assert len(names(tmp_path)) == 1


def test_loops_of_links_end(tmp_path: Path) -> None:
    write(tmp_path / "a/one.yaml")
    (tmp_path / "a/again").symlink_to("..")
    (tmp_path / "a/self.yaml").symlink_to("self.yaml")
    seen = scan(str(tmp_path))
    assert set(seen.files) == {str(tmp_path / "a/one.yaml")}
    assert seen.faults == {
        str(tmp_path / "a/self.yaml"): Fault("a link that leads back to itself", gone=True)
    }


def test_a_link_to_nothing_is_a_fault_and_what_it_held_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere.yaml")
    seen = scan(str(tmp_path))
    assert "not there" in seen.faults[str(tmp_path / "a.yaml")].message
    assert not seen.keeps(str(tmp_path / "a.yaml"))


def test_a_pipe_is_no_manifest_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    seen = scan(str(tmp_path))
    assert seen.files == {}
    assert seen.faults[str(tmp_path / "a.yaml")].message == "not a regular file"
    content = read(str(tmp_path / "a.yaml"), later())
    assert content == Content(None, Fault("not a regular file", gone=True))


def test_a_huge_file_is_refused_unread_and_what_it_held_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml")
    os.truncate(path, MAX_FILE_BYTES + 1)
    seen = scan(str(tmp_path))
    assert "larger than 16 MiB" in seen.faults[str(path)].message
    assert seen.keeps(str(path))
    content = read(str(path), later())  # it may have grown since the scan
    assert content is not None
    assert isinstance(content.text, Fault)
    os.truncate(path, MAX_FILE_BYTES)
    assert set(scan(str(tmp_path)).files) == {str(path)}


def test_a_name_that_is_not_printable_is_reported_and_not_loaded(tmp_path: Path) -> None:
    for name in (b"a\xff.yaml", b"b\n.yaml"):
        (tmp_path / os.fsdecode(name)).write_text("a: 1\n")
    seen = scan(str(tmp_path))
    assert seen.files == {}
    assert len(seen.faults) == 2
    for path in seen.faults:
        assert path.isprintable()


@pytest.mark.parametrize("kind", ["missing", "file", "dangling", "loop"])
def test_a_folder_that_is_not_there_keeps_everything(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "manifests"
    if kind == "file":
        root.write_text("")
    elif kind == "dangling":
        root.symlink_to("nowhere")
    elif kind == "loop":
        root.symlink_to("manifests")
    seen = scan(str(root))
    assert not seen.found
    assert set(seen.faults) == {str(root)}
    assert seen.keeps(str(root / "a.yaml"))


def test_an_unlistable_folder_keeps_what_is_below_it_and_nothing_else() -> None:
    seen = Scan(
        found=True,
        files={},
        folders=frozenset(),
        faults={"m/secret": Fault("Permission denied", gone=False)},
        links=frozenset(),
    )
    assert seen.keeps("m/secret/deep/a.yaml")
    assert not seen.keeps("m/secrets.yaml")
    assert not seen.keeps("m/a.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list and read everything")
def test_permissions_are_faults(tmp_path: Path) -> None:
    closed = write(tmp_path / "closed/a.yaml")
    unreadable = write(tmp_path / "b.yaml")
    unreadable.chmod(0)
    closed.parent.chmod(0)
    try:
        seen = scan(str(tmp_path))
        assert "can't be listed" in seen.faults[str(closed.parent)].message
        assert seen.keeps(str(closed))
        content = read(str(unreadable), later())
        assert content is not None
        assert isinstance(content.text, Fault)
        assert not content.text.gone
        closed.parent.chmod(0o700)
        tmp_path.chmod(0)
        assert not scan(str(tmp_path)).found
    finally:
        tmp_path.chmod(0o700)
        closed.parent.chmod(0o700)


def test_links_that_lead_to_the_folder_or_out_of_it_are_known(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside/o.yaml")
    write(tmp_path / "releases/1/a.yaml")
    (tmp_path / "releases/1/o.yaml").symlink_to("../../outside/o.yaml")
    (tmp_path / "current").symlink_to("releases/1")
    (tmp_path / "alias").symlink_to("current")
    root = tmp_path / "alias"
    seen = scan(str(root))
    assert set(seen.files) == {str(root / "a.yaml"), str(root / "o.yaml")}
    real = tmp_path.resolve()  # also what leads to it may be a link
    expected = {str(real / "alias"), str(real / "current"), str(outside.resolve())}
    assert expected <= {str(Path(link).parent.resolve() / Path(link).name) for link in seen.links}


def test_every_way_of_changing_a_file_changes_its_signature(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "a: 1\n")

    def signature() -> Signature:
        return scan(str(tmp_path)).files[str(path)]

    before = signature()
    assert signature() == before
    os.utime(path, ns=(1, 1))
    path.write_text("a: 2\n")
    os.utime(path, ns=(before.modified_ns, before.modified_ns))  # same size, same mtime
    second = signature()
    assert second != before
    replacement = write(tmp_path / "new", "a: 3\n")
    replacement.replace(path)
    assert signature() not in {before, second}


def test_a_file_is_read_as_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    for data in ("ä: 1\n".encode(), b"\xef\xbb\xbf" + "ä: 1\n".encode()):
        (tmp_path / "a.yaml").write_bytes(data)
        content = read(str(tmp_path / "a.yaml"), later())
        assert content is not None
        assert content.text == "ä: 1\n"
        assert content.signature == scan(str(tmp_path)).files[str(tmp_path / "a.yaml")]


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    content = read(str(tmp_path / "a.yaml"), later())
    assert content is not None
    assert content.text == Fault("line 2 is not UTF-8 text", gone=False, garbled=True)
    assert content.signature is not None

    (tmp_path / "a.yaml").write_text("a: 1\n", encoding="utf-16")
    content = read(str(tmp_path / "a.yaml"), later())
    assert content is not None
    assert isinstance(content.text, Fault)
    assert content.text.message.endswith("save it as UTF-8")


def test_a_file_written_a_moment_ago_is_not_known_by_its_signature_yet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml")
    changed = path.stat().st_ctime_ns
    content = read(str(path), changed + 1_000_000)
    assert content is not None
    assert (content.signature, content.text) == (None, "a: 1\n")


def test_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    assert read(str(tmp_path / "a.yaml"), later()) is None
