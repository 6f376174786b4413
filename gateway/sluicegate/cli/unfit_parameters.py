"""`spec.parameters` for which every request would be refused, though no client has sent them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from sluicegate.api.members import merge_parameters
from sluicegate.api.parameters import decode_parameters
from sluicegate.api.request import decode_request
from sluicegate.compile.findings import Finding
from sluicegate.config import Deployment, OpenAIUpstream
from sluicegate.model import ApiError

_REQUEST = b'{"model":"any","input":"any"}'
_NEEDS_OTHERS = {"tool_choice"}  # is judged by the tools, which may be the client's


def unfit_parameters(entry: Deployment) -> Iterator[Finding]:
    """A warning for each. What passes through to `/responses` is the upstream's to judge."""
    upstream = entry.upstream
    if isinstance(upstream, OpenAIUpstream) and upstream.api == "Responses":
        return
    sections: dict[str, Mapping[str, msgspec.Raw]] = {
        "defaults": entry.parameters.defaults,
        "overrides": entry.parameters.overrides,
    }
    for section, parameters in sections.items():
        for name in parameters.keys() - _NEEDS_OTHERS:
            try:
                merged = merge_parameters(_REQUEST, {}, {name: parameters[name]})
                decode_parameters(decode_request(merged))
            except ApiError as refusal:
                words = f"requests are refused for it: {refusal}".rstrip(".")
                path = ("spec", "parameters", section, name)
                yield Finding(None, "UnfitParameter", words, path, "warning")
