"""`sluicegate serve --litellm-config`: a gateway that serves a configuration of LiteLLM's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sluicegate.compile import Settings
from sluicegate.server.process import MakeSource
from sluicegate.source.litellm import LiteLLMSource


def litellm_source(path: Path, environ: Mapping[str, str]) -> tuple[str, MakeSource]:
    """The file, and its source."""
    return str(path), lambda store: LiteLLMSource(
        path,
        environ=environ,
        settings=Settings.folder(),
        publish=lambda compilation: store.publish_steps(compilation.config),
    )
