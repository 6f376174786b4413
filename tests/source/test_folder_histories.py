"""Whatever happened to a folder, what serves is what a fresh start would serve."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from watched_folder import Served, echo, replace

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
