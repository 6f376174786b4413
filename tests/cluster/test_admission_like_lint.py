"""The API server and lint give the same verdict, and mean the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml

from admission import Admission, admission, lint_says
from cluster_identities import apply_manifests
from control_plane import ROOT, ControlPlane
from manifest_mutations import mutation, valid_objects
from sluicegate.cluster import ClusterClient

SHARED = ROOT.parent / "shared" / "examples"
# `make mutations` asks for 5,000.
MUTATIONS = int(os.environ.get("SLUICEGATE_MUTATIONS", "600"))
_NO_OBJECTS = ("cluster", "gitops")
_EXPECT = re.compile(r"^# expect: (.*)$", re.MULTILINE)


def examples() -> list[Path]:
    shared = [path for path in SHARED.glob("*.yaml") if path.name != "invalid.yaml"]
    # cluster is installed for other tests; gitops is whole only once kustomize has made objects.
    folders = [each for each in (ROOT / "examples").iterdir() if each.name not in _NO_OBJECTS]
    return sorted(shared) + sorted(path for each in folders for path in each.rglob("*.yaml"))


def refused_examples() -> list[tuple[str, str]]:
    """(words expected, document), of each document that must be refused."""
    if not (SHARED / "invalid.yaml").is_file():
        return []
    found: list[tuple[str, str]] = []
    for text in re.split(r"(?m)^---$", (SHARED / "invalid.yaml").read_text(encoding="utf-8")):
        expected = _EXPECT.search(text)
        assert expected is not None
        found.append((expected[1], text))
    return found


pytestmark = pytest.mark.usefixtures("crds")


def an_object(kind: str, spec: object, name: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
async def judge(control_plane: ControlPlane) -> AsyncGenerator[Admission]:
    async with admission(control_plane.admin_kubeconfig) as found:
        yield found


@pytest.mark.parametrize("path", examples(), ids=lambda path: f"{path.parent.name}/{path.name}")
async def test_the_examples_apply(path: Path, admin: ClusterClient, namespace: str) -> None:
    text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    text = re.sub(r"namespace: [a-z]+", f"namespace: {namespace}", text)
    text = text.replace("metadata: {name: models}", f"metadata: {{name: {namespace}}}")
    await apply_manifests(admin, text, namespace=namespace)


@pytest.mark.skipif(not refused_examples(), reason="the shared examples are not here")
@pytest.mark.parametrize(("expected", "text"), refused_examples())
async def test_what_both_refuse_in_the_same_words(
    judge: Admission, expected: str, text: str
) -> None:
    verdict = await judge.verdict(yaml.safe_load(text)["kind"], text)
    assert expected in verdict.said
    assert expected in lint_says(text)


async def test_the_objects_to_change_are_valid(judge: Admission) -> None:
    objects = valid_objects()
    for manifest, verdict in zip(objects, await judge.verdicts(objects), strict=True):
        assert verdict.said == "", manifest
        assert lint_says(json.dumps(manifest)) == ""


@pytest.mark.timeout(600)
async def test_changed_objects_get_the_same_verdict(judge: Admission) -> None:
    taken = 0
    for first in range(0, MUTATIONS, 200):
        numbers = range(first, min(first + 200, MUTATIONS))
        objects = [mutation(number) for number in numbers]
        for number, manifest, verdict in zip(
            numbers, objects, await judge.verdicts(objects), strict=True
        ):
            lint = lint_says(json.dumps(manifest, ensure_ascii=False))
            assert verdict.taken == (not lint), (number, verdict.said, lint)
            taken += verdict.taken
    assert MUTATIONS / 10 < taken < MUTATIONS / 2, "changes that say something"


_HEAD = "apiVersion: sluicegate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec:\n"
_DEPLOYMENT = _HEAD.format(kind="ModelDeployment") + "  provider: {echo: {}}\n"
_KEY = _HEAD.format(kind="ApiKey") + "  client:\n    generate: {secretName: c}\n"
_PLACES = {
    "a number": _DEPLOYMENT + "  weight:",
    "a name": _DEPLOYMENT + "  model:",
    "a switch": _DEPLOYMENT + "  suspended:",
    "a duration": _DEPLOYMENT + "  timeouts:\n    connect:",
    "a header": _DEPLOYMENT + "  headers:\n    x:",
    "a parameter": _DEPLOYMENT + "  parameters:\n    defaults:\n      p:",
    "a price": _DEPLOYMENT + "  pricing:\n    input:",
    "a time": _KEY + "    expiresAt:",
    "an amount": _KEY + "    budget:\n      period: 1d\n      amountUSD:",
    "a tag": _KEY + "    tags:\n      t:",
}
_SCALARS = r"""
5 | 5.0 | -5 | +5 | 1e3 | 1E3 | 0x10 | 0o17 | 017 | 08 | 0b11 | 1_000 | 1__0 | 1_0.5 | 0.5 | .5
5. | -0 | -0.0 | 0 | 00 | 1e | e1 | _1 | 0.1e-7 | 1e-400 | 1e30 | 1:30 | 190:20:30
9223372036854775807 | 9223372036854775808 | 18446744073709551616 | -9223372036854775809
50 | 50.00 | '50.00' | "50.00" | '5' | 5s | 200ms | 1h30m | '5s' | 0.5s | 1.5h | 24h | 25h | 1us
yes | on | y | n | off | NO | true | True | TRUE | ~ | null | Null | '' | "" | NaN | Infinity
2027-06-30 | 2027-06-30T00:00:00Z | "2027-06-30T00:00:00Z" | 2027-02-29T00:00:00Z
2028-02-29T00:00:00+05:30 | 2027-06-30t00:00:00z | 2027-06-30T24:00:00Z
[] | [1] | {} | {a: 1} | é | "\u00e9" | ü.example | 😀 | "e\u0301" | "\u00a0" | "a\x00b" | "\N"
!!str 5 | !!int 5 | !!int '5' | '@x' | @x | `x` | %x | a: b | a #b | = | &a x | *a | "a\nb"
"""


@pytest.mark.parametrize("text", _PLACES.values(), ids=_PLACES)
async def test_text_as_it_is_written_means_the_same(judge: Admission, text: str) -> None:
    """Numbers, money, durations, words of YAML 1.1 and Unicode, through the server's own parser."""
    kind = "ApiKey" if text.startswith(_KEY) else "ModelDeployment"
    for scalar in re.split(r" \| |\n", _SCALARS.strip()):
        manifest = f"{text} {scalar}\n"
        verdict = await judge.verdict(kind, manifest)
        lint = lint_says(manifest)
        assert verdict.taken == (not lint), (manifest, verdict.said, lint)


@pytest.mark.parametrize(
    "line",
    [
        "  p: !!binary aGk=",  # a tag that kubectl takes, and that hides what is meant
        "  p: !custom x",
        "  4711: x",  # a key that kubectl turns into a string,
        "  on: x",  # … as "true" here
        "  p: 0xFFFFFFFFFFFFFFFFF",  # a number to the eye, text to kubectl
        "  p: 1e400",
    ],
)
async def test_where_lint_is_stricter_on_purpose(judge: Admission, line: str) -> None:
    text = f"{_DEPLOYMENT}  parameters:\n    defaults:\n    {line}\n"
    assert (await judge.verdict("ModelDeployment", text)).taken
    assert lint_says(text)


async def test_the_largest_objects_are_taken(judge: Admission) -> None:
    """A rule costs what it reads, and the API server gives up on one that costs too much."""
    deployment = {
        "model": "m" * 128 + "*",
        "provider": {
            "openai": {
                "model": "a." * 255 + "b",
                "baseURL": "https://" + "a" * 240 + ".example/" + "x/" * 890,
            }
        },
        "headers": {f"x-{index:03}-" + "h" * 122: "v" * 4096 for index in range(32)},
        "timeouts": dict.fromkeys(("connect", "firstByte", "idle", "total"), "1s" * 16),
        "allowedNamespaces": {
            "from": "Names",
            "names": ["n" * 60 + f"{index:03}" for index in range(256)],
        },
        "pool": {"fallbacks": [{"model": "f" * 128 + "@" + "n" * 63}] * 16},
    }
    key = {
        "client": {
            "keyHash": "sha256:" + "0" * 64,
            "models": [f"m{index:03}" + "*" * 196 for index in range(256)],
            "tags": {f"t{index:02}" + "a" * 60: "é" * 256 for index in range(32)},
        }
    }
    for kind, spec in (("ModelDeployment", deployment), ("ApiKey", key)):
        manifest = an_object(kind, spec)
        assert (await judge.verdict(kind, manifest)).said == ""
        assert lint_says(json.dumps(manifest, ensure_ascii=False)) == ""


@pytest.mark.parametrize(
    "name",
    [
        "a.b",
        "1",
        "a" * 253,
        "a" * 254,
        "X",
        "a..b",
        ".a",
        "a-",
        "a_b",
        "é",
        "\u0661",
        "a\n",
        "",
        "a/b",
    ],
)
async def test_names_are_judged_alike(judge: Admission, name: str) -> None:
    manifest = an_object("ModelDeployment", {"provider": {"echo": {}}, "model": "m"}, name)
    verdict = await judge.verdict("ModelDeployment", manifest)
    assert verdict.taken == (not lint_says(json.dumps(manifest)))


async def test_unknown_fields_are_named_by_both(judge: Admission) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"provider": {"echo": {}}, "wieght": 1}, "wieght"),
        ({"provider": {"echo": {"texts": None}}}, "texts"),
        ({"provider": {"openai": {"model": "a", "baseUrl": "https://x.example"}}}, "baseUrl"),
    ]
    for spec, name in cases:
        manifest = an_object("ModelDeployment", spec)
        assert name in (await judge.verdict("ModelDeployment", manifest)).said
        assert name in lint_says(json.dumps(manifest))
