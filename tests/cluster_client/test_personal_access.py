"""A person's way to a cluster: as kubectl finds it, and with the programs that make credentials."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from sluicegate.cluster import Access, AccessError, load_access, load_personal_access

SECRET = "sk-very-secret"
API = "client.authentication.k8s.io/v1"


def written(path: Path, *names: str, user: object = None) -> Path:
    """A kubeconfig with a context of each name, whose user has a token of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "current-context": names[0],
        "contexts": [{"name": one, "context": {"cluster": "c", "user": one}} for one in names],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": one, "user": user or {"token": f"token-of-{one}"}} for one in names],
    }
    path.write_text(json.dumps(config))
    return path


def plugin(folder: Path, code: str, **more: object) -> dict[str, object]:
    path = folder / "login"
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return {"exec": {"apiVersion": API, "command": "./login", **more}}


def printing(answer: object) -> str:
    return f"print({json.dumps(json.dumps(answer))})\n"


async def found(environ: dict[str, str], *places: Path, context: str = "") -> Access:
    kubeconfig = places[0] if places else None
    return await asyncio.to_thread(load_personal_access, environ, kubeconfig, context)


async def test_the_file_of_an_option_then_of_the_variable_then_of_the_home(tmp_path: Path) -> None:
    home = written(tmp_path / "home" / ".kube" / "config", "home").parents[1]
    listed = f"{tmp_path / 'absent'}:{written(tmp_path / 'listed', 'listed', 'second')}"
    given = written(tmp_path / "given", "given")
    environ = {"HOME": str(home)}
    assert await (await found(environ)).token.current() == "token-of-home"
    environ["KUBECONFIG"] = listed
    assert await (await found(environ)).token.current() == "token-of-listed"
    assert await (await found(environ, context="second")).token.current() == "token-of-second"
    assert await (await found(environ, given)).token.current() == "token-of-given"
    with pytest.raises(AccessError, match="context 'home' is not there"):
        await found(environ, context="home")


async def test_where_there_is_none_both_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"KUBECONFIG is not set, nor is .*/\.kube/config there"):
        await found({"HOME": str(tmp_path)})


async def test_a_program_makes_the_token(tmp_path: Path) -> None:
    answer = {"apiVersion": API, "kind": "ExecCredential", "status": {"token": SECRET}}
    path = written(tmp_path / "config", "a", user=plugin(tmp_path, printing(answer)))
    access = await found({}, path)
    assert await access.token.current() == SECRET
    assert SECRET not in repr(access)
    with pytest.raises(AccessError, match="uses 'exec', which Sluicegate does not support"):
        await asyncio.to_thread(load_access, {"KUBECONFIG": str(path)})


@pytest.mark.parametrize(
    ("code", "more", "words"),
    [
        ("raise SystemExit(3)", {}, "it ended with status 3"),
        (printing({"kind": "ExecCredential"}), {}, "printed no ExecCredential"),
        (printing({"status": {"token": SECRET}}), {}, "printed no ExecCredential"),
        (printing({"kind": "ExecCredential", "apiVersion": "v0"}), {}, "printed no ExecCredential"),
        (
            printing({"kind": "ExecCredential", "apiVersion": API, "status": {}}),
            {},
            "printed no credential",
        ),
        (
            printing({"kind": "ExecCredential", "apiVersion": API, "status": {"token": [SECRET]}}),
            {},
            "printed no ExecCredential",
        ),
        (f"print('{SECRET}')", {}, "printed no ExecCredential"),
        ("print('\\xff')", {}, "printed no ExecCredential"),
        ("", {"interactiveMode": "Always"}, "wants a terminal"),
        ("", {"command": "no-such-program", "installHint": "Get it."}, "(?s)No such file.*Get it"),
    ],
)
async def test_a_program_that_makes_none(
    tmp_path: Path, code: str, more: dict[str, object], words: str
) -> None:
    path = written(tmp_path / "config", "a", user=plugin(tmp_path, code, **more))
    with pytest.raises(AccessError, match=words) as raised:
        await found({}, path)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
