"""Why a credential could not be had."""

from __future__ import annotations


class CredentialFailed(Exception):
    """No credential for a call. The message is safe to show: it holds no secret.

    `missing` says no more than that there is none, where the provider's own SDK would find none
    either; then the message goes on with what to do in a deployment.
    """

    def __init__(self, message: str, *, missing: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing

    def again(self) -> CredentialFailed:
        """The same for another call that waited for it."""
        return CredentialFailed(str(self), missing=self.missing)
