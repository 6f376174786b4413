"""The manifests that the gateway under test serves, written as a user would write them."""

import hashlib
import os
from pathlib import Path

from bench.calls import EVENTS_PER_STREAM, Workload, client_key, upstream_prefix

# The eight events that frame one message are not text deltas.
_ECHO_CHUNKS = EVENTS_PER_STREAM - 8
_KEYS_PER_FILE = 100

_UPSTREAM_KEY = """\
apiVersion: v1
kind: Secret
metadata: {name: upstream, labels: {sluicegate.dev/credential: "true"}}
stringData: {key: sk-upstream-0123456789abcdef}
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
    limits:
      requestsPerMinute: 100000000
      tokensPerMinute: 1000000000
      maxParallelRequests: 10000
    budget: {{amountUSD: "1000000.00", period: Month, onExceeded: Reject}}
    tags: {{team: bench}}
"""

_OPENAI = """\
apiVersion: sluicegate.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: {name}}}
spec:
  model: {name}
  provider:
    openai: {{model: gpt-4.1, baseURL: "http://127.0.0.1:{mock_port}{prefix}/v1"}}
  credentials:
    secretRef: {{name: upstream, key: key}}
  pricing: {{input: "2.00", cachedInput: "0.50", output: "8.00"}}
"""

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
    return "echo" if workload.is_echo else f"gpt-{workload.value}"


def deployment_name(number: int) -> str:
    """The model of one of many deployments."""
    return f"gpt-{number:05d}"


def write_folder(folder: Path, *, mock_port: int, deployments: int = 0, keys: int = 1) -> None:
    """A folder for all workloads with further deployments and keys.

    Each deployment has a file of its own, as a team in Git would have it; the keys lie in files
    of a hundred.
    """
    folder.mkdir(parents=True)
    openai = [
        (model_of(workload), upstream_prefix(workload))
        for workload in Workload
        if not workload.is_echo
    ]
    openai += [(deployment_name(number), "") for number in range(deployments)]
    for name, prefix in openai:
        text = _OPENAI.format(name=name, mock_port=mock_port, prefix=prefix)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    write_echo(folder, "echo", _ECHO_TEXT)
    (folder / "upstream.yaml").write_text(_UPSTREAM_KEY, encoding="utf-8")
    for first in range(0, keys, _KEYS_PER_FILE):
        texts = [_key(number) for number in range(first, min(keys, first + _KEYS_PER_FILE))]
        (folder / f"keys-{first:05d}.yaml").write_text("---\n".join(texts), encoding="utf-8")


def write_echo(folder: Path, name: str, text: str) -> None:
    """An echo deployment in a file of its own, replaced atomically where it exists."""
    manifest = _ECHO.format(name=name, chunks=_ECHO_CHUNKS, text=text)
    # Not a manifest's name, so that a watcher never reads the half of it.
    unfinished = folder / f".{name}.yaml.tmp"
    unfinished.write_text(manifest, encoding="utf-8")
    os.replace(unfinished, folder / f"{name}.yaml")  # noqa: PTH105 - the atomic rename is the point


def _key(number: int) -> str:
    digest = hashlib.sha256(client_key(number).encode()).hexdigest()
    return _KEY.format(name=f"key-{number:05d}", digest=digest)
