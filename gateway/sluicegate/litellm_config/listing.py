"""`model_list` with what it refers to: its deployments one by one, before any is translated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sluicegate.litellm_config import advice
from sluicegate.litellm_config.files import Configuration
from sluicegate.litellm_config.findings import Findings, Place
from sluicegate.litellm_config.values import Environment, Section
from sluicegate.resources.yaml_documents import JsonValue

_OF_ANY_PROVIDER = ("openai", "anthropic", "gemini")


@dataclass(frozen=True, slots=True)
class Listed:
    """An item of `model_list`."""

    model: str
    place: Place
    params: Section
    info: Section
    name_place: Place


class Listing:
    """Reads `model_list` and `credential_list`."""

    def __init__(
        self, configuration: Configuration, findings: Findings, environment: Environment
    ) -> None:
        self._configuration = configuration
        self._findings = findings
        self._environment = environment

    def listed(self) -> list[Listed]:
        """Every deployment in order."""
        credentials = self._credentials()
        found: list[Listed] = []
        for place, item in self._configuration.items("model_list", self._findings):
            entry = self._one(place, item, credentials)
            if entry is not None:
                found.append(entry)
        if not found:
            self._findings.warning(
                Place(self._configuration.first, ("model_list",)), "there is no model to serve"
            )
        names = {each.model for each in found}
        return [each for listed in found for each in self._expanded(listed, names)]

    def _credentials(self) -> dict[str, Section]:
        """`credential_list`: values that entries name."""
        found: dict[str, Section] = {}
        for place, item in self._configuration.items("credential_list", self._findings):
            if not isinstance(item, dict):
                self._findings.error(place, "must be a mapping")
                continue
            section = Section(item, place, self._findings, self._environment)
            name, values = section.text("credential_name"), section.section("credential_values")
            section.take("credential_info")
            if name is None or values is None:
                self._findings.error(place, "must have credential_name and credential_values")
            else:
                found[name] = values
            advice.report(section, {})
        return found

    def _one(
        self, place: Place, item: JsonValue, credentials: Mapping[str, Section]
    ) -> Listed | None:
        if not isinstance(item, dict):
            self._findings.error(place, "must be a mapping with model_name and litellm_params")
            return None
        section = Section(item, place, self._findings, self._environment)
        model, params = section.text("model_name"), section.section("litellm_params")
        info = section.section("model_info")
        advice.report(section, {})
        if model is None:
            section.wrong("model_name", "is required: the name that clients send")
        if params is None and not section.has("litellm_params"):
            section.wrong("litellm_params", "is required, with the model")
        if model is None or params is None:
            return None
        name = params.text("litellm_credential_name")
        if name is not None and name in credentials:
            params = params.with_defaults(credentials[name])
        elif name is not None:
            params.wrong("litellm_credential_name", "is in no credential_name of credential_list")
        if info is None:
            info = Section({}, place.below("model_info"), self._findings, self._environment)
        return Listed(model, place, params, info, section.place("model_name"))

    def _expanded(self, listed: Listed, names: set[str]) -> Iterable[Listed]:
        """`*` for every name: a public name can't be that, so it becomes several."""
        if listed.model != "*":
            yield listed
            return
        model = listed.params.text("model") or ""
        prefix, _, rest = model.partition("/")
        prefixes = [prefix] if rest else list(_OF_ANY_PROVIDER)
        self._findings.warning(
            listed.name_place,
            f"becomes {', '.join(each + '/*' for each in prefixes)}: a name can't be * alone, so "
            "clients put the provider in front; write a model for each name without one",
        )
        for each in prefixes:
            if f"{each}/*" not in names:
                params = listed.params
                if not rest:
                    params = params.replacing("model", f"{each}/*")
                yield replace(listed, model=f"{each}/*", params=params)
