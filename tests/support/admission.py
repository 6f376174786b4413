"""What the API server says of a manifest, and what lint says of the same text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from sluicegate.cluster import load_access
from sluicegate.resources import Invalid, field_name, load_text, validate

PLURALS = {"ModelDeployment": "modeldeployments", "ApiKey": "apikeys"}
_AT_ONCE = 8


class Verdict(NamedTuple):
    """`said` is empty where the manifest is taken."""

    said: str
    stored: dict[str, Any]

    @property
    def taken(self) -> bool:
        return not self.said


class Admission:
    """Asks the API server; nothing is stored, and unknown fields are refused, as kubectl asks."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def verdict(self, kind: str, manifest: str | dict[str, Any]) -> Verdict:
        """`manifest` is YAML as it is written, or an object."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        content_type = "application/yaml" if isinstance(manifest, str) else "application/json"
        async with (
            self._room,
            self._session.post(
                f"{self._url}/apis/sluicegate.dev/v1alpha1/namespaces/default/{PLURALS[kind]}",
                params={"dryRun": "All", "fieldValidation": "Strict"},
                headers={"Content-Type": content_type},
                data=text.encode(),
            ) as response,
        ):
            answer: dict[str, Any] = await response.json()
            if response.status == 201:
                return Verdict("", answer)
            assert response.status in {400, 422}, answer
            return Verdict(answer["message"], {})

    async def verdicts(self, manifests: Iterable[dict[str, Any]]) -> list[Verdict]:
        return await asyncio.gather(*(self.verdict(each["kind"], each) for each in manifests))

    async def read(self, path: str, accept: str) -> dict[str, Any]:
        """Whatever is at a path."""
        async with self._session.get(f"{self._url}{path}", headers={"Accept": accept}) as response:
            assert response.status == 200, await response.text()
            return await response.json()


@asynccontextmanager
async def admission(kubeconfig: Path) -> AsyncGenerator[Admission]:
    access = await asyncio.to_thread(load_access, {"KUBECONFIG": str(kubeconfig)})
    connector = aiohttp.TCPConnector(ssl=access.tls if access.tls is not None else True)
    token = await access.token.current()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Admission(session, access.server)


def lint_says(text: str) -> str:
    """Lint's words about one object by itself, not about what it refers to; empty: it is fine."""
    loaded = load_text("manifest.yaml", text)
    if loaded.diagnostics:
        return "; ".join(str(found) for found in loaded.diagnostics)
    (resource,) = loaded.resources.values()
    found = validate(resource)
    if not isinstance(found, Invalid):
        return ""
    return "; ".join(f"{field_name(flaw.path)}: {flaw.message}" for flaw in found.flaws)
