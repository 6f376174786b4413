"""Echo without a deployment, to try a program out without a key."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate.config import AmbientCredential, EchoUpstream
from sluicegate.providers.direct import DirectOptions


class _Echo:
    name = "echo"
    credentials_from = "none are needed"

    def resolve(
        self,
        model: str,  # noqa: ARG002 - it answers to any name
        options: DirectOptions,  # noqa: ARG002 - and needs nothing
        environ: Mapping[str, str],  # noqa: ARG002 - as the options
    ) -> tuple[EchoUpstream, AmbientCredential]:
        return EchoUpstream(), AmbientCredential()


DIRECT = _Echo()
