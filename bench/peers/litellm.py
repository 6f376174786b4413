"""LiteLLM's proxy with one worker, the gateway that ours is meant to replace."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import calls, tools
from bench.calls import Call, Workload
from bench.peers.contract import Launch, Peer, Site

_VERSION = "1.109.1"
# It asks for exact newest versions of these, which an index may not have yet. They matter to its
# database and its licensed features, which are off here, and to the trust store.
_OVERRIDES = ("certifi", "litellm-enterprise", "litellm-proxy-extras")


@dataclass(frozen=True, slots=True)
class LiteLLM:
    """The proxy, with the key check on; without a database, so without limits and spend."""

    command: Path
    name: str = "litellm"
    version: str = _VERSION

    def launch(self, site: Site) -> Launch:
        """Its model list points at the mock; nothing is fetched at start."""
        config = site.folder / "config.yaml"
        config.write_bytes(msgspec.json.encode(_config(site)))  # JSON is YAML
        return Launch(
            argv=(
                *(str(self.command), "--config", str(config), "--num_workers", "1"),
                *("--host", "127.0.0.1", "--port", str(site.port)),
            ),
            ready_port=site.port,
            ready_path="/health/liveliness",
            env=os.environ
            | {
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_TELEMETRY": "False",
                "LITELLM_LOG": "ERROR",
            },
            cwd=site.folder,
            start_seconds=180.0,
        )

    def call(self, workload: Workload, site: Site) -> Call | None:
        """The OpenAI request with the master key."""
        del site
        if not workload.is_passed_on:
            return None
        return calls.call("/v1/responses", workload.value, workload, calls.client_key())


def _config(site: Site) -> dict[str, object]:
    models = [
        {
            "model_name": workload.value,
            "litellm_params": {
                "model": "openai/gpt-4.1",
                "api_base": f"http://127.0.0.1:{site.mock_port}{calls.upstream_prefix(workload)}/v1",
                "api_key": "sk-upstream",
            },
        }
        for workload in Workload
        if workload.is_passed_on
    ]
    return {"model_list": models, "general_settings": {"master_key": calls.client_key()}}


def install(cache: tools.Cache) -> Peer:
    """From its wheel with the extra `proxy`."""
    folder = cache.python(
        f"litellm-{_VERSION}", [f"litellm[proxy]=={_VERSION}"], overrides=_OVERRIDES
    )
    return LiteLLM(folder / "litellm")
