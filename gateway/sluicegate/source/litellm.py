"""A LiteLLM configuration that is served as it is, and served anew when it changes.

What the folder source is for a folder of manifests: look, wait until writers are done, translate,
compile, publish. The manifests are those that `sluicegate import litellm` would write. The files
are few, so a look reads all of them, and their content says whether anything is new.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from sluicegate.compile import Compilation, Settings, compile_steps
from sluicegate.litellm_config import (
    Manifest,
    Translation,
    Unreadable,
    Unserved,
    translate,
    written,
)
from sluicegate.resources import (
    Inventory,
    LoadedFile,
    Origin,
    Resource,
    ResourceRef,
    Secret,
    SecretRef,
    load_steps,
)
from sluicegate.resources.yaml_documents import JsonValue
from sluicegate.source.lookout import Timing
from sluicegate.source.report import Report, Reporter, consequence, defect
from sluicegate.source.scan import Fault, Scan, links_on_the_way, read
from sluicegate.source.slices import FIRST_LOAD, WHILE_SERVING, Pace, drive
from sluicegate.source.status import SourceStatus, StatusBoard
from sluicegate.source.watch import Watch
from sluicegate.telemetry.logs import log

_TIMING = Timing()
_NAMESPACE = "default"  # of all objects
_TOLD = 20  # findings in a line of the log


def read_text(path: str) -> str:
    """The text of a file. Raises Unreadable."""
    content = read(path, time.time_ns())
    if content is None:
        raise Unreadable("there is no such file")
    if isinstance(content.text, Fault):
        raise Unreadable(content.text.message)
    return content.text


class _Look(NamedTuple):
    """The files at one moment: the hash of each one's text, or why it can't be read."""

    files: Mapping[str, int | str]


class _Translated(NamedTuple):
    """What the files said, in the form that the loader takes."""

    look: _Look
    translation: Translation | None  # None: the first file can't be read, and `look` says why
    text: str
    credentials: tuple[Manifest, ...] = ()  # what deployments present to providers


class LiteLLMSource:
    """Loads a configuration and follows it, and the files that it includes.

    `publish` is as for the folder source. `environ` is where `os.environ/NAME` and the `$(NAME)` of
    its Secrets come from.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        environ: Mapping[str, str],
        settings: Settings,
        publish: Callable[[Compilation], Iterable[object]],
        clock: Callable[[], float] = time.time,
        timing: Timing = _TIMING,
    ) -> None:
        self._path = str(Path(path))
        self._environ = dict(environ)
        self._settings = settings
        self._publish = publish
        self._clock = clock
        self._timing = timing
        self._board = StatusBoard(clock, "litellm-config")
        self._drive = partial(drive, held=self._board.held)
        self._news = asyncio.Event()
        self._watch = Watch(self._hinted)
        self._inventory = Inventory()
        self._seen = _Look({self._path: "not read yet"})
        self._translated: _Translated | None = None
        self._unserved: tuple[Unserved, ...] = ()  # of what is loaded
        self._reporter = Reporter()
        self._loaded: LoadedFile | None = None
        self._credentials: tuple[Manifest, ...] = ()  # those that are loaded
        self._parts: set[str] = set()  # the files that the inventory's objects are in
        self._compilation: Compilation | None = None
        self._judged = False

    @property
    def status(self) -> SourceStatus:
        """How it is doing at this moment."""
        return self._board.status

    async def load(self) -> SourceStatus:
        """Load the configuration for the first time. What is wrong with it is in the status."""
        await self._pass(FIRST_LOAD, settle=False)
        self._board.begin_serving()
        return self.status

    async def look_again(self) -> bool:
        """Nothing is to be looked for: what is written is noticed at once."""
        return False

    async def run(self) -> None:
        """Follow the files until cancelled. A task root: nothing that they hold ends it."""
        try:
            while True:
                try:
                    await self._follow()
                    await self._pass(WHILE_SERVING, settle=True)
                except Exception as error:  # noqa: BLE001 -- a defect here must not end hot reload
                    self._judged = False
                    self._board.judge(Report((defect(error),), ()))
                wait = self._timing.rescan if self._watch.alive else self._timing.rescan_blind
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()
                self._news.clear()
        finally:
            await self._watch.close()

    def _hinted(self, paths: Collection[str] | None) -> None:
        del paths
        self._news.set()

    async def _follow(self) -> None:
        """Watch the files, and every link that leads to them."""
        links = await asyncio.to_thread(_ways, tuple(self._seen.files))
        await self._watch.follow(
            Scan(found=True, files={}, folders=frozenset(), faults={}, links=links)
        )

    async def _pass(self, pace: Pace, *, settle: bool) -> None:
        started = time.perf_counter()
        look = await asyncio.to_thread(_look, tuple(self._seen.files))
        if look != self._seen or not self._judged:
            if settle:
                look = await self._settled(look)
            await self._take_in(look, pace, started)

    async def _settled(self, look: _Look) -> _Look:
        """What the files hold once writers are done."""
        deadline = time.monotonic() + self._timing.patience
        while True:
            before = look
            await asyncio.sleep(self._timing.quiet)
            look = await asyncio.to_thread(_look, tuple(before.files))
            if look == before or time.monotonic() >= deadline:
                return look

    async def _take_in(self, look: _Look, pace: Pace, started: float) -> None:
        # In a thread, because a document can't be parsed in slices: so the interpreter's lock
        # changes hands every few milliseconds.
        translated = await asyncio.to_thread(
            _translate, self._path, look, self._environ, self._credentials
        )
        self._seen = translated.look
        translation = translated.translation
        if translation is not None and translation.readable:
            await self._serve(translated, translation, pace, started)
        if translation is not None:
            self._tell(translation)
        self._translated = translated
        await self._judge(translated, pace)
        await self._follow()

    async def _serve(
        self, translated: _Translated, translation: Translation, pace: Pace, started: float
    ) -> None:
        steps = load_steps(self._path, translated.text, self._loaded, self._environ)
        loaded = await self._drive(steps, pace)
        self._loaded = loaded
        self._credentials = translated.credentials
        self._unserved = translation.unserved
        parts = _at_home(self._path, loaded, translation)
        for file in sorted(self._parts - parts.keys()):
            await self._drive(self._inventory.replace_steps(file, None), pace)
        for file, part in parts.items():
            await self._drive(self._inventory.replace_steps(file, part), pace)
        self._parts = set(parts)
        inputs = self._inventory.snapshot()
        compiled = compile_steps(inputs, self._compilation, self._settings, self._clock())
        self._compilation = await self._drive(compiled, pace)
        await self._drive(_steps(self._publish(self._compilation)), pace)
        self._board.loaded(
            seconds=time.perf_counter() - started,
            changed=len(self._compilation.changed),
            files=len(translation.files),
        )
        self._board.count(
            files=len(translation.files), objects=len(inputs.resources), ignored=loaded.ignored
        )

    def _tell(self, translation: Translation) -> None:
        """Log what is not an error, when it is other than before."""
        last = self._translated.translation if self._translated is not None else None
        told = [str(each) for each in translation.findings if each.severity == "warning"]
        if last is not None and last.findings == translation.findings:
            return
        if told:
            log(
                logging.WARNING,
                f"{told[0]} ({len(told)} in all; `sluicegate import litellm {self._path}` tells "
                "them)",
                {"findings": told[:_TOLD], "finding_count": len(told)},
            )

    async def _judge(self, translated: _Translated, pace: Pace) -> None:
        """Say how things stand.

        What is wrong with an entry is told in the configuration's own words.
        """
        told = {ResourceRef("ModelDeployment", _NAMESPACE, each.name) for each in self._unserved}
        steps = self._reporter.steps(self._problems(translated), self._compilation, told=told)
        self._board.judge(await self._drive(steps, pace))
        self._judged = True

    def _problems(self, translated: _Translated) -> Iterator[str]:
        compilation, translation = self._compilation, translated.translation
        last = "" if compilation is None else " (what was loaded last is served)"
        if translation is None:
            yield f"{self._path}: {translated.look.files.get(self._path)}{last}"
            return
        for finding in translation.findings:
            if finding.severity != "error":
                continue
            then = "" if translation.readable else last
            for entry in translation.unserved:
                if compilation is not None and entry.is_about(finding):
                    ref = ResourceRef("ModelDeployment", _NAMESPACE, entry.name)
                    then = f" ({consequence(compilation, ref)})"
            yield f"{finding}{then}"


def _look(paths: Iterable[str]) -> _Look:
    found: dict[str, int | str] = {}
    for path in paths:
        try:
            found[path] = hash(read_text(path))
        except Unreadable as error:
            found[path] = str(error)
    return _Look(found)


def _translate(
    path: str, look: _Look, environ: Mapping[str, str], before: tuple[Manifest, ...]
) -> _Translated:
    """Read and translate. What is read is noted, so that a change of it is seen.

    `before`: the credentials that are loaded.
    """
    seen: dict[str, int | str] = {}

    def note_and_read(name: str) -> str:
        try:
            text = read_text(name)
        except Unreadable as error:
            seen[name] = str(error)
            raise
        seen[name] = hash(text)
        return text

    try:
        text = note_and_read(path)
    except Unreadable:
        return _Translated(_Look({**look.files, **seen}), None, "")
    found = translate(path, text, read=note_and_read, environ=environ)
    # An entry that is wrong has a deployment that is wrong, so its last good one is kept; and the
    # credentials are, which that may need.
    wrong = (_without_spec(each.name) for each in found.unserved)
    names = {(each.kind, each.name) for each in found.manifests}
    kept = [each for each in before if (each.kind, each.name) not in names and found.unserved]
    manifests = written((*(each.value for each in (*found.manifests, *kept)), *wrong))
    credentials = tuple(each for each in (*found.manifests, *kept) if _is_credential(each))
    return _Translated(_Look(seen), found, manifests, credentials)


def _is_credential(manifest: Manifest) -> bool:
    """Whether it is for providers: what grants access is kept for nobody."""
    spec = manifest.value.get("spec")
    client = isinstance(spec, dict) and "client" in spec
    return manifest.kind == "Secret" or (manifest.kind == "ApiKey" and not client)


def _without_spec(name: str) -> Mapping[str, JsonValue]:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {},
    }


def _at_home(path: str, loaded: LoadedFile, translation: Translation) -> dict[str, LoadedFile]:
    """The objects where the configuration has them, by file."""
    places = {
        (each.kind, each.name): Origin(each.file, each.line - 1, "")
        for each in translation.manifests
    }
    resources: dict[str, dict[ResourceRef, Resource]] = {path: {}}
    secrets: dict[str, dict[SecretRef, Secret]] = {}
    for ref, resource in loaded.resources.items():
        origin = places.get((ref.kind, ref.name), Origin(path, 0, ""))
        resources.setdefault(origin.file, {})[ref] = replace(resource, origin=origin)
    for ref, secret in loaded.secrets.items():
        origin = places.get(("Secret", ref.name), Origin(path, 0, ""))
        secrets.setdefault(origin.file, {})[ref] = replace(secret, origin=origin)
    return {
        file: LoadedFile(file, resources.get(file, {}), secrets.get(file, {}))
        for file in resources.keys() | secrets.keys()
    }


def _ways(paths: Iterable[str]) -> frozenset[str]:
    """The files, and every link that leads to them, as far as there are folders to watch."""
    found: set[str] = set()
    for path in paths:
        absolute = str(Path(path).absolute())
        found.update((absolute, os.path.realpath(absolute), *links_on_the_way(absolute)))
    return frozenset(way for way in found if Path(way).parent.is_dir())


def _steps(steps: Iterable[object]) -> Generator[None, None, None]:
    for _ in steps:
        yield
