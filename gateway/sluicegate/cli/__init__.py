"""The `sluicegate` command."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import version

import click

# A command's module is imported when it is called for: `sluicegate key` need not wait for `serve`.
_COMMANDS = {
    "serve": ("sluicegate.cli.serve", "serve"),
    "plan": ("sluicegate.cli.plan", "plan"),
    "explain": ("sluicegate.cli.explain", "command"),
    "status": ("sluicegate.cli.status", "status"),
    "lint": ("sluicegate.cli.lint", "lint"),
    "crds": ("sluicegate.cli.crds", "crds"),
    "key": ("sluicegate.cli.key", "key_group"),
    "import": ("sluicegate.cli.import_", "import_group"),
    "spend": ("sluicegate.cli.spend", "spend"),
    "responses": ("sluicegate.cli.responses", "responses_command"),
}


# As `kubectl sluicegate …`: those that look at a cluster.
_OF_KUBECTL = {
    "status": _COMMANDS["status"],
    "explain": _COMMANDS["explain"],
    "spend": ("sluicegate.cli.spend_in_pod", "spend_in_pod"),
}
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Group(click.Group):
    """Commands by name: module and attribute."""

    def __init__(self, modules: Mapping[str, tuple[str, str]], name: str, text: str) -> None:
        super().__init__(name, help=text, context_settings=_SETTINGS)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        if cmd_name not in self._modules:
            return None
        module, attribute = self._modules[cmd_name]
        return getattr(importlib.import_module(module), attribute)


_version = click.version_option(version("sluicegate"), prog_name="sluicegate")
main = _version(
    _Group(_COMMANDS, "sluicegate", "A Kubernetes-native gateway for the OpenAI Responses API.")
)
plugin = _version(
    _Group(_OF_KUBECTL, "kubectl sluicegate", "ModelDeployments and ApiKeys, and what they do.")
)


def kubectl_plugin() -> None:
    """`kubectl-sluicegate`, which kubectl runs for `kubectl sluicegate`."""
    plugin(prog_name="kubectl sluicegate")
