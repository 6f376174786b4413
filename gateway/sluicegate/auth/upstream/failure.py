"""Why a credential could not be had."""

from __future__ import annotations


class CredentialFailed(Exception):
    """No credential for a call. The message is safe to show: it holds no secret."""
