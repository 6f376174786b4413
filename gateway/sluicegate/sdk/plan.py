"""From the keywords of a call to what is tried for it, in order. Pure, but for two files.

The only other place that knows what a program gave is each provider's `direct.py`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

import msgspec
import openai
import pydantic

from sluicegate.api.request import ResponsesRequest, decode_request
from sluicegate.auth.upstream import CredentialFailed, profile_region
from sluicegate.config import Credential, Deployment, Retry, Upstream
from sluicegate.model import ApiError
from sluicegate.providers import PROVIDERS
from sluicegate.providers.anthropic.direct import DIRECT as _ANTHROPIC
from sluicegate.providers.bedrock.direct import DIRECT as _BEDROCK
from sluicegate.providers.contract import Connector
from sluicegate.providers.direct import Direct, DirectOptions, NotConfigured, Unset
from sluicegate.providers.echo.direct import DIRECT as _ECHO
from sluicegate.providers.gemini.direct import DIRECT as _GEMINI
from sluicegate.providers.openai.direct import DIRECT as _OPENAI
from sluicegate.providers.vertex_ai.direct import DIRECT as _VERTEX_AI
from sluicegate.resources.header_rules import CREDENTIAL_HEADERS, header_problem
from sluicegate.routing.snapshot import Unavailable
from sluicegate.sdk.arguments import (
    ARGUMENTS,
    PARAMETERS,
    Arguments,
    GoogleCredentials,
    Input,
    check_types,
)
from sluicegate.sdk.failures import shown_request, status_error

_LISTED: tuple[Direct, ...] = (_OPENAI, _ANTHROPIC, _GEMINI, _VERTEX_AI, _BEDROCK, _ECHO)
DIRECT: Mapping[str, Direct] = MappingProxyType({each.name: each for each in _LISTED})

_DEFAULT_RETRIES = 2  # as the openai package
_BACKOFF = 0.5  # seconds; the first pause is random up to this, the next up to twice as much
# Keywords that are for the provider of `model` alone: a fallback elsewhere must not get its key.
_OF_THE_FIRST = ("api_key", "base_url", "api", "organization", "project")
_CREDENTIALS = "vertex_credentials"
# Keywords whose value may be found on the machine; finding it blocks.
_FOUND_ELSEWHERE: Mapping[str, Callable[[], str | None]] = MappingProxyType(
    {"aws_region_name": profile_region}
)
_SCHEMES = frozenset({"http", "https"})
_KEYWORDS_DO = "credentials have keywords of their own, such as api_key"
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be tried. `label` is `provider/model`."""

    label: str
    provider: str
    model: str
    connector: Connector
    retry: Retry
    credentials_from: str  # how a program gives them, for messages


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried for one call, in order; the request is the same for all."""

    request: ResponsesRequest
    targets: tuple[Target, ...]


class WouldBlock(Exception):
    """A file of the machine has to be read for this call."""


def plan_call(
    model: str,
    input_: Input | None,
    arguments: Arguments,
    *,
    stream: bool,
    may_block: bool = True,
) -> Plan:
    """Read the keywords.

    Raises openai.OpenAIError where a model's name, a credential or a setting is missing or wrong,
    openai.BadRequestError where the request is not one, TypeError for a keyword that is not known
    or of another type, WouldBlock where it must not block and has to.
    """
    unknown = [name for name in arguments if name not in ARGUMENTS]
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}; see extra_body")
    check_types(arguments, stream=stream)
    if not isinstance(cast("object", model), str):
        raise openai.OpenAIError("the model must be a string, as in 'openai/gpt-4o'")
    request = _request(model, input_, arguments, stream=stream)
    names = (model, *arguments.get("fallbacks", ()))
    targets = tuple(_target(name, model, arguments, may_block=may_block) for name in names)
    return Plan(request, targets)


# --- the request ----------------------------------------------------------------------------------


def _request(
    model: str, input_: Input | None, arguments: Arguments, *, stream: bool
) -> ResponsesRequest:
    body: dict[str, object] = {"model": model.partition("/")[2]}
    if input_ is not None:
        body["input"] = input_
    body |= {name: value for name, value in arguments.items() if name in PARAMETERS}
    if stream:
        body["stream"] = True
    body |= arguments.get("extra_body") or {}
    given = {name: value for name, value in body.items() if not _left_out(value)}
    failure: openai.OpenAIError
    try:
        _check_sayable(given, stream=stream)
        return decode_request(msgspec.json.encode(given, enc_hook=_plain))
    except ApiError as refused:
        failure = status_error(refused, refused.status, shown_request(None), {})
    except (UnicodeEncodeError, RecursionError):
        refused = ApiError(400, "The request holds half a character, or is nested too deeply.")
        failure = status_error(refused, 400, shown_request(None), {})
    raise failure


def _check_sayable(given: Mapping[str, object], *, stream: bool) -> None:
    """Raises ApiError (400) where something else would be sent than was meant."""
    if given.get("stream", False) is not stream:
        raise ApiError(400, "Give stream as a keyword, not in extra_body.", param="stream")
    for name, value in given.items():
        problem = _unsayable(value)
        if problem is not None:
            raise ApiError(400, f"{name} holds {problem}, which JSON can't say.", param=name)


def _unsayable(value: object) -> str | None:
    """What of a value would become something else in JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return "bytes"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    inside: Iterable[object] = ()
    if isinstance(value, dict):
        inside = cast("dict[object, object]", value).values()
    elif isinstance(value, list | tuple):
        inside = cast("Sequence[object]", value)
    return next((found for each in inside if (found := _unsayable(each)) is not None), None)


def _left_out(value: object) -> bool:
    """The `openai` package's own marks for what is not given."""
    return isinstance(value, openai.NotGiven | openai.Omit)


def _plain(value: object) -> object:
    """Items of an earlier answer may be part of the input as they are. Raises TypeError."""
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True, warnings=False)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if hasattr(value, "__iter__"):
        return list(cast("list[object]", value))
    raise TypeError(f"a request can't hold a {type(value).__name__}")


# --- the targets ----------------------------------------------------------------------------------


def _target(name: str, first: str, arguments: Arguments, *, may_block: bool) -> Target:
    prefix, _, model = name.partition("/")
    direct = DIRECT.get(prefix)
    if direct is None or not model:
        known = ", ".join(f"{each}/…" for each in DIRECT)
        raise openai.OpenAIError(f"the model {name!r} does not name its provider: one of {known}")
    own = prefix == first.partition("/")[0]
    reason = ""
    try:
        options = _options(arguments, own=own, may_block=may_block)
        upstream, credential = _resolved(direct, model, options, may_block=may_block)
        headers = _headers(arguments) if own else ()
        return _connect(name, direct, upstream, credential, headers, arguments)
    except (NotConfigured, Unavailable, CredentialFailed) as missing:
        reason = str(missing)
    raise openai.OpenAIError(f"{name}: {reason}")


def _resolved(
    direct: Direct, model: str, options: DirectOptions, *, may_block: bool
) -> tuple[Upstream, Credential]:
    try:
        return direct.resolve(model, options, os.environ)
    except Unset as unset:
        find, missing = _FOUND_ELSEWHERE.get(unset.keyword), unset
    if find is None:
        raise missing
    if not may_block:
        raise WouldBlock
    found = find()
    if not found:
        raise missing
    return direct.resolve(model, options._replace(**{missing.keyword: found}), os.environ)


def _connect(
    name: str,
    direct: Direct,
    upstream: Upstream,
    credential: Credential,
    headers: tuple[tuple[str, str], ...],
    arguments: Arguments,
) -> Target:
    model = name.partition("/")[2]
    drops = arguments.get("drop_unsupported", False)
    deployment = Deployment(
        namespace=direct.name,
        name=model,
        model=model,
        upstream=upstream,
        credential=credential,
        retry=Retry(_retries(arguments) + 1, _BACKOFF),
        headers=headers,
        unsupported_parameters="Drop" if drops else "Reject",
        unsupported_tools="Drop" if drops else "Reject",
    )
    provider = PROVIDERS.get(type(upstream))
    if provider is None:
        raise NotConfigured("its provider is not part of this installation")
    _check_address(getattr(upstream, "base_url", None))
    connector = provider.connector(deployment, credential, os.environ)
    return Target(name, direct.name, model, connector, deployment.retry, direct.credentials_from)


def _options(arguments: Arguments, *, own: bool, may_block: bool) -> DirectOptions:
    given = {
        name: cast("str | None", arguments.get(name))
        for name in DirectOptions._fields
        if own or name not in _OF_THE_FIRST
    }
    credentials = arguments.get(_CREDENTIALS)
    if credentials is not None:
        given["google_credentials"] = _credential_text(credentials, may_block=may_block)
    return DirectOptions(**given)


def _credential_text(given: GoogleCredentials, *, may_block: bool) -> str:
    """The JSON of a credential file. Raises NotConfigured where it can't be read."""
    if isinstance(given, Mapping):
        return msgspec.json.encode(given).decode()
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return given
    if not may_block:
        raise WouldBlock
    try:
        return Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
    raise NotConfigured(f"vertex_credentials can't be read: {reason}")


def _retries(arguments: Arguments) -> int:
    retries = arguments.get("max_retries", _DEFAULT_RETRIES)
    if retries < 0:
        raise NotConfigured("max_retries is not a number of retries")
    return retries


def _headers(arguments: Arguments) -> tuple[tuple[str, str], ...]:
    headers = dict(arguments.get("extra_headers") or {})
    for name in headers:
        if name.lower() in CREDENTIAL_HEADERS:
            raise NotConfigured(f"extra_headers must not have {name!r}: {_KEYWORDS_DO}")
    problem = header_problem(headers)
    if problem is not None:
        raise NotConfigured(f"extra_headers {problem}")
    return tuple(headers.items())


def _check_address(base_url: str | None) -> None:
    """An address that a request can be sent to. Raises NotConfigured, without the address."""
    if base_url is None:
        return
    try:
        parts = urlsplit(base_url)
        fits = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits, parts = False, None
    if parts is None or not fits or parts.query or parts.fragment:
        raise NotConfigured("base_url must be an http or https address without a query")
    if parts.username is not None or _VISIBLE.fullmatch(base_url) is None:
        raise NotConfigured("base_url must not hold a user, or characters that have to be quoted")
