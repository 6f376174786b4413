"""Starting the servers of a run, and making sure that they do what is asked of them."""

import http.client
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import tools
from bench.calls import EVENTS_PER_STREAM, Call, Workload
from bench.peers import direct
from bench.peers.contract import Peer, Site
from bench.processes import BenchError, Processes, Server

_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A running server that can be measured."""

    name: str
    server: Server
    port: int
    site: Site
    calls: Mapping[Workload, Call]
    start_seconds: float

    def can(self, workload: Workload) -> bool:
        """Whether the target knows how to serve the workload."""
        return workload in self.calls

    def metrics(self, beginning: str) -> list[float]:
        """The values of its samples whose lines begin like that, from Sluicegate's admin port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.admin_port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return [float(line.split()[-1]) for line in lines if line.startswith(beginning)]


def start_mock(
    processes: Processes,
    cache: tools.Cache,
    folder: Path,
    *,
    name: str = "mock",
    options: tuple[str, ...] = (),
) -> Target:
    """The upstream, itself the target `direct`."""
    port = free_port()
    program = str(cache.program("mock"))
    argv = [program, "-listen", f"127.0.0.1:{port}", *options]
    begin = time.monotonic()
    server = processes.start(name, argv, core=processes.placement.load)
    _wait_for_port(server, port, begin + 10)
    calls = {workload: call for workload in Workload if (call := direct.call(workload))}
    site = Site(folder, port, port, port)
    return Target(direct.NAME, server, port, site, calls, time.monotonic() - begin)


def start(
    processes: Processes, peer: Peer, mock_port: int, folder: Path, *, name: str | None = None
) -> Target:
    """Starts a server on the measured core and waits until it is ready."""
    own = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=folder))
    site = Site(own, free_port(), free_port(), mock_port)
    launch = peer.launch(site)
    begin = time.monotonic()
    server = processes.start(
        name or peer.name,
        launch.argv,
        core=processes.placement.target,
        env=launch.env,
        cwd=launch.cwd,
    )
    end = begin + launch.start_seconds
    wait_for_200(server, launch.ready_port, launch.ready_path, end)
    # Ready is who also takes requests, whatever its other port says.
    _wait_for_port(server, site.port, end)
    took = time.monotonic() - begin
    calls = {workload: call for workload in Workload if (call := peer.call(workload, site))}
    return Target(name or peer.name, server, site.port, site, calls, took)


def qualify(target: Target, workload: Workload, call: Call | None = None) -> None:
    """Checks one answer, because an error page is served faster than an answer.

    Raises BenchError when the answer isn't what the workload asks for. `call` in place of the
    target's own.
    """
    call = call or target.calls[workload]
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    try:
        connection.request("POST", call.path, call.body.encode(), dict(call.headers))
        response = connection.getresponse()
        body = response.read().decode()
    except OSError as error:
        raise BenchError(f"{target.name} doesn't answer {workload.value}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise BenchError(f"{target.name}, {workload.value}: {response.status} {body[:500]}")
    if workload.streams:
        events = sum(line.startswith("data: {") for line in body.splitlines())
        good = events == EVENTS_PER_STREAM and '"response.completed"' in body
        seen = f"{events} events"
    else:
        good = '"status":"completed"' in body.replace(" ", "") and '"usage"' in body
        seen = body
    if not good:
        raise BenchError(f"{target.name}, {workload.value}: not the expected answer: {seen[:500]}")


def free_port() -> int:
    """A TCP port of the loopback address that nobody uses just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for_port(server: Server, port: int, end: float) -> None:
    while time.monotonic() < end:
        server.check_alive()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(_POLL_SECONDS)
    raise BenchError(f"{server.log.stem} doesn't listen")


def wait_for_200(server: Server, port: int, path: str, end: float) -> None:
    """Returns when it answers so; raises BenchError when it doesn't until `end` (monotonic)."""
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
    while time.monotonic() < end:
        server.check_alive()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(5)
            sock.sendall(request)
            if sock.recv(64).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(_POLL_SECONDS)
    raise BenchError(f"{server.log.stem} is not ready in time; its log is {server.log}")
