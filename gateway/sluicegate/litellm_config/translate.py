"""A LiteLLM configuration to manifests: the whole of it, in order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sluicegate.litellm_config import advice, routing
from sluicegate.litellm_config.deployment import (
    Defaults,
    Draft,
    attempts,
    draft,
    find_reader,
    seconds,
)
from sluicegate.litellm_config.entry import Entry
from sluicegate.litellm_config.files import Configuration, load
from sluicegate.litellm_config.findings import Finding, Findings, Place
from sluicegate.litellm_config.listing import Listed, Listing
from sluicegate.litellm_config.manifest import Manifest, deployment_manifest, flaws_of, manifest_of
from sluicegate.litellm_config.master_key import add_master_key
from sluicegate.litellm_config.naming import allocate
from sluicegate.litellm_config.secrets import JsonObject, Keyring, Made
from sluicegate.litellm_config.values import (
    Environment,
    ReadFile,
    Section,
    Unreadable,
)
from sluicegate.resources import field_name
from sluicegate.resources.yaml_documents import FieldPath, JsonValue

_HIGHEST_COUNT = 1000


class Unserved(NamedTuple):
    """The ModelDeployment that an entry would have become, were it not wrong."""

    name: str
    file: str
    key: str

    def is_about(self, finding: Finding) -> bool:
        """Whether this is said of the entry."""
        inside = finding.key.startswith((f"{self.key}.", f"{self.key}["))
        return finding.file == self.file and (inside or finding.key == self.key)


@dataclass(frozen=True, slots=True)
class Translation:
    """What a configuration became.

    `readable`: it could be understood as a whole. `unserved`: what entries did not become that are
    wrong or have no counterpart. `files`: every file that was asked for.
    """

    manifests: tuple[Manifest, ...]
    findings: tuple[Finding, ...]
    readable: bool
    unserved: tuple[Unserved, ...]
    files: tuple[str, ...]


def translate(name: str, text: str, *, read: ReadFile, environ: Mapping[str, str]) -> Translation:
    """Translate a configuration; never raises on what it holds.

    `name` is the path of the file, `read` gives the text of another one (included files are looked
    for beside it) or raises Unreadable. `environ` are the environment variables that stand where
    a manifest can't refer to one; credentials stay references.
    """
    findings = Findings()
    asked: list[str] = [name]

    def note_and_read(path: str) -> str:
        if "\0" in path:
            raise Unreadable("there is no such file")
        asked.append(path)
        return read(path)

    configuration = load(name, text, note_and_read, findings)
    work = _Work(configuration, findings, note_and_read, environ)
    manifests = work.manifests() if configuration.readable else ()
    return Translation(
        manifests=manifests if configuration.readable else (),
        findings=findings.all(),
        readable=configuration.readable,
        unserved=tuple(work.unserved),
        files=tuple(dict.fromkeys(asked)),
    )


class _Work:
    """One translation."""

    def __init__(
        self,
        configuration: Configuration,
        findings: Findings,
        read: ReadFile,
        environ: Mapping[str, str],
    ) -> None:
        self._configuration = configuration
        self._findings = findings
        self._read = read
        self._written: dict[str, Place] = {}
        self._environment = Environment(environ, self._variables())
        self._router = self._section("router_settings")
        self._settings = self._section("litellm_settings")
        self._general = self._section("general_settings")
        self._keyring = Keyring(findings)
        self._originals: dict[str, str] = {}  # the target of each alias
        self.unserved: list[Unserved] = []

    def _section(self, key: str) -> Section:
        return self._configuration.section(key, self._findings, self._environment)

    def manifests(self) -> tuple[Manifest, ...]:
        """Everything, in the order in which it is written."""
        add_master_key(self._general, self._keyring, self._configuration.first)
        drafts = self._drafts()
        self._policies(drafts)
        keys = self._valid_keys()
        deployments = [
            deployment_manifest(each)
            for each in drafts
            if each.spec and _credential_name(each) not in keys.refused and self._fits(each)
        ]
        served = {manifest.name for manifest in deployments}
        self.unserved = [
            Unserved(each.name, each.place.source.name, field_name(each.place.path))
            for each in drafts
            if each.name not in served
        ]
        self._leftovers()
        made = [manifest_of(each) for each in keys.good]
        made.sort(key=lambda each: each.kind != "Secret")
        return (*made, *deployments)

    # --- environment and settings ---

    def _variables(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in self._configuration.take("environment_variables"):
            if not isinstance(part.value, dict):
                self._findings.error(part.place, "must be a mapping")
                continue
            for name, value in part.value.items():
                self._written[name] = part.place.below(name)
                if isinstance(value, (str, int, float)):
                    found[name] = str(value)
                elif value is not None:
                    self._findings.error(self._written[name], "must be a string")
        return found

    def _defaults(self) -> Defaults:
        router, settings = self._router, self._settings
        retries, other = router.whole("num_retries"), settings.whole("num_retries")
        retries = retries if retries is not None else other
        pause = router.number("retry_after")
        timeout, request = router.number("timeout"), settings.number("request_timeout")
        parallel = router.whole("default_max_parallel_requests")
        fails, other = router.whole("allowed_fails"), settings.whole("allowed_fails")
        fails = fails if fails is not None else other
        cooldown, time = router.number("cooldown_time"), settings.number("cooldown_time")
        cooldown = cooldown if cooldown is not None else time
        found = Defaults(
            attempts=attempts(retries) if retries is not None else None,
            backoff=seconds(pause, most=600) if pause else None,
            timeout=timeout or request,
            stream_timeout=router.number("stream_timeout"),
            parallel=parallel or None,
            failures=min(fails + 1, _HIGHEST_COUNT) if fails is not None else None,
            cooldown=seconds(cooldown) if cooldown is not None else None,
            drop=settings.flag("drop_params"),
        )
        if router.flag("disable_cooldowns"):
            found = replace(found, failures=_HIGHEST_COUNT, cooldown="1ms")
        return found

    def _leftovers(self) -> None:
        advice.report(self._router, advice.ROUTER_SETTINGS)
        advice.report(self._settings, advice.LITELLM_SETTINGS)
        advice.report(self._general, advice.GENERAL_SETTINGS)
        rest = self._configuration.parts
        for key in rest:
            for part in rest[key]:
                section = Section(
                    {key: part.value},
                    Place(part.place.source, ()),
                    self._findings,
                    self._environment,
                )
                advice.report(section, advice.TOP)
        for name, place in self._written.items():
            if name not in self._environment.used:
                self._findings.warning(
                    place,
                    "is used by nothing here: set it in the gateway's environment if something "
                    "else reads it",
                )

    # --- models ---

    def _drafts(self) -> list[Draft]:
        """Every deployment in order; one without a spec is not to be served."""
        general = self._defaults()
        listed = Listing(self._configuration, self._findings, self._environment).listed()
        aliases = routing.aliases(self._router)
        hidden = {alias.name for alias in aliases}
        for each in listed:
            if each.model in hidden:
                self._findings.warning(
                    each.name_place,
                    "is left out: model_group_alias gives the name to another model",
                )
        listed = [each for each in listed if each.model not in hidden]
        targets = self._targets(aliases, {each.model for each in listed})
        copies = [
            (alias, each, target)
            for alias, target in targets
            for each in listed
            if each.model == target
        ]
        names = allocate([each.model for each in listed] + [alias.name for alias, _, _ in copies])
        drafts: dict[int, Draft] = {}
        for name, each in zip(names, listed, strict=False):
            drafts[id(each)] = self._draft(name, each, general)
        found = list(drafts.values())
        for name, (alias, each, target) in zip(names[len(listed) :], copies, strict=True):
            found.append(self._copy(drafts[id(each)], name, alias, target))
        return found

    def _targets(
        self, aliases: Sequence[routing.Alias], models: set[str]
    ) -> list[tuple[routing.Alias, str]]:
        pools = dict.fromkeys(models)
        found: list[tuple[routing.Alias, str]] = []
        for alias in aliases:
            target = routing.pool_of(alias.target, pools)
            if target is None:
                self._findings.warning(alias.place, "is left out: it names no model of model_list")
            else:
                found.append((alias, target))
                self._originals[alias.name] = target
        return found

    def _draft(self, name: str, listed: Listed, general: Defaults) -> Draft:
        before = self._findings.errors
        made = None
        found = find_reader(listed.params)
        if found is not None and self._has_counterpart(listed, found[1]):
            prefix, model = found
            entry = Entry(
                name, model, prefix, listed.params, listed.info, self._keyring, self._read
            )
            made = draft(entry, listed.model, listed.place, general)
        if made is None or self._findings.errors > before:
            return Draft(name, listed.model, listed.place)
        made.origins["spec", "model"] = listed.name_place
        return made

    def _has_counterpart(self, listed: Listed, model: str) -> bool:
        if "*" in model and model != "*":
            self._findings.warning(
                listed.params.place("model"),
                "is left out: a * stands for the whole of the provider's model name, or not at "
                "all; write a model for each name, or model_name: openai/* and model: openai/* "
                "and name the models that a key may use in the ApiKey's spec.client.models",
            )
            return False
        return True

    def _copy(self, original: Draft, name: str, alias: routing.Alias, target: str) -> Draft:
        if not original.spec:
            return Draft(name, alias.name, alias.place)
        if "limits" in original.spec:
            self._findings.warning(
                alias.place,
                "becomes a deployment of its own: limits count for each of the two by itself",
            )
        made = Draft(
            name,
            alias.name,
            original.place,
            copy.deepcopy(original.spec),
            {**original.origins, ("spec", "model"): alias.place},
            original.order,
            original.shares,
        )
        made.spec["model"] = alias.name
        if not alias.name.endswith("*"):
            _fix_model(made, alias.target[len(target) - 1 :])
        return made

    # --- pools ---

    def _policies(self, drafts: Sequence[Draft]) -> None:
        pools: dict[str, list[Draft]] = {}
        for each in drafts:
            pools.setdefault(each.model, []).append(each)
        originals = {pool: self._originals.get(pool) for pool in pools}
        strategy = routing.strategy(self._router)
        fallbacks = routing.fallbacks(self._router, self._settings, originals)
        for model, members in pools.items():
            served = [each for each in members if each.spec]
            if served:
                routing.place_in_pool(served, self._router.findings, weighted=strategy is None)
            policy: JsonObject = {}
            if strategy is not None:
                policy["strategy"] = strategy
            if model in fallbacks:
                policy["fallbacks"] = list[JsonValue](fallbacks[model])
            for each in served:
                if policy:
                    each.spec["pool"] = policy

    def _valid_keys(self) -> _Keys:
        good: list[Made] = []
        refused: set[str] = set()
        for made in self._keyring.made:
            flaws = flaws_of(made.value) if made.value["kind"] == "ApiKey" else ()
            for flaw in flaws:
                self._findings.error(made.place, flaw.message)
            if flaws:
                refused.add(manifest_of(made).name)
            else:
                good.append(made)
        return _Keys(good, refused)

    def _fits(self, each: Draft) -> bool:
        flaws = flaws_of(deployment_manifest(each).value)
        for flaw in flaws:
            self._findings.error(_origin(each, flaw.path), flaw.message)
        return not flaws


class _Keys(NamedTuple):
    good: list[Made]
    refused: set[str]  # names of ApiKeys


def _fix_model(made: Draft, rest: str) -> None:
    """An alias of one name below a prefix: the upstream model is what the `*` stood for."""
    provider = made.spec.get("provider")
    for fields in provider.values() if isinstance(provider, dict) else ():
        if isinstance(fields, dict) and fields.get("model") == "*":
            fields["model"] = rest


def _credential_name(each: Draft) -> str | None:
    credentials = each.spec.get("credentials")
    reference = credentials.get("apiKeyRef") if isinstance(credentials, dict) else None
    return str(reference["name"]) if isinstance(reference, dict) else None


def _origin(each: Draft, path: FieldPath) -> Place:
    while path:
        if path in each.origins:
            return each.origins[path]
        path = path[:-1]
    return each.place
