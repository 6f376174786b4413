"""The two kinds: what is taken, what is refused, and what the message says to write."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from manifest_objects import client, deployment, openai, resource
from sluicegate.resources import ApiKey, Invalid, ModelDeployment, Resource, field_name, validate
from sluicegate.resources.durations import DurationError, parse_duration
from sluicegate.resources.timestamps import TimestampError, parse_timestamp


def flaws(kind: str, spec: object, name: str = "x") -> list[str]:
    found = validate(resource(kind, name, spec))
    assert isinstance(found, Invalid)
    return [f"{field_name(flaw.path)}: {flaw.message}" for flaw in found.flaws]


def md(**spec: object) -> dict[str, object]:
    return {"provider": {"echo": {}}, **spec}


def via(**fields: object) -> dict[str, object]:
    return {"provider": {"openai": {"model": "m", **fields}}}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (md(wieght=1), "spec.wieght: unknown field 'wieght'; did you mean 'weight'?"),
        (md(Weight=1), "spec.Weight: unknown field 'Weight'; did you mean 'weight'?"),
        (
            via(baseUrl="x"),
            "spec.provider.openai.baseUrl: unknown field 'baseUrl'; did you mean 'baseURL'?",
        ),
        (
            md(retry={"qqq": 1}),
            "spec.retry.qqq: unknown field 'qqq'; known here: attempts, backoff",
        ),
        ({}, "spec.provider: provider is required: Which provider answers"),
        (md(weight="1"), "spec.weight: weight must be a whole number, without quotes"),
        (md(weight=1.5), "spec.weight: weight must be a whole number"),
        (md(weight=True), "spec.weight: weight must be a whole number"),
        (md(weight=-1), "spec.weight: weight must be 0 or more"),
        (md(suspended="true"), "spec.suspended: suspended must be true or false, without quotes"),
        (
            md(timeouts={"connect": 5}),
            "spec.timeouts.connect: connect must be a string: put the value in quotes",
        ),
        (
            md(timeouts={"connect": "5"}),
            "spec.timeouts.connect: connect must be a duration with its unit",
        ),
        (
            md(timeouts={"total": "0s"}),
            "spec.timeouts.total: total must be between 1ms and 24h",
        ),
        (
            md(unsupportedTools="drop"),
            "spec.unsupportedTools: unsupportedTools must be Reject or Drop",
        ),
        (md(limits=[1]), "spec.limits: limits must be a mapping"),
        (
            md(limits={"requestsPerMinute": 0}),
            "spec.limits.requestsPerMinute: requestsPerMinute must be 1 or more",
        ),
        (md(model="a b"), "spec.model: model must begin with a letter or digit"),
        (md(model="a@b"), "spec.model: model must begin"),
        (md(model="a*b"), "spec.model: model must begin"),
        (md(model="a" * 129), "spec.model: model must begin"),
        (
            via(model="*"),
            "spec.model: model provider's model '*' goes with a spec.model that ends in '*'",
        ),
        (via(model="a b"), "spec.provider.openai.model: model must be the provider's model id"),
        (via(model="a/../b"), "spec.provider.openai.model: model must be the provider's model id"),
        (via(model="a?b"), "spec.provider.openai.model: model must be the provider's model id"),
        (via(auth="bearer"), "spec.provider.openai.auth: auth must be Bearer or ApiKey"),
        (
            md(parameters={"defaults": {"stream": True}}),
            "spec.parameters.defaults: defaults must not set stream",
        ),
        (
            md(headers={"Host": "x"}),
            "spec.headers: headers must not have 'Host': the gateway sets it",
        ),
        (
            md(headers={"Transfer-Encoding": "x"}),
            "spec.headers: headers must not have 'Transfer-Encoding'",
        ),
        (
            md(headers={"X-Api-Key": "x"}),
            "spec.headers: headers must not have 'X-Api-Key': a credential",
        ),
        (
            md(headers={"a": "b\r\nc: d"}),
            "spec.headers: headers must have a value of printable ASCII",
        ),
        (md(headers={"a\n": "b"}), "spec.headers: headers must have header names"),
        (
            md(headers={"x-a": "1", "X-A": "2"}),
            "spec.headers: headers must not have the same name twice",
        ),
        (md(headers={"x": 1}), "spec.headers.x: x must be a string"),
        (
            md(pricing={"input": 3.0}),
            "spec.pricing.input: input must be a string: put the value in quotes",
        ),
        (
            md(pricing={"input": "3,0"}),
            "spec.pricing.input: input must be a decimal number in quotes",
        ),
        (
            md(allowedNamespaces={"from": "Names"}),
            "spec.allowedNamespaces: allowedNamespaces from: Names must come with",
        ),
        (
            md(allowedNamespaces={"perNamespace": {}}),
            "spec.allowedNamespaces.perNamespace: perNamespace goes with from: All",
        ),
        (
            md(pool={"fallbacks": [{"model": "x"}]}),
            "spec.pool.fallbacks[0].model: model must not fall back to itself",
        ),
        (
            md(pool={"fallbacks": [{"model": "y", "causes": ["Bad"]}]}),
            "spec.pool.fallbacks[0].causes[0]: causes must be Error, RateLimited",
        ),
        (
            md(provider={"bedrock": {"model": "m", "region": "us-west-2.evil"}}),
            "spec.provider.bedrock.region: region must be",
        ),
        (
            md(provider={"vertexAI": {"model": "m", "project": "p/x", "location": "eu"}}),
            "spec.provider.vertexAI.project: project must be",
        ),
        (
            md(credentials={}),
            "spec.credentials: credentials must have exactly one of apiKeyRef and secretRef",
        ),
        (
            md(credentials={"secretRef": {"name": "a"}}),
            "spec.credentials.secretRef.key: key is required",
        ),
        (md(cooldown={"failures": 0}), "spec.cooldown.failures: failures must be 1 or more"),
        (None, "spec: spec is required: What the deployment is"),
        (1, "spec: spec must be a mapping"),
        (md(wieght=None), "spec.wieght: unknown field 'wieght'; did you mean 'weight'?"),
        (md(provider=None), "spec.provider: provider is required"),
        (
            md(pool={"fallbacks": [None]}),
            "spec.pool.fallbacks[0]: fallbacks must be a mapping",
        ),
    ],
)
def test_a_deployment_is_refused_with_what_to_write(spec: object, says: str) -> None:
    found = flaws("ModelDeployment", spec)
    assert [each[: len(says)] for each in found] == [says]


CLIENT = {"keyHash": "sha256:" + "0" * 64}


def key(**fields: object) -> dict[str, object]:
    return {"client": {**CLIENT, **fields}}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "spec: spec must have exactly one of upstream and client"),
        (
            {"client": {}},
            "spec.client: client must have exactly one of secretRef, generate and keyHash",
        ),
        ({"client": {"keyHash": "sk-secret"}}, 'spec.client.keyHash: keyHash must be "sha256:"'),
        (
            {"client": {"keyHash": "sha256:" + "A" * 64}},
            'spec.client.keyHash: keyHash must be "sha256:"',
        ),
        (key(models=[]), "spec.client.models: models must have at least 1 entries"),
        (key(models=["a b"]), "spec.client.models[0]: models must be public model names"),
        (key(models="a"), "spec.client.models: models must be a list"),
        (
            key(expiresAt="2027-06-30"),
            "spec.client.expiresAt: expiresAt must be a time with its zone",
        ),
        (
            key(expiresAt="2027-02-30T00:00:00Z"),
            "spec.client.expiresAt: expiresAt must be a time with its zone",
        ),
        (key(revoked=1), "spec.client.revoked: revoked must be true or false"),
        (key(budget={"amountUSD": "5"}), "spec.client.budget.period: period is required"),
        (
            key(budget={"amountUSD": 5, "period": "1d"}),
            "spec.client.budget.amountUSD: amountUSD must be a string: put",
        ),
        (
            key(budget={"amountUSD": "-5", "period": "1d"}),
            "spec.client.budget.amountUSD: amountUSD must be a decimal",
        ),
        (
            key(rotation={"requestedAt": "2027-06-30T00:00:00Z"}),
            "spec.client.rotation: rotation goes with generate",
        ),
        (
            key(tags={"a": "b,c"}),
            "spec.client.tags: tags must have a value of up to 256 characters",
        ),
        (key(tags={"a b": "c"}), "spec.client.tags: tags must have names of"),
        (
            {"upstream": {}},
            "spec.upstream: upstream must have exactly one of secretRef, aws and google",
        ),
        ({"upstream": {"aws": {}}}, "spec.upstream.aws: aws must have secretRef, roleARN, or both"),
        (
            {"upstream": {"aws": {"roleARN": "arn:aws:s3:::x"}}},
            "spec.upstream.aws.roleARN: roleARN must be the ARN",
        ),
        (
            {"upstream": {"aws": {"roleArn": "x"}}},
            "spec.upstream.aws.roleArn: unknown field 'roleArn'; did you mean 'roleARN'?",
        ),
        (
            {"upstream": {"aws": {"secretRef": {"name": "a"}, "sessionName": "abc"}}},
            "spec.upstream.aws.sessionName: sessionName goes with roleARN",
        ),
    ],
)
def test_a_key_is_refused_with_what_to_write(spec: object, says: str) -> None:
    found = flaws("ApiKey", spec)
    assert [each[: len(says)] for each in found] == [says]


def test_every_flaw_is_named_in_the_order_of_the_fields() -> None:
    found = flaws("ModelDeployment", md(weight=-1, retry={"attempts": 0}, color="red"))
    assert [each.partition(":")[0] for each in found] == [
        "spec.weight",
        "spec.retry.attempts",
        "spec.color",
    ]


def test_no_message_repeats_what_was_written() -> None:
    hidden = "sk-do-not-show-me"
    specs: list[tuple[str, Any]] = [
        ("ApiKey", {"client": {"keyHash": hidden}}),
        ("ApiKey", {"client": {"secretRef": hidden}}),
        ("ApiKey", {"upstream": hidden}),
        ("ModelDeployment", md(headers={"authorization": hidden})),
        ("ModelDeployment", md(headers={"x": hidden + "\n"})),
        ("ModelDeployment", md(weight=hidden, model=hidden + " ", timeouts={"idle": hidden})),
        ("ModelDeployment", via(baseURL=f"https://u:{hidden}@x.example")),
    ]
    for kind, spec in specs:
        found = validate(resource(kind, "x", spec))
        assert isinstance(found, Invalid)
        assert hidden not in repr(found) + repr(found.flaws)


def test_defaults_are_those_of_the_design() -> None:
    found = validate(deployment("x"))
    assert isinstance(found, ModelDeployment)
    assert found.public_model == "x"
    assert (found.spec.weight, found.spec.priority) == (1, 0)
    timeouts = found.spec.timeouts
    assert [timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total] == [
        "5s",
        "300s",
        "120s",
        "30m",
    ]
    assert (found.spec.retry.attempts, found.spec.retry.backoff) == (2, "200ms")
    assert (found.spec.unsupported_parameters, found.spec.unsupported_tools) == ("Reject", "Drop")
    assert found.spec.allowed_namespaces.source == "Same"
    key = validate(client("x"))
    assert isinstance(key, ApiKey)
    assert key.spec.client is not None
    assert key.spec.client.models == ("*",)


def test_a_null_is_as_if_the_field_were_left_out() -> None:
    spec = {
        **md(weight=None, timeouts=None, headers={"x": None}, retry={"attempts": None}),
        "parameters": {"overrides": {"user": None, "model": None}},
    }
    found = validate(resource("ModelDeployment", "x", spec))
    assert isinstance(found, ModelDeployment)
    assert (found.spec.weight, found.spec.retry.attempts) == (1, 2)
    assert found.spec.timeouts.connect == "5s"
    assert found.spec.headers == {}
    assert found.spec.parameters.overrides == {"user": None}, "a null takes a parameter away"


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"labels": {"a b": "c"}}, "metadata.labels: labels must have names such as"),
        ({"labels": {"a": "b c"}}, "metadata.labels: labels must have values of"),
        ({"labels": {"a": 5}}, "metadata.labels.a: a must be a string: put the value in quotes"),
        ({"annotations": {"a/b/c": ""}}, "metadata.annotations: annotations must have names"),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations: annotations must have less"),
        ({"label": {}}, "metadata.label: unknown field 'label'; did you mean 'labels'?"),
    ],
)
def test_metadata_is_judged_as_the_api_server_does(metadata: dict[str, Any], says: str) -> None:
    found = validate(with_metadata(metadata))
    assert isinstance(found, Invalid)
    flaw = found.flaws[0]
    assert f"{field_name(flaw.path)}: {flaw.message}".startswith(says)


def test_labels_and_annotations_are_taken() -> None:
    labels = {"app": "x", "example.com/team": "", "none": None}
    assert isinstance(validate(with_metadata({"labels": labels})), ModelDeployment)
    notes = {"Example.com/Note": "any\ntext", "a_b": None}
    assert isinstance(validate(with_metadata({"annotations": notes})), ModelDeployment)


def with_metadata(more: dict[str, Any]) -> Resource:
    plain = deployment("x")
    manifest = msgspec.json.decode(plain.manifest)
    manifest["metadata"].update(more)
    return Resource(plain.ref, msgspec.json.encode(manifest))


def test_a_prefix_may_send_the_rest_upstream() -> None:
    found = validate(
        openai("x", spec={"model": "openai/*", "provider": {"openai": {"model": "*"}}})
    )
    assert isinstance(found, ModelDeployment)


def fields_of(model: type[BaseModel]) -> list[tuple[str, str | None]]:
    schema = model.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.get("$defs", {})
    found: list[tuple[str, str | None]] = []
    for name, definition in [(model.__name__, schema), *definitions.items()]:
        for field, content in definition.get("properties", {}).items():
            # A field that says what its type says is left to the type.
            described = definitions.get(content.get("$ref", "").rpartition("/")[2], {})
            found.append((f"{name}.{field}", {**described, **content}.get("description")))
    return found


# Written by the API server or the operator; nobody asks `kubectl explain` about them here.
SERVERS_OWN = {"ObjectMeta"}


@pytest.mark.parametrize("model", [ModelDeployment, ApiKey])
def test_every_field_is_described_and_none_is_a_yaml_word(model: type[BaseModel]) -> None:
    for place, description in fields_of(model):
        owner, _, field = place.partition(".")
        if owner not in SERVERS_OWN:
            assert description, place
            assert description.endswith((".", "`.")), place
        assert field.lower() not in {"on", "off", "yes", "no", "y", "n", "true", "false", "null"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("200ms", 0.2), ("30m", 1800), ("1h30m", 5400), ("1.5s", 1.5), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.text(max_size=12))
def test_no_other_text_is_a_duration_or_a_time(text: str) -> None:
    for parse, refused in ((parse_duration, DurationError), (parse_timestamp, TimestampError)):
        try:
            value = parse(text)
        except refused:
            continue
        assert value >= 0


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "5S", "5d", "1h-30m", "\u0665s", "1" * 40 + "s"]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration(text)


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_is_the_same_in_every_zone(moment: datetime) -> None:
    offset = moment.utcoffset()
    if (
        offset is None
        or offset.microseconds
        or offset.seconds % 60
        or not 1970 < moment.year < 9999
    ):
        return
    assert parse_timestamp(moment.isoformat()) == int(moment.timestamp() // 1)
