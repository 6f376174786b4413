"""How a running gateway's deployments are doing, by its admin port's /config."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from sluicegate.routing.attempts import Outcome
from sluicegate.routing.health import DeploymentState

_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_SECONDS = 10.0
_MOST_BYTES = 256 * 1024 * 1024


class NoAnswer(Exception):
    """The admin port could not be asked. The message says why."""


class DeploymentHealth(msgspec.Struct, frozen=True):
    """One deployment, as server/deployments.py describes it. Times are in seconds."""

    name: str
    state: str = "ok"
    in_flight: int = 0
    failures: int = 0
    seconds_to_output: float | None = None
    seconds_to_answer: float | None = None
    cause: str | None = None
    seconds_left: float = 0.0

    def put_into(self, state: DeploymentState, now: float) -> None:
        """Make `state` say the same, `now` being its clock's time."""
        state.in_flight = self.in_flight
        state.failures = self.failures
        if self.state != "ok":
            state.out = True
            state.until = now + self.seconds_left
            state.probing = self.state == "probing"
            if self.cause in _OUTCOMES:
                state.cause = Outcome(self.cause)
        for latency, seconds in (
            (state.streamed, self.seconds_to_output),
            (state.whole, self.seconds_to_answer),
        ):
            if seconds is not None:
                latency.seconds, latency.measured_at = seconds, now


class _PoolHealth(msgspec.Struct, frozen=True):
    model: str
    namespace: str
    deployments: tuple[DeploymentHealth, ...] = ()
    unavailable: tuple[str, ...] = ()


class _Config(msgspec.Struct, frozen=True):
    revision: str
    models: tuple[_PoolHealth, ...]


class GatewayHealth(msgspec.Struct, frozen=True):
    """All of a gateway's deployments. Both mappings are by namespace/name."""

    revision: str
    deployments: Mapping[str, DeploymentHealth]
    unavailable: Mapping[str, str]


def read(body: bytes) -> GatewayHealth:
    """What /config says. Raises NoAnswer where it is no /config."""
    try:
        config = msgspec.json.decode(body, type=_Config)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"it is no gateway's /config: {error}") from error
    return GatewayHealth(
        config.revision,
        {each.name: each for pool in config.models for each in pool.deployments},
        {_label(reason): reason for pool in config.models for reason in pool.unavailable},
    )


def fetch(url: str) -> GatewayHealth:
    """Ask an admin port, such as http://127.0.0.1:4001. Raises NoAnswer."""
    try:
        parts = urlsplit(url)
        connect = _CONNECTIONS.get(parts.scheme)
        if connect is None or not parts.hostname:
            raise NoAnswer("expected a URL such as http://127.0.0.1:4001")
        connection = connect(parts.hostname, parts.port, timeout=_SECONDS)
        try:
            path = parts.path.rstrip("/").removesuffix("/config") + "/config"
            connection.request("GET", path, headers={"accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    if answer.status != http.client.OK:
        raise NoAnswer(f"it answered with status {answer.status}")
    return read(body)


_CONNECTIONS: Mapping[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


def _label(reason: str) -> str:
    """Whom a reason is about: it begins with namespace/name."""
    return reason.split(" ", 1)[0].rstrip(":")
