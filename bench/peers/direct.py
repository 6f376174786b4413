"""No proxy at all: the mock itself, which shows what load generator and upstream can do."""

from bench import calls
from bench.calls import Call, Workload

NAME = "direct"


def call(workload: Workload) -> Call | None:
    """The request as the mock expects it."""
    if not workload.is_passed_on:
        return None
    path = f"{calls.upstream_prefix(workload)}/v1/responses"
    return calls.call(path, "gpt-4.1", workload, calls.client_key())
