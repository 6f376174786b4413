"""Portkey's open gateway (Node.js), which takes its route from request headers."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import calls, tools
from bench.calls import Call, Workload
from bench.peers.contract import Launch, Peer, Site

_VERSION = "1.15.2"


@dataclass(frozen=True, slots=True)
class Portkey:
    """The npm package, one process."""

    script: Path
    name: str = "portkey"
    version: str = _VERSION

    def launch(self, site: Site) -> Launch:
        """Headless: without its console."""
        return Launch(
            argv=("node", str(self.script), f"--port={site.port}", "--headless"),
            ready_port=site.port,
            ready_path="/",
            cwd=site.folder,
        )

    def call(self, workload: Workload, site: Site) -> Call | None:
        """The bearer key goes to the upstream; Portkey itself checks none."""
        if not workload.is_passed_on:
            return None
        plain = calls.call("/v1/responses", "gpt-4.1", workload, "sk-upstream")
        upstream = f"http://127.0.0.1:{site.mock_port}{calls.upstream_prefix(workload)}/v1"
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}
        return msgspec.structs.replace(plain, headers={**plain.headers, **headers})


def install(cache: tools.Cache) -> Peer:
    """From npm; it is started with the `node` on PATH."""
    modules = cache.node(f"portkey-{_VERSION}", f"@portkey-ai/gateway@{_VERSION}")
    return Portkey(modules / "@portkey-ai" / "gateway" / "build" / "start-server.js")
