"""`sluicegate explain`: who would answer a request, and why the others not.

Guide: docs/explain.md.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import click
import msgspec
from msgspec.structs import replace

from sluicegate.api.request import ResponsesRequest, decode_request
from sluicegate.auth.authenticate import Caller
from sluicegate.cli.cluster_objects import (
    Cluster,
    Stored,
    cluster_options,
    controllers,
    stored_objects,
)
from sluicegate.cli.columns import columns, harmless
from sluicegate.cli.explanation import Asking, Explanation, PoolView, explain
from sluicegate.cli.gateway_health import GatewayHealth, NoAnswer, fetch
from sluicegate.cli.imagined import Imagined, NoSuchKey
from sluicegate.cli.manifests import inventory_of, load
from sluicegate.cli.rehearsal import Question
from sluicegate.cluster import ClusterClient, Forbidden
from sluicegate.compile import Compilation, Settings, compile_all
from sluicegate.model import ApiError
from sluicegate.resources import Inputs, ResourceRef, load_text
from sluicegate.telemetry.logs import silenced
from sluicegate.transport import Transport, TransportSettings

Format: TypeAlias = Literal["text", "json"]
_STDIN = "-"
_OPTIONS = "the operator's own options, as --sharing-namespace: its defaults are taken"


@click.command(name="explain")
@click.argument("model")
@click.option(
    "--manifests",
    metavar="PATH",
    help="a file, a folder, or - for standard input  [default: the objects of a cluster]",
)
@cluster_options
@click.option("--admin", metavar="URL", help="the admin port of a gateway, for the health there")
@click.option("--key", metavar="NAMESPACE/NAME", help="the ApiKey that asks")
@click.option(
    "-n", "--namespace", metavar="NS", help="who asks, without a key  [default: the context's]"
)
@click.option("--request", metavar="FILE", help="the request's JSON body; - for standard input")
@click.option("--stream", is_flag=True, help="a streamed answer is asked for")
@click.option("--end-user", metavar="NAME", help="whom the request is for")
@click.option("--max-output-tokens", type=click.IntRange(min=1), metavar="N")
@click.option(
    "--config-namespace",
    metavar="NS",
    help="judge as the operator of a cluster with this config namespace does, not as a folder",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="how to print it",
)
def command(
    *,
    model: str,
    manifests: str | None,
    kubeconfig: Path | None,
    context: str,
    admin: str | None,
    key: str | None,
    namespace: str | None,
    request: str | None,
    stream: bool,
    end_user: str | None,
    max_output_tokens: int | None,
    config_namespace: str | None,
    output: Format,
) -> None:
    """Say who would answer a request for MODEL, in which order, and why the others would not.

    Without --manifests by the objects of the cluster that your kubeconfig names; Secrets are not
    read there. Nothing is sent to a provider. Credentials whose Secrets are not among the manifests
    are taken for granted, and named.

    Exits with 1 where nobody would answer.
    """
    if key is not None and namespace is not None:
        raise click.UsageError("--key says the namespace already")
    if manifests == request == _STDIN:
        raise click.UsageError("only one of --manifests and --request can be standard input")
    asked = _request(model, request, stream=stream, max_output_tokens=max_output_tokens)
    place, _, key_name = (key or "").rpartition("/")
    if key is not None and not key_name:
        raise click.UsageError("--key is NAMESPACE/NAME")
    if manifests is not None:
        if kubeconfig is not None or context:
            raise click.UsageError("--manifests or a cluster, not both")
        where, notes = place or namespace or "default", ()
        compilation = _compiled(_inputs(manifests), config_namespace)
    else:
        seen = Cluster(kubeconfig, context).ask(partial(_look, place or namespace))
        where, notes = seen.namespace, seen.notes
        compilation = _compiled(seen.inputs(), config_namespace or seen.config_namespace)
    imagined = Imagined(compilation, _health(admin))
    headers = {} if end_user is None else {"x-sluicegate-end-user": end_user}
    try:
        caller = _caller(imagined, key_name, where)
        with silenced():  # attempts that are made up are not to be logged
            found = asyncio.run(_explained(imagined, caller, asked, headers))
    except ApiError as error:
        found = Explanation(asked.model, where, f"{where}/{key_name}", None, str(error))
    found = replace(found, not_checked=(*found.not_checked, *notes))
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        for line in _lines(found):
            click.echo(harmless(line))
    if found.first is None:
        raise click.exceptions.Exit(1)


async def _explained(
    imagined: Imagined, caller: Caller, asked: ResponsesRequest, headers: Mapping[str, str]
) -> Explanation:
    transport = Transport(settings=TransportSettings())
    try:
        return await explain(imagined, Question(caller, asked, headers, time.time, transport))
    finally:
        await transport.close()


def _request(
    model: str, path: str | None, *, stream: bool, max_output_tokens: int | None
) -> ResponsesRequest:
    """What is asked for: a body from a file, or a small one."""
    body: dict[str, object] = {"input": ""}
    if path is not None:
        try:
            text = sys.stdin.buffer.read() if path == _STDIN else Path(path).read_bytes()
            body = msgspec.json.decode(text, type=dict[str, object])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise click.BadParameter(str(error), param_hint="--request") from error
    body["model"] = model
    if stream:
        body["stream"] = True
    if max_output_tokens is not None:
        body["max_output_tokens"] = max_output_tokens
    try:
        return decode_request(msgspec.json.encode(body))
    except ApiError as error:
        raise click.BadParameter(str(error), param_hint="--request") from error


def _inputs(path: str) -> Inputs:
    """The manifests below a path. Raises click.BadParameter where there are none."""
    if path == _STDIN:
        name = "standard input"
        files = {name: load_text(name, sys.stdin.read(), environ=os.environ)}
    else:
        files = load([path])
    inventory = inventory_of(files)
    for problem in inventory.diagnostics():
        click.echo(f"{problem}", err=True)
    inputs = inventory.snapshot()
    if not inputs.resources:
        raise click.BadParameter("there is no manifest in it", param_hint="--manifests")
    return inputs


class _Seen(msgspec.Struct, frozen=True):
    """A cluster's objects, and from which namespace they are asked for."""

    namespace: str
    objects: list[Stored]
    notes: tuple[str, ...]

    def inputs(self) -> Inputs:
        """As compile takes them."""
        return Inputs({one.ref: one.resource() for one in self.objects}, {})

    @property
    def config_namespace(self) -> str | None:
        """Where their operator is, if they have one."""
        found = controllers(self.objects)
        return found[0].partition("/")[0] if len(found) == 1 else None


async def _look(namespace: str | None, client: ClusterClient) -> _Seen:
    """Raises ClusterError."""
    where = namespace or client.access.namespace
    notes = [_OPTIONS]
    try:
        objects = await stored_objects(client, None)
    except Forbidden:
        objects = await stored_objects(client, where)
        notes.append(f"what other namespaces share: you may list the objects of {where} only")
    return _Seen(where, objects, tuple(notes))


def _compiled(inputs: Inputs, config_namespace: str | None) -> Compilation:
    settings = Settings.folder()
    if config_namespace is not None:
        settings = Settings.cluster(config_namespace, require_label=False)
    return compile_all(inputs, None, settings, time.time())


def _health(url: str | None) -> GatewayHealth | None:
    try:
        return None if url is None else fetch(url)
    except NoAnswer as why:
        raise click.ClickException(f"the admin port {url} does not tell: {why}") from why


def _caller(imagined: Imagined, key: str, namespace: str) -> Caller:
    """Whoever has that key of the namespace, or anyone of it. Raises ApiError (401)."""
    if not key:
        return Caller(namespace, None, None)
    try:
        return imagined.caller(ResourceRef("ApiKey", namespace, key), time.time())
    except NoSuchKey as why:
        raise click.BadParameter(str(why), param_hint="--key") from why


# ------------------------------------------------------------------------------------------- print


def _lines(found: Explanation) -> Iterator[str]:
    who = f"namespace {found.namespace}" if found.key is None else f"key {found.key}"
    if found.first is not None:
        yield f"{found.model}, asked for by {who}: {found.first} is asked first."
    else:
        yield f"{found.model}, asked for by {who}: nobody would answer."
        yield from (f"  {line}" for line in (found.refusal, *found.hints) if line)
        if found.suggestions:
            yield f"  Did you mean {' or '.join(found.suggestions)}?"
    for number, pool in enumerate(found.pools):
        yield ""
        yield from _pool(pool, fallback=number > 0)
    if found.failing:
        yield ""
        yield "Where every attempt fails:"
        width = max(len(each.cause) for each in found.failing)
        for each in found.failing:
            yield f"  {each.cause:<{width}}  {_course(each.attempts)}; then {each.status}"
    if found.not_checked:
        yield ""
        yield "Not checked:"
        yield from (f"  {line}" for line in found.not_checked)


def _pool(pool: PoolView, *, fallback: bool) -> Iterator[str]:
    yield f"{'Fallback' if fallback else 'Pool'} {pool.pool} (by {pool.chosen_by})"
    yield from columns([_row(number, each) for number, each in enumerate(pool.asked, 1)])
    yield from columns([("-", each.deployment, each.reason) for each in pool.not_asked])
    rows: list[tuple[str, ...]] = []
    for each in pool.fallbacks:
        causes = ", ".join(each.causes) or "every cause"
        to = each.pool if each.problem is None else f"passed over: {each.problem}"
        rows.append(("→", each.model, f"for {causes}:", to or ""))
    yield from columns(rows)


def _row(number: int, each: Asking) -> tuple[str, ...]:
    return (
        str(number),
        each.deployment,
        f"{each.provider} {each.model}",
        f"priority {each.priority}, weight {each.weight}",
        f"first for {each.first:.0%}" if each.first else "",
        "; ".join(each.remarks),
    )


def _course(attempts: tuple[str, ...]) -> str:
    return " → ".join(attempts) or "nobody is asked"
