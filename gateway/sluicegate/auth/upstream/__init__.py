"""Credentials for upstream calls that take a look-up or a signature.

A provider says what a call needs (`UpstreamCall.authorization`); the pipeline asks here, right
before it sends.
"""

from __future__ import annotations

from sluicegate.auth.upstream.aws import AwsAuthorizer, profile_region
from sluicegate.auth.upstream.failure import CredentialFailed
from sluicegate.auth.upstream.google import GoogleAuthorizer
from sluicegate.providers.contract import AwsSigning, GoogleToken, UpstreamCall

__all__ = ["Authorizer", "CredentialFailed", "profile_region"]


class Authorizer:
    """By the kind of authorization; one per gateway process, shared by all requests."""

    __slots__ = ("_aws", "_google")

    def __init__(self) -> None:
        self._aws = AwsAuthorizer()
        self._google = GoogleAuthorizer()

    async def headers(self, call: UpstreamCall) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that `call` lacks; none where it is complete. Raises CredentialFailed."""
        authorization = call.authorization
        match authorization:
            case None:
                return ()
            case AwsSigning():
                return await self._aws.headers(call, authorization)
            case GoogleToken():
                return await self._google.headers(call, authorization)
