"""What echo can't do, and what it never gets."""

from __future__ import annotations

from sluicegate.model import ApiError
from sluicegate.providers.contract import UpstreamStreamError


def not_callable(tool: str) -> ApiError:
    """The request forces a tool that only its own provider could run."""
    return ApiError(
        400,
        f"Tool choice '{tool}' is not supported with this model: "
        "it calls function and custom tools.",
        code="unsupported_parameter",
        param="tool_choice",
    )


def no_upstream() -> UpstreamStreamError:
    """Bytes were given to a provider that asked for none."""
    return UpstreamStreamError("an echo deployment has no upstream")
