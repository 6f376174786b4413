"""The `sluicegate` command."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

# A command's module is imported when it is called for: `sluicegate key` need not wait for aiohttp.
_COMMANDS = {
    "serve": ("sluicegate.cli.serve", "serve"),
    "plan": ("sluicegate.cli.plan", "plan"),
    "explain": ("sluicegate.cli.explain", "command"),
    "lint": ("sluicegate.cli.lint", "lint"),
    "crds": ("sluicegate.cli.crds", "crds"),
    "key": ("sluicegate.cli.key", "key_group"),
    "import": ("sluicegate.cli.import_", "import_group"),
    "spend": ("sluicegate.cli.spend", "spend"),
    "responses": ("sluicegate.cli.responses", "responses_command"),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as above
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        return getattr(importlib.import_module(module), attribute)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("sluicegate"), prog_name="sluicegate")
def main() -> None:
    """A Kubernetes-native gateway for the OpenAI Responses API."""
