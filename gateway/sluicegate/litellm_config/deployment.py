"""One entry of `model_list` to a ModelDeployment, but for what depends on its pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from sluicegate.litellm_config import advice, parameters
from sluicegate.litellm_config.entry import Entry, LeftOut, Upstream
from sluicegate.litellm_config.findings import Place
from sluicegate.litellm_config.readers import READERS, split_model
from sluicegate.litellm_config.secrets import JsonObject
from sluicegate.litellm_config.values import Section
from sluicegate.resources.header_rules import CREDENTIAL_HEADERS
from sluicegate.resources.yaml_documents import FieldPath, JsonValue

_MILLION = 1_000_000
_FINEST = Decimal("0.000000001")
_COUNT_LIMIT = 1_000_000_000
_LONGEST = 86_400
_USUAL_TOTAL = 1800  # timeouts.total, where nothing is said
_MOST_ATTEMPTS = 10
# Where prices are: litellm_params first, then model_info.
_PRICES = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cachedInput",
    "cache_creation_input_token_cost": "cacheWrite",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
}
_SERVED_MODES = frozenset({"chat", "completion", "responses"})


@dataclass(slots=True)
class Draft:
    """A ModelDeployment in the making."""

    name: str
    model: str  # its public name
    place: Place
    spec: JsonObject = field(default_factory=dict[str, JsonValue])
    # Where fields come from, for what is said about them.
    origins: dict[FieldPath, Place] = field(default_factory=dict[FieldPath, Place])
    order: int | None = None
    shares: dict[str, Decimal] = field(default_factory=dict[str, Decimal])


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the settings say for deployments that say nothing themselves."""

    attempts: int | None = None
    backoff: str | None = None
    timeout: Decimal | None = None
    stream_timeout: Decimal | None = None
    parallel: int | None = None
    failures: int | None = None
    cooldown: str | None = None
    drop: bool = False


def seconds(value: Decimal, *, most: int = _LONGEST) -> str:
    """A duration, kept within what a manifest allows."""
    value = min(max(value, Decimal("0.001")), Decimal(most))
    if value == value.to_integral_value():
        return f"{int(value)}s"
    return f"{int((value * 1000).to_integral_value(ROUND_HALF_UP))}ms"


def attempts(retries: int) -> int:
    """`retry.attempts` for a number of retries."""
    return min(retries + 1, _MOST_ATTEMPTS)


def draft(entry: Entry, model: str, place: Place, general: Defaults) -> Draft | None:
    """The deployment, or None where it is left out; why is among the findings."""
    made = Draft(entry.name, model, place)
    params, info = entry.params, entry.info
    mode = info.text("mode")
    if mode is not None and mode not in _SERVED_MODES:
        params.findings.warning(
            info.place("mode"),
            "is left out: only models that answer /v1/responses are served; keep another gateway "
            "for the rest",
        )
        return None
    try:
        upstream = _upstream(entry)
    except LeftOut as left_out:
        if not str(left_out).startswith("has no"):  # that is an error already
            params.findings.warning(entry.place, str(left_out))
        return None
    made.spec = {"model": model, "provider": {upstream.provider: upstream.fields}}
    _trace(made, upstream, params)
    headers = _headers(params, upstream)
    if upstream.credentials is not None:
        made.spec["credentials"] = upstream.credentials
    made.order, made.shares = _routing(params)
    _put(made, "limits", _limits(params, general))
    _put(made, "timeouts", _timeouts(params, general))
    _put(made, "retry", _retry(params, general))
    _put(made, "cooldown", _cooldown(params, general))
    _put(made, "headers", headers)
    parts = {"defaults": parameters.defaults(params), "overrides": parameters.overrides(params)}
    _put(made, "parameters", {name: part for name, part in parts.items() if part})
    _put(made, "modelInfo", _model_info(info))
    if params.flag("drop_params") or general.drop:
        made.spec["unsupportedParameters"] = "Drop"
    _put(made, "pricing", _pricing(params, info))
    advice.report(params, advice.LITELLM_PARAMS)
    advice.report(info, advice.MODEL_INFO)
    return made


def _upstream(entry: Entry) -> Upstream:
    reader = READERS.get(entry.prefix)
    if reader is None:
        raise LeftOut(
            f"is left out: the provider {entry.prefix[:40]!r} is not among those served; where it "
            "speaks OpenAI's API, write openai/<model> with its api_base"
        )
    return reader(entry)


def find_reader(params: Section) -> tuple[str, str] | None:
    """(prefix, model) of an entry; None where it names none, which is among the findings."""
    chosen = params.text("custom_llm_provider")
    model = params.text("model")
    if model is None:
        params.wrong("model", "is required, as in model: openai/gpt-4.1")
        return None
    found = split_model(model, chosen)
    if found is None:
        params.wrong("model", "must name its provider, as in openai/gpt-4.1")
    return found


def _trace(made: Draft, upstream: Upstream, params: Section) -> None:
    for name in upstream.fields:
        key = upstream.keys.get(name, name)
        key = key if params.has(key) else "model"
        made.origins["spec", "provider", upstream.provider, name] = params.place(key)
    for name, key in (
        ("headers", "extra_headers"),
        ("limits", "rpm"),
        ("parameters", "model"),
        ("credentials", "api_key"),
    ):
        made.origins["spec", name] = params.place(key)


def _put(made: Draft, name: str, value: JsonObject) -> None:
    if value:
        made.spec[name] = value


def _routing(params: Section) -> tuple[int | None, dict[str, Decimal]]:
    order = params.whole("order")
    shares: dict[str, Decimal] = {}
    for key in ("weight", "rpm", "tpm"):
        share = params.number(key)
        if share is not None:
            shares[key] = share
    return order, shares


def _limits(params: Section, general: Defaults) -> JsonObject:
    found: JsonObject = {}
    for key, name in (
        ("rpm", "requestsPerMinute"),
        ("tpm", "tokensPerMinute"),
        ("max_parallel_requests", "maxParallelRequests"),
    ):
        limit = params.whole(key)
        if limit == 0:
            params.findings.warning(
                params.place(key), "is 0, which is no limit here: suspended: true takes it out"
            )
        elif limit is not None:
            found[name] = min(limit, _COUNT_LIMIT)
    if general.parallel is not None:
        found.setdefault("maxParallelRequests", min(general.parallel, _COUNT_LIMIT))
    return found


def _timeouts(params: Section, general: Defaults) -> JsonObject:
    """A timeout bounds each wait for bytes, as it does in LiteLLM's HTTP client.

    An answer that is not streamed comes in one piece, so its first byte is what it waits for.
    """
    timeout = params.number("timeout")
    other = params.number("request_timeout")
    stream = params.number("stream_timeout")
    timeout = timeout or other or general.timeout
    stream = stream or general.stream_timeout or timeout
    found: JsonObject = {}
    if timeout:
        found["firstByte"] = seconds(timeout)
    if stream:
        found["idle"] = seconds(stream)
    if timeout and timeout > _USUAL_TOTAL:
        found["total"] = seconds(timeout)
    return found


def _retry(params: Section, general: Defaults) -> JsonObject:
    retries = params.whole("max_retries")
    other = params.whole("num_retries")
    retries = retries if retries is not None else other
    found: JsonObject = {}
    if retries is not None:
        found["attempts"] = attempts(retries)
    elif general.attempts is not None:
        found["attempts"] = general.attempts
    if general.backoff is not None:
        found["backoff"] = general.backoff
    return found


def _cooldown(params: Section, general: Defaults) -> JsonObject:
    found: JsonObject = {}
    if general.failures is not None:
        found["failures"] = general.failures
    time = params.number("cooldown_time")
    if time is not None:
        found["duration"] = seconds(time)
    elif general.cooldown is not None:
        found["duration"] = general.cooldown
    return found


def _headers(params: Section, upstream: Upstream) -> JsonObject:
    found: JsonObject = {}
    for key in ("extra_headers", "headers"):
        section = params.section(key)
        for name, value in section.left() if section is not None else ():
            text = str(value) if isinstance(value, (str, int)) else ""
            place = params.place(key).below(name)
            if name.lower() in CREDENTIAL_HEADERS or text.startswith("os.environ/"):
                params.findings.warning(
                    place,
                    "is left out: a header of a manifest is no place for a credential; write "
                    "api_key",
                )
            elif not _becomes_field(upstream, name.lower(), text):
                found[name] = text
    return found


def _becomes_field(upstream: Upstream, header: str, text: str) -> bool:
    """Anthropic's own headers have fields."""
    if upstream.provider != "anthropic":
        return False
    if header == "anthropic-version":
        upstream.fields["version"] = text
    elif header == "anthropic-beta":
        upstream.fields["betas"] = [part.strip() for part in text.split(",") if part.strip()]
    return header in {"anthropic-version", "anthropic-beta"}


def _model_info(info: Section) -> JsonObject:
    found: JsonObject = {}
    window = info.whole("max_input_tokens")
    if window:
        found["contextWindow"] = min(window, _COUNT_LIMIT)
    output, other = info.whole("max_output_tokens"), info.whole("max_tokens")
    if output or other:
        found["maxOutputTokens"] = min(output or other or 1, _COUNT_LIMIT)
    return found


def _pricing(params: Section, info: Section) -> JsonObject:
    found: JsonObject = {}
    for key, name in _PRICES.items():
        holder = params if params.has(key) else info
        price, _ = holder.number(key), info.take(key)
        if price is None:
            continue
        text = per_million(price)
        if text is None:
            holder.wrong(key, "must be a price in USD per token, as in 0.000003")
        else:
            found[name] = text
    return found


def per_million(price: Decimal) -> str | None:
    """A price per token as one per million tokens, in plain digits; None where it does not fit."""
    value = price * _MILLION
    if value >= 1_000_000_000 or value != value.quantize(_FINEST):
        return None
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction.ljust(2, '0')}" if fraction else f"{whole}.00"
