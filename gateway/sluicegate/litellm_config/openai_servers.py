"""OpenAI, Azure, and the services and servers that speak OpenAI's API."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluicegate.litellm_config.entry import Entry, LeftOut, Upstream, base_url, host_of, single_key
from sluicegate.litellm_config.secrets import JsonObject

_AZURE_HOSTS = (
    ".openai.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
)
_ENTRA = (
    "azure_ad_token",
    "tenant_id",
    "client_id",
    "client_secret",
    "azure_username",
    "azure_password",
    "azure_scope",
)


def _is_azure(url: str | None) -> bool:
    return host_of(url).endswith(_AZURE_HOSTS)


def _api(entry: Entry, model: str, default: str, why: str) -> tuple[str, str]:
    """Which API the server has, and the model without what says so."""
    forced = entry.params.flag("use_chat_completions_api")
    endpoints = entry.info.texts("supported_endpoints")
    mode = entry.info.text("mode")
    native = any(each.endswith("/responses") for each in endpoints)
    if endpoints and not native:
        entry.findings.note(
            entry.info.place("supported_endpoints"),
            "needs nothing: whatever the server has, clients are answered on /v1/responses",
        )
    if model.startswith("responses/"):
        return "Responses", model.removeprefix("responses/")
    if model.startswith("chat_completions/"):
        return "ChatCompletions", model.removeprefix("chat_completions/")
    if forced:
        return "ChatCompletions", model
    if mode == "responses" or native:
        return "Responses", model
    if default == "ChatCompletions":
        entry.findings.note(entry.place, why)
    return default, model


_COMPATIBLE = (
    "becomes an openai deployment with api: ChatCompletions, which every compatible server has; "
    "write api: Responses where the server has /responses (model_info.mode: responses says so too)"
)


def _openai_fields(entry: Entry, model: str, base: str | None, api: str) -> JsonObject:
    fields: JsonObject = {"model": model}
    if base is not None:
        fields["baseURL"] = base
    organization = entry.params.text("organization")
    if organization is not None:
        fields["organization"] = organization
    project = entry.params.text("project")
    if project is not None:
        fields["project"] = project
    if api != "Responses":
        fields["api"] = api
    return fields


def openai(entry: Entry) -> Upstream:
    """OpenAI, or with `api_base` whoever speaks its API."""
    base = base_url(entry) or entry.variable("OPENAI_BASE_URL", "OPENAI_API_BASE")
    own = base is None or host_of(base).endswith(".openai.com") or _is_azure(base)
    api, model = _api(entry, entry.model, "Responses" if own else "ChatCompletions", _COMPATIBLE)
    fields = _openai_fields(entry, model, base, api)
    if _is_azure(base):
        fields["auth"] = "ApiKey"
    return Upstream("openai", fields, single_key(entry, "OPENAI_API_KEY"))


def _azure_resource(base: str) -> str:
    """The v1 API of a resource, whichever of its URLs was written (Azure, "API lifecycle")."""
    root = re.sub(r"/(openai|models)(/.*)?$", "", base.partition("?")[0].rstrip("/"))
    return f"{root}/openai/v1"


def azure(entry: Entry) -> Upstream:
    """A deployment of an Azure resource, through its v1 API."""
    params = entry.params
    base = base_url(entry) or entry.variable("AZURE_API_BASE")
    if base is None:
        params.missing("api_base", "is required: the URL of the Azure resource")
        raise LeftOut("has no api_base")
    entra = [key for key in _ENTRA if params.has(key)]
    key = params.credential("api_key") or params.environment.credential("AZURE_API_KEY")
    for name in entra:
        params.take(name)
        params.findings.warning(
            params.place(name),
            "Microsoft Entra ID is not supported: create a key of the resource and write api_key",
        )
    if entra and not params.has("api_key"):
        raise LeftOut("is left out: it has no api_key, and Microsoft Entra ID is not supported")
    if params.take("api_version") is not None:
        params.findings.note(
            params.place("api_version"), "is not needed: Azure's v1 API has no api-version"
        )
    if not _is_azure(base):
        params.findings.warning(
            params.place("api_base"),
            "is not a host of Azure's own: /openai/v1 is appended to it, and the key is sent as "
            "api-key; check that this proxy passes both",
        )
    default = "ChatCompletions" if entry.prefix == "azure_ai" else "Responses"
    api, model = _api(entry, entry.model, default, _COMPATIBLE)
    fields = _openai_fields(entry, model, _azure_resource(base), api)
    fields["auth"] = "ApiKey"
    return Upstream(
        "openai", fields, entry.keyring.single(key, params.place("api_key"), entry.name)
    )


@dataclass(frozen=True, slots=True)
class Compatible:
    """A service or server that speaks OpenAI's API."""

    base: str | None  # None: api_base is required
    variable: str | None  # holds its key; None: it wants none
    api: str = "ChatCompletions"
    version: str = ""  # what the base URL must end in, and people leave out

    def __call__(self, entry: Entry) -> Upstream:
        """One of its models."""
        params = entry.params
        base = base_url(entry) or self.base
        if base is None:
            params.missing(
                "api_base", f"is required: the base URL of {entry.prefix}, ending in /v1"
            )
            raise LeftOut("has no api_base")
        if not base.endswith(self.version):
            base += self.version
        api, model = _api(entry, entry.model, self.api, _COMPATIBLE)
        key = params.credential("api_key")
        if key is None and self.variable is not None:
            key = params.environment.credential(self.variable)
        if key is None:  # never the ambient key of OpenAI, which is not for this server
            reference = entry.keyring.placeholder(params.place("model"))
        else:
            reference = entry.keyring.single(key, params.place("api_key"), entry.name)
        return Upstream("openai", _openai_fields(entry, model, base, api), reference)
