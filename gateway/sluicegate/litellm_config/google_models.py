"""Gemini and Vertex AI."""

from __future__ import annotations

import json
import re

from sluicegate.litellm_config.entry import Entry, LeftOut, Upstream, base_url, single_key
from sluicegate.litellm_config.secrets import JsonObject
from sluicegate.litellm_config.values import Credential, FromVariable, Literal, Unreadable

_DEFAULT_LOCATION = "us-central1"


def gemini(entry: Entry) -> Upstream:
    """Google's Gemini API."""
    fields: JsonObject = {"model": entry.model}
    base = base_url(entry, cut=re.compile(r"/v1(alpha|beta)?(/.*)?$"))
    if base is not None:
        fields["baseURL"] = base
    return Upstream("gemini", fields, single_key(entry, "GEMINI_API_KEY", "GOOGLE_API_KEY"))


def vertex(entry: Entry) -> Upstream:
    """A Gemini or Claude model of Vertex AI."""
    params = entry.params
    project = params.text("vertex_project") or params.text("vertex_ai_project")
    written = params.text("vertex_location") or params.text("vertex_ai_location")
    location = written or params.text("region_name")
    text, credential = _google_credential(entry)
    fields: JsonObject = {"model": _vertex_model(entry.model)}
    project = project or entry.variable("VERTEXAI_PROJECT") or _project_of(text)
    if project is None:
        params.missing("vertex_project", "is required: the id of the Google Cloud project")
        raise LeftOut("has no vertex_project")
    location = location or entry.variable("VERTEXAI_LOCATION")
    if location is None:
        location = _DEFAULT_LOCATION
        params.findings.note(
            entry.place, f"has no vertex_location; as in LiteLLM it is {_DEFAULT_LOCATION}"
        )
    fields |= {"project": project, "location": location}
    if entry.model.startswith("claude"):
        fields["publisher"] = "anthropic"
    base = base_url(entry, cut=re.compile(r"/v1(beta1)?(/.*)?$"))
    if base is not None:
        fields["baseURL"] = base
    place = params.place("vertex_credentials")
    reference = entry.keyring.google(credential, place, entry.name) if credential else None
    keys = {"project": "vertex_project", "location": "vertex_location", "baseURL": "api_base"}
    return Upstream("vertexAI", fields, reference, keys)


def _vertex_model(model: str) -> str:
    if re.fullmatch(r"(gemini/)?[0-9]+", model):
        return "endpoints/" + model.removeprefix("gemini/")
    if model == "*" or re.match(r"(claude|gemini)[^/]*$", model):
        return model
    raise LeftOut(
        "is left out: of Vertex AI only Gemini and Claude models are served; others speak OpenAI's "
        "API at their endpoint, so write an openai deployment with its baseURL"
    )


def _google_credential(entry: Entry) -> tuple[str | None, Credential | None]:
    """The credential file's text, where it is known, and what stands for it in the Secret."""
    params = entry.params
    key = "vertex_credentials" if params.has("vertex_credentials") else "vertex_ai_credentials"
    value = params.take(key)
    if isinstance(value, dict):
        return _file(entry, key, json.dumps(value))
    found = params.credential(key) if value is not None else None
    if isinstance(found, FromVariable):
        held = params.environment.get(found.name)
        if held is None or _is_json(held):
            return held, found
        found = Literal(held)  # the path of a file
    if found is None:
        return None, None
    text = found.text
    try:
        text = text if _is_json(text) else entry.read_file(text)
    except Unreadable as error:
        params.wrong(key, f"is neither JSON nor a file that can be read: {error}")
        return None, None
    return _file(entry, key, text)


def _file(entry: Entry, key: str, text: str) -> tuple[str | None, Credential | None]:
    content = _json(text)
    if not isinstance(content, dict) or not content:
        entry.params.wrong(key, "is not the JSON of a Google credential file")
        return None, None
    return text, Literal(text)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _project_of(text: str | None) -> str | None:
    content = _json(text) if text is not None else None
    if not isinstance(content, dict):
        return None
    project: object = content.get("project_id")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- of any JSON
    return project if isinstance(project, str) and project else None
