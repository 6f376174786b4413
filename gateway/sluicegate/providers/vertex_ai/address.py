"""Where a model of Vertex AI is reached."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from sluicegate.config import VertexAIUpstream

_MULTI_REGIONS = frozenset({"us", "eu"})
_ENDPOINTS = "endpoints/"  # tuned models that a project has deployed itself


def base_url(upstream: VertexAIUpstream) -> str:
    """As configured, else the host of the location (Vertex AI, "Locations and endpoints")."""
    if upstream.base_url is not None:
        return upstream.base_url
    location = upstream.location
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def location_path(upstream: VertexAIUpstream) -> str:
    """The path of the project's place, below the host."""
    prefix = urlsplit(base_url(upstream)).path.rstrip("/")
    project = quote(upstream.project, safe=":")  # of a domain's project: `example.com:name`
    return f"{prefix}/v1/projects/{project}/locations/{upstream.location}"


def model_path(publisher: str, model: str) -> str:
    """The model's path in its place.

    A name may come from a client: it names one segment, whatever is in it.
    """
    if model.startswith(_ENDPOINTS):
        return _ENDPOINTS + quote(model.removeprefix(_ENDPOINTS), safe="")
    return f"publishers/{publisher}/models/{quote(model, safe='@')}"
