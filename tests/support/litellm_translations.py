"""What LiteLLM configurations are translated to; what comes out passes lint."""

from __future__ import annotations

from typing import Any, cast

from sluicegate.cli.lint import judge
from sluicegate.litellm_config import Translation, Unreadable, translate, written
from sluicegate.resources import load_text


def translated(
    text: str, environ: dict[str, str] | None = None, others: dict[str, str] | None = None
) -> Translation:
    def read(path: str) -> str:
        if path not in (others or {}):
            raise Unreadable("there is no such file")
        return (others or {})[path]

    found = translate("config.yaml", text, read=read, environ=environ or {})
    output = written(manifest.value for manifest in found.manifests)
    report = judge({"out.yaml": load_text("out.yaml", output)}, 1_800_000_000.0)
    assert [str(each) for each in report.diagnostics if each.severity == "error"] == []
    return found


def specs(found: Translation) -> dict[str, dict[str, Any]]:
    """The spec of each ModelDeployment, by its name."""
    return {
        manifest.name: cast("dict[str, Any]", manifest.value["spec"])
        for manifest in found.manifests
        if manifest.kind == "ModelDeployment"
    }


def objects(found: Translation, kind: str) -> dict[str, dict[str, Any]]:
    return {each.name: each.value for each in found.manifests if each.kind == kind}


def one(params: str, model: str = "m", **environ: str) -> dict[str, Any]:
    """The spec of the only deployment."""
    text = f"model_list:\n- model_name: {model}\n  litellm_params: {{{params}}}\n"
    [spec] = specs(translated(text, environ)).values()
    return spec


def told(found: Translation, severity: str) -> list[tuple[int, str]]:
    return [(each.line, each.key) for each in found.findings if each.severity == severity]
