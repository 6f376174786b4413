"""The manifests that the gateway under test serves, written as a user would write them."""

import hashlib
import os
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from bench.calls import EVENTS_PER_STREAM, Workload, client_key, upstream_prefix

# The eight events that frame one message are not text deltas.
_ECHO_CHUNKS = EVENTS_PER_STREAM - 8
_KEYS_PER_FILE = 100

# A key for those that take one, keys that sign, and a file by which Google's library asks the mock
# for a token, as it asks Google with a workload identity.
# The credential of a deployment in a cluster: made up, as all of them.
UPSTREAM_MANIFEST = """\
apiVersion: v1
kind: Secret
metadata: {name: upstream, labels: {sluicegate.dev/credential: "true"}}
stringData: {key: sk-upstream-0123456789abcdef}
"""

_CREDENTIALS = """\
apiVersion: v1
kind: Secret
metadata: {{name: upstream, labels: {{sluicegate.dev/credential: "true"}}}}
stringData:
  key: sk-upstream-0123456789abcdef
  aws_access_key_id: AKIDEXAMPLE
  aws_secret_access_key: wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY
  google.json: |
    {{"type": "external_account", "token_url": "http://127.0.0.1:{mock_port}/token",
     "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
     "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
     "credential_source": {{"file": "{subject_token}"}}}}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: aws}}
spec: {{upstream: {{aws: {{secretRef: {{name: upstream}}}}}}}}
---
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: google}}
spec: {{upstream: {{google: {{secretRef: {{name: upstream, key: google.json}}}}}}}}
"""

# Everything that a request can be charged for is on; no limit is ever reached.
_KEY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}}}
spec:
  client:
    keyHash: "sha256:{digest}"
    models: ["*"]
    tags: {{team: bench}}
{limits}"""

_LIMITS = """\
    limits:
      requestsPerMinute: 100000000
      tokensPerMinute: 1000000000
      maxParallelRequests: 10000
    budget: {amountUSD: "1000000.00", period: Month, onExceeded: Reject}
"""

_DEPLOYMENT = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  model: {name}
  provider:
    {provider}: {{{upstream}, baseURL: "http://127.0.0.1:{mock_port}{path}"}}
  credentials: {{{credentials}}}
  pricing: {{input: "2.00", cachedInput: "0.50", output: "8.00"}}
"""


_MEMBER = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  model: {model}
  provider:
    openai: {{model: gpt-4.1, baseURL: "http://127.0.0.1:{port}/v1"}}
  credentials: {{secretRef: {{name: upstream, key: key}}}}
  timeouts: {{firstByte: 500ms}}
  pool: {{strategy: {strategy}}}
"""


class _Provider(NamedTuple):
    """How a deployment of it looks."""

    upstream: str
    credentials: str = "secretRef: {name: upstream, key: key}"
    path: str = ""  # of the base URL, behind what the mock is told


_PROVIDERS = {
    "openai": _Provider("model: gpt-4.1", path="/v1"),
    "anthropic": _Provider("model: claude-sonnet-4-5"),
    "gemini": _Provider("model: gemini-2.5-flash"),
    "vertexAI": _Provider(
        "model: gemini-2.5-flash, project: bench, location: us-central1",
        "apiKeyRef: {name: google}",
    ),
    "bedrock": _Provider(
        'model: "anthropic.claude-3-sonnet-20240229-v1:0", region: us-west-2',
        "apiKeyRef: {name: aws}",
    ),
}

_ECHO = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  provider:
    echo: {{chunks: {chunks}, text: "{text}"}}
"""

_ECHO_TEXT = (
    "The gateway reads one snapshot per request, picks a deployment from the pool and writes what "
    "it answers to the client."
)


def model_of(workload: Workload) -> str:
    """The public model name that a workload asks for."""
    return "echo" if workload.is_echo else f"model-{workload.value}"


PROVIDERS = tuple(_PROVIDERS)  # of the further deployments, in turn


def deployment_name(number: int) -> str:
    """The model of one of many deployments."""
    return f"model-{number:05d}"


def write_folder(
    folder: Path, *, mock_port: int, deployments: int = 0, keys: int = 1, limited: bool = True
) -> None:
    """A folder for all workloads with further deployments and keys.

    Each deployment has a file of its own, as a team in Git would have it; the keys lie in files
    of a hundred. The further deployments are of all providers in turn. `limited`: the keys have
    limits and a budget.
    """
    folder.mkdir(parents=True)
    wanted = [
        (model_of(workload), workload.provider, upstream_prefix(workload))
        for workload in Workload
        if not workload.is_echo
    ]
    providers = cycle(_PROVIDERS)
    wanted += [(deployment_name(number), next(providers), "") for number in range(deployments)]
    for name, provider, prefix in wanted:
        text = _deployment(name, provider, mock_port, prefix)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    write_echo(folder, "echo", _ECHO_TEXT)
    subject_token = folder / ".google-subject-token"
    subject_token.write_text("a-token-of-the-cluster", encoding="utf-8")
    credentials = _CREDENTIALS.format(mock_port=mock_port, subject_token=subject_token)
    (folder / "upstream.yaml").write_text(credentials, encoding="utf-8")
    for first in range(0, keys, _KEYS_PER_FILE):
        numbers = range(first, min(keys, first + _KEYS_PER_FILE))
        texts = [_key(number, limited=limited) for number in numbers]
        (folder / f"keys-{first:05d}.yaml").write_text("---\n".join(texts), encoding="utf-8")


def write_pool(folder: Path, model: str, ports: Mapping[str, int], strategy: str) -> None:
    """A folder with one pool, whose deployments are named by what answers at which port."""
    folder.mkdir(parents=True)
    members = [
        _MEMBER.format(name=name, model=model, port=port, strategy=strategy)
        for name, port in ports.items()
    ]
    secret, _, _ = _CREDENTIALS.partition("---")
    texts = [secret.format(mock_port=0, subject_token=""), *members, _key(0)]
    (folder / "pool.yaml").write_text("---\n".join(texts), encoding="utf-8")


def write_echo(folder: Path, name: str, text: str) -> None:
    """An echo deployment in a file of its own, replaced atomically where it exists."""
    manifest = _ECHO.format(name=name, chunks=_ECHO_CHUNKS, text=text)
    # Not a manifest's name, so that a watcher never reads the half of it.
    unfinished = folder / f".{name}.yaml.tmp"
    unfinished.write_text(manifest, encoding="utf-8")
    os.replace(unfinished, folder / f"{name}.yaml")  # noqa: PTH105 - the atomic rename is the point


def _deployment(name: str, provider: str, mock_port: int, prefix: str) -> str:
    kind = _PROVIDERS[provider]
    return _DEPLOYMENT.format(
        name=name,
        provider=provider,
        upstream=kind.upstream,
        mock_port=mock_port,
        path=prefix + kind.path,
        credentials=kind.credentials,
    )


def _key(number: int, *, limited: bool = True) -> str:
    digest = hashlib.sha256(client_key(number).encode()).hexdigest()
    limits = _LIMITS if limited else ""
    return _KEY.format(name=f"key-{number:05d}", digest=digest, limits=limits)
