"""Bedrock without a deployment: keys, a role, a bearer token, or the chain of the AWS SDKs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sluicegate.config import (
    AmbientCredential,
    AwsCredential,
    BedrockUpstream,
    Credential,
    SecretCredential,
)
from sluicegate.providers.direct import (
    DirectOptions,
    NotConfigured,
    Unset,
    first,
    matching,
    sendable,
)

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+", re.ASCII)  # it becomes part of a host
_ARN_REGION = re.compile(r"arn:aws[a-z-]*:[a-z]+:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+):")
# LiteLLM's name goes first, then those of the AWS SDKs.
_REGION_VARIABLES = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
_BEARER = "AWS_BEARER_TOKEN_BEDROCK"


class _Bedrock:
    name = "bedrock"
    credentials_from = (
        "pass aws_access_key_id and aws_secret_access_key (or a Bedrock API key as api_key), set "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_BEARER_TOKEN_BEDROCK or AWS_PROFILE, or "
        "run where there is a role"
    )

    def resolve(
        self, model: str, options: DirectOptions, environ: Mapping[str, str]
    ) -> tuple[BedrockUpstream, Credential]:
        arn = _ARN_REGION.match(model)
        region = first(
            options.aws_region_name,
            *(environ.get(name) for name in _REGION_VARIABLES),
            arn["region"] if arn is not None else None,
        )
        if region is None:
            raise Unset(
                "aws_region_name",
                "no region: pass aws_region_name, set AWS_REGION, or give the AWS profile one",
            )
        upstream = BedrockUpstream(
            model,
            region=matching("aws_region_name", region, _REGION),
            base_url=first(options.base_url, environ.get(_ENDPOINT)),
        )
        return upstream, _credential(options, environ)


def _credential(options: DirectOptions, environ: Mapping[str, str]) -> Credential:
    """Keywords, then the bearer token, then keys and chain: the order of the AWS SDKs."""
    key_id, secret = options.aws_access_key_id, options.aws_secret_access_key
    token = options.aws_session_token
    if options.api_key:
        return SecretCredential(sendable("the API key", options.api_key))
    if bool(key_id) != bool(secret):
        raise NotConfigured("aws_access_key_id and aws_secret_access_key go together")
    if not (key_id or options.aws_role_name) and environ.get(_BEARER):
        return SecretCredential(sendable(_BEARER, environ[_BEARER]))
    if not key_id and environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        key_id, secret = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
        token = first(token, environ.get("AWS_SESSION_TOKEN"))
    if not (key_id or options.aws_role_name):
        return AmbientCredential()
    return AwsCredential(
        access_key_id=key_id and sendable("the AWS access key id", key_id),
        secret_access_key=secret,
        session_token=token and sendable("the AWS session token", token),
        role_arn=options.aws_role_name,
        session_name=options.aws_session_name,
        external_id=options.aws_external_id,
    )


DIRECT = _Bedrock()
