"""Keys that a folder asks to have generated: minted once, rotated, never lent, never told."""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

import pytest

from sluicegate.compile import Compilation
from watched_folder import GUARD, NOW, Served, api_key, echo, keys_of


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


class PassingTime(Served):
    """An hour is over as soon as two keys are published, before the source decides how to wait."""

    def publish(self, compilation: Compilation) -> Iterable[None]:
        yield from super().publish(compilation)
        if len(self.keys["search"].digests) == 2:
            self.clock.now = NOW + 3601


async def test_rotation_serves_both_keys_until_the_overlap_is_over(tmp_path: Path) -> None:
    served = PassingTime(tmp_path)
    served.root.mkdir()
    path = served.root / "keys.yaml"
    path.write_text(api_key("search", "generate: {secretName: search-key}"))
    async with served.running():
        (first,) = served.keys["search"].digests
        rotation = 'rotation: {requestedAt: "2020-01-01T00:00:00Z", overlap: 1h}'
        path.write_text(api_key("search", f"generate: {{secretName: search-key}}, {rotation}"))
        async with asyncio.timeout(GUARD):
            while served.clock.now == NOW or len(served.keys["search"].digests) > 1:
                served.news.clear()
                await served.news.wait()
        *_, both, last = served.published  # time alone has ended it
        second, old = keys_of(both)["search"].digests
        assert (old.digest, old.not_after) == (first.digest, int(NOW) + 3600)
        assert keys_of(last)["search"].digests == (second,)


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
