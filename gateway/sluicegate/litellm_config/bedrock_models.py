"""Amazon Bedrock."""

from __future__ import annotations

import re

from sluicegate.litellm_config.entry import Entry, LeftOut, Upstream
from sluicegate.litellm_config.secrets import JsonObject
from sluicegate.litellm_config.values import Credential

_DEFAULT_REGION = "us-west-2"
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+", re.ASCII)
_BEDROCK_ROUTES = ("converse/", "converse_like/", "invoke/")
_BEDROCK_OTHERS = ("agent/", "agentcore/", "async_invoke/", "mantle/")
_AWS_AMBIENT = {
    "aws_profile_name": "set AWS_PROFILE in the gateway's environment and leave the keys out",
    "aws_web_identity_token": "leave the keys out: the gateway takes IRSA and EKS Pod Identity "
    "from its pod's service account",
    "aws_sts_endpoint": "set AWS_ENDPOINT_URL_STS in the gateway's environment",
}


def bedrock(entry: Entry) -> Upstream:
    """A model of Bedrock, behind Converse."""
    params = entry.params
    model, path_region = _bedrock_model(entry)
    region = params.text("aws_region_name") or params.text("region_name") or path_region
    region = region or entry.variable("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
    if region is None:
        region = _DEFAULT_REGION
        params.findings.note(
            entry.place, f"has no aws_region_name; as in LiteLLM it is {_DEFAULT_REGION}"
        )
    fields: JsonObject = {"model": model, "region": region}
    base = params.text("aws_bedrock_runtime_endpoint") or params.text("api_base")
    if base is not None:
        fields["baseURL"] = base.rstrip("/")
    for key, advice in _AWS_AMBIENT.items():
        if params.has(key):
            params.take(key)
            params.findings.warning(params.place(key), f"has no counterpart: {advice}")
    keys = {
        "region": "aws_region_name",
        "baseURL": "aws_bedrock_runtime_endpoint",
        "model": "model_id" if params.has("model_id") else "model",
    }
    return Upstream("bedrock", fields, _bedrock_credentials(entry), keys)


def _bedrock_model(entry: Entry) -> tuple[str, str | None]:
    """The model's id or ARN, and a region in front of it."""
    model = entry.model
    if model.startswith(_BEDROCK_OTHERS):
        raise LeftOut("is left out: of Bedrock only models behind Converse are served")
    model = next(
        (model.removeprefix(each) for each in _BEDROCK_ROUTES if model.startswith(each)), model
    )
    first, slash, rest = model.partition("/")
    region = None
    if slash and _REGION.fullmatch(first):
        region, model = first, rest
    # `llama/arn:…` tells LiteLLM how to speak to an imported model; Converse knows by itself.
    if "/arn:" in model and not model.startswith("arn:"):
        model = model[model.index("/arn:") + 1 :]
    return entry.params.text("model_id") or model, region


def _bedrock_credentials(entry: Entry) -> JsonObject | None:
    params = entry.params
    bearer = params.credential("api_key")
    values: dict[str, Credential] = {}
    for key in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        value = params.credential(key)
        if value is not None:
            values[key] = value
    role: dict[str, str] = {}
    arn, session = params.text("aws_role_name"), params.text("aws_session_name")
    if arn is not None:
        role["roleARN"] = arn
    if arn is not None and session is not None:
        role["sessionName"] = session
    if params.text("aws_external_id") is not None:
        params.findings.warning(
            params.place("aws_external_id"),
            "has no counterpart: the external id is always <namespace>/<name of the ApiKey>; write "
            "that into the role's trust policy",
        )
    if bearer is not None:
        return entry.keyring.single(bearer, params.place("api_key"), entry.name)
    if values and not {"aws_access_key_id", "aws_secret_access_key"} <= values.keys():
        missing = "aws_secret_access_key"
        if missing in values:
            missing = "aws_access_key_id"
        params.wrong(missing, "is required beside the other AWS keys")
        return None
    if not values and not role:
        return _written_aws(entry)
    place = params.place(next(iter(values), "aws_role_name"))
    return entry.keyring.aws(values, role, place, entry.name)


def _written_aws(entry: Entry) -> JsonObject | None:
    """AWS keys that only `environment_variables` sets, which the ambient chain can't see."""
    environment = entry.params.environment
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    if environment.is_written("AWS_BEARER_TOKEN_BEDROCK"):
        bearer = environment.credential("AWS_BEARER_TOKEN_BEDROCK")
        return entry.keyring.single(bearer, entry.place, entry.name)
    if not all(environment.is_written(name) for name in names[:2]):
        return None
    values = {
        name.lower(): environment.credential(name) for name in names if environment.is_written(name)
    }
    return entry.keyring.aws(values, {}, entry.place, entry.name)
