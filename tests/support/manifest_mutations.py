"""Valid objects, and small changes to them that may or may not leave them valid.

A change is drawn from a seeded generator, so a number names it. What is drawn leans to the edges:
of bounds, of patterns, of what YAML and JSON can say, and of every spelling of an address.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
Manifest: TypeAlias = dict[str, Any]

_HASH = "sha256:" + "0a" * 32
_DEPLOYMENT: Manifest = {
    "model": "openai/*",
    "provider": {
        "openai": {
            "model": "*",
            "baseURL": "https://api.example.com:8443/v1",
            "auth": "ApiKey",
            "organization": "org-1",
            "project": "proj_1",
            "api": "ChatCompletions",
        }
    },
    "credentials": {"secretRef": {"name": "openai", "key": "api-key"}},
    "weight": 3,
    "priority": -1,
    "limits": {"requestsPerMinute": 1, "tokensPerMinute": 1_000_000_000},
    "timeouts": {"connect": "1ms", "firstByte": "24h", "idle": "1h30m", "total": "1.5s"},
    "retry": {"attempts": 10, "backoff": "10m"},
    "cooldown": {"failures": 1000, "duration": "0.001s"},
    "headers": {"X-Team": "a b", "x-empty": ""},
    "parameters": {
        "defaults": {"temperature": 0.5, "metadata": {"a": None}},
        "overrides": {"user": None},
    },
    "modelInfo": {"contextWindow": 128_000, "maxOutputTokens": 1, "reasoning": "Budget"},
    "unsupportedParameters": "Drop",
    "unsupportedTools": "Reject",
    "pricing": {
        "input": "3.00",
        "cachedInput": "0",
        "cacheWrite": "0.000000001",
        "output": "999999999.999999999",
        "reasoning": "1",
    },
    "allowedNamespaces": {
        "from": "Names",
        "names": ["a", "team-1"],
        "perNamespace": {
            "limits": {"maxParallelRequests": 8},
            "budget": {"amountUSD": "1.5", "period": "7d", "onExceeded": "Warn"},
        },
    },
    "pool": {
        "strategy": "LowestCost",
        "fallbacks": [
            {"model": "gpt-small", "causes": ["Error", "Timeout"]},
            {"model": "x@other"},
        ],
        "affinity": "EndUser",
    },
    "suspended": True,
}
_PROVIDERS: tuple[Manifest, ...] = (
    {"anthropic": {"model": "c", "baseURL": "http://[2001:db8::1]:80/", "version": "2023-06-01"}},
    {"anthropic": {"model": "c", "betas": ["a-1", "b_2"]}},
    {"gemini": {"model": "g", "baseURL": "http://10.0.0.1"}},
    {"vertexAI": {"model": "g", "project": "p-1", "location": "us-central1"}},
    {"vertexAI": {"model": "c", "project": "x.y:z", "location": "eu", "publisher": "anthropic"}},
    {"bedrock": {"model": "arn:aws:bedrock:x/y.z-v1:0", "region": "us-west-2"}},
    {"echo": {"delay": "10ms", "chunkDelay": "0s", "chunks": 3, "text": "hé"}},
    {"echo": {}},
)
_CLIENT: Manifest = {
    "generate": {"secretName": "team-key"},
    "models": ["claude-*", "*"],
    "expiresAt": "2027-06-30T00:00:00Z",
    "revoked": False,
    "limits": {"requestsPerMinute": 120, "maxParallelRequests": 1},
    "budget": {"amountUSD": "250.00", "period": "Month", "onExceeded": "Reject"},
    "endUsers": {
        "limits": {"requestsPerMinute": 20},
        "budget": {"amountUSD": "1.00", "period": "1d"},
        "required": True,
    },
    "tags": {"team": "search", "cost/center": ""},
    "rotation": {"requestedAt": "2027-01-31T23:59:59.5+05:30", "overlap": "36h"},
}
_KEYS: tuple[Manifest, ...] = (
    {"client": _CLIENT},
    {"client": {"keyHash": _HASH}},
    {"client": {"secretRef": {"name": "a.b", "key": "K_1"}, "tags": {}}},
    {"upstream": {"secretRef": {"name": "a", "key": "k"}}},
    {"upstream": {"google": {"secretRef": {"name": "a", "key": "k.json"}}}},
    {
        "upstream": {
            "aws": {
                "secretRef": {"name": "aws"},
                "roleARN": "arn:aws:iam::123456789012:role/path/name",
                "sessionName": "s-1",
            }
        }
    },
)

_OCTETS = ("0", "1", "01", "10", "100", "127", "168", "169", "192", "200", "224", "254", "255")
_GROUPS = ("", "0", "0000", "1", "64", "0064", "a9fe", "A9FE", "ffff", "ff9b", "fe80", "FEBF")
_MORE_GROUPS = ("fd00", "0ec2", "ec2", "254", "fd20", "ce", "2002", "ff02", "fec0", "12345", "g")
_HOSTS = (
    "metadata.google.internal",
    "METADATA.goog.",
    "metadata",
    "instance-data.ec2.internal",
    "metadata.example",
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.1",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.254.0xa9.0376",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "255.255.255.255",
    "0.0.0.0",
    "[::ffff:169.254.169.254]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[fe80::1%25eth0]",
    "[1:2:3:4:5:6:7::]",
    "[::2:3:4:5:6:7:8]",
    "[1:2:3:4:5:6:7:8:9]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "a..b",
    "a.",
    "-a",
    "a-",
    "_a",
    "a_b",
    "x.0x",
    "x.0x1",
    "x.1",
    "1.x",
    "ü.example",
    "\u2460.example",
    "user@host",
    "",
    "a" * 253,
    "a" * 254,
)
_TEXTS = (
    "",
    " ",
    "x",
    "X",
    "*",
    "a*",
    "*a",
    "x-a",
    "a.b",
    "a..b",
    ".a",
    "a.",
    "a/b",
    "a@b",
    "a b",
    "a\n",
    "\na",
    "a\tb",
    "a\u0000",
    "a\u00a0",
    "\u0661",
    "é",
    "\U0001f600",
    "e\u0301",
    "null",
    "true",
    "on",
    "5",
    "5.0",
    "-5",
    "+5",
    "1e3",
    "5s",
    "5S",
    "0s",
    "5ms",
    "0.5ms",
    "0.0005ms",
    "5us",
    "5m5s",
    "5s5m",
    "5d",
    "1.5h",
    "24h1ms",
    "23h59m60s",
    "10m1ms",
    "9999999h",
    "999999999h",
    "1s" * 16,
    "1s" * 17,
    "2027-06-30T00:00:00Z",
    "2027-06-30t00:00:00z",
    "2027-02-29T00:00:00Z",
    "2028-02-29T00:00:00Z",
    "2027-06-30T24:00:00Z",
    "2027-06-30T23:59:60Z",
    "2027-06-30T00:00:00+24:00",
    "2027-06-30T00:00:00-23:59",
    "2027-06-30T00:00:00.1234567891Z",
    "0999-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "2027-06-30",
    "2027-13-01T00:00:00Z",
    _HASH,
    _HASH.upper(),
    "us-west-2",
    "us-gov-west-1",
    "us-west-2.evil",
    "1",
    "0.0000001",
    "1234567890",
    "a" * 63,
    "a" * 64,
    "a" * 128,
    "a" * 129,
    "a" * 253,
    "a" * 254,
    "é" * 129,
    "a" * 4097,
    "a" * 65_537,
    "\U0001f600" * 256,
    "Authorization",
    "Bearer",
    "Reject",
    "Month",
    "sk-sg",
    "arn:aws-cn:iam::123456789012:role/x",
    "gpt-small@default",
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    10,
    11,
    1000,
    1001,
    -1001,
    10_001,
    1_000_001,
    1_000_000_000,
    1_000_000_001,
    2**31,
    2**63 - 1,
    2**63,
    10**30,
    1.0,
    1.5,
    -0.0,
    1e3,
    1e300,
    [],
    {},
    [None],
    ["x"],
    [1],
    ["x", "x"],
    {"x": "y"},
    {"x": None},
    {"name": "x"},
    {"name": "x", "key": "y"},
    [{"model": "y"}],
)
_NAMES = (
    "x",
    "model",
    "Model",
    "stream",
    "input",
    "store",
    "user",
    "from",
    "secretRef",
    "secretref",
    "Authorization",
    "x-API-key",
    "HOST",
    "te",
    "X-Team",
    "x-team",
    "a b",
    "a\n",
    "é",
    "",
    "a" * 63,
    "a" * 64,
    "a" * 128,
    "a" * 129,
    "-a",
    "a/b",
    "openai",
    "echo",
    "causes",
    "weight",
)
_PARAMETERS = ("model", "stream", "input", "store", "background", "previous_response_id", "user")


def valid_objects() -> list[Manifest]:
    """Objects that use every field, each union's every member, and many an edge."""
    rest = {**_DEPLOYMENT, "model": "some/name"}
    specs: list[tuple[str, Manifest]] = [
        ("ModelDeployment", _DEPLOYMENT),
        *(("ModelDeployment", {**rest, "provider": provider}) for provider in _PROVIDERS),
        *(("ModelDeployment", {"provider": provider}) for provider in _PROVIDERS),
        (
            "ModelDeployment",
            {"provider": {"echo": {}}, "credentials": {"apiKeyRef": {"name": "a"}}},
        ),
        *(("ApiKey", spec) for spec in _KEYS),
    ]
    return [
        {
            "apiVersion": "sluicegate.dev/v1alpha1",
            "kind": kind,
            "metadata": {
                "name": "x",
                "labels": {"app": "x", "example.com/team": ""},
                "annotations": {"Note": "any\ntext"},
            },
            "spec": copy.deepcopy(spec),
        }
        for kind, spec in specs
    ]


def mutation(number: int) -> Manifest:
    """The changed object of this number."""
    draw = random.Random(number)
    changed = draw.choice(valid_objects())
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        _change(changed, draw)
    return changed


def _change(manifest: Manifest, draw: random.Random) -> None:
    places = list(_places(manifest, ()))
    if not places:  # an earlier change took the spec away
        return
    base_urls = [path for path in places if path[-1] == "baseURL"]
    parameters = [path for path in places if path[-2:-1] == ("parameters",)]
    if parameters and draw.random() < 0.05:
        _set(manifest, draw.choice(parameters), {draw.choice(_PARAMETERS): _drawn(_VALUES, draw)})
        return
    if base_urls and draw.random() < 0.2:
        _set(manifest, draw.choice(base_urls), _base_url(draw))
        return
    path = draw.choice(places)
    value = _get(manifest, path)
    kind = draw.randrange(7)
    if kind == 0:
        _delete(manifest, path)
    elif kind == 1 and isinstance(value, str):
        _set(manifest, path, _edited(value, draw))
    elif kind in {2, 3} and isinstance(value, dict):
        value[draw.choice(_NAMES)] = _drawn((*_VALUES, *_TEXTS), draw)
    elif kind in {2, 3} and isinstance(value, list):
        _grow(cast("list[Any]", value), draw)
    elif kind == 4:
        _set(manifest, path, copy.deepcopy(_get(manifest, draw.choice(places))))
    elif isinstance(value, str):
        _set(manifest, path, draw.choice(_TEXTS))
    else:
        _set(manifest, path, _drawn(_VALUES, draw))


def _drawn(values: Sequence[Any], draw: random.Random) -> Any:  # noqa: ANN401 -- any JSON
    """A copy: what is drawn may be changed again."""
    return copy.deepcopy(draw.choice(values))


def _grow(value: list[Any], draw: random.Random) -> None:
    item = copy.deepcopy(draw.choice(value or ["x"]))
    value.extend(copy.deepcopy(item) for _ in range(draw.choice((1, 3, 4, 14, 15, 16, 255, 256))))


def _edited(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text) + 1)
    piece = draw.choice((*_TEXTS[:24], text, text[at:], "\n", ".", "-", "/", "0"))
    return text[:at] + piece + text[at + draw.randrange(2) :]


def _base_url(draw: random.Random) -> str:
    shape = draw.randrange(4)
    if shape == 0:
        host = ".".join(draw.choice(_OCTETS) for _ in range(draw.choice((3, 4, 4, 4, 5))))
    elif shape == 1:
        groups = draw.choices((*_GROUPS, *_MORE_GROUPS), k=draw.choice((2, 3, 4, 5, 7, 8, 9)))
        host = f"[{':'.join(groups)}{draw.choice(('', '::', '::1', ':1.2.3.4'))}]"
    else:
        host = draw.choice(_HOSTS)
    scheme = draw.choice(("http://", "https://", "https://", "HTTPS://", "ftp://", "http:/", ""))
    port = draw.choice(("", "", ":80", ":0", ":65535", ":65536", ":080", ":99999", ":", ":a"))
    path = draw.choice(
        ("", "/", "/v1", "/v1/", "/a/../b", "/..", "/.", "/a.b", "/%2e", "/?a", "//")
    )
    return scheme + host + port + path


def _places(value: object, path: Path) -> Iterator[Path]:
    """Every place that a change may touch: the spec, labels, annotations, and all below."""
    if path[:1] == ("spec",) or path[:2] in {("metadata", "labels"), ("metadata", "annotations")}:
        yield path
    if isinstance(value, dict):
        for name, each in cast("Manifest", value).items():
            if path or name in {"spec", "metadata"}:
                yield from _places(each, (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(cast("list[object]", value)):
            yield from _places(each, (*path, index))


def _get(manifest: Manifest, path: Path) -> Any:  # noqa: ANN401 -- any JSON
    value: Any = manifest
    for part in path:
        value = value[part]
    return value


def _set(manifest: Manifest, path: Path, to: object) -> None:
    _get(manifest, path[:-1])[path[-1]] = to


def _delete(manifest: Manifest, path: Path) -> None:
    del _get(manifest, path[:-1])[path[-1]]
