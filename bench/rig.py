"""The rig of one run: the mock, the targets on their cores, and what was measured so far."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench import targets, tools
from bench.calls import Call, Workload
from bench.options import ROOT, Options, gateway_command
from bench.peers import PEERS
from bench.peers.contract import Peer
from bench.peers.sluicegate import Sluicegate
from bench.processes import BenchError, Processes
from bench.samples import Sample
from bench.targets import Target


class Rig:
    """Starts and holds everything; used from one thread."""

    def __init__(self, options: Options, processes: Processes, folder: Path) -> None:
        self.options = options
        self.processes = processes
        self.folder = folder
        self._cache = tools.Cache(options.cache)
        self.load = self._cache.program("load")
        self.wrk = tools.debian("wrk", "wrk")
        self.direct = targets.start_mock(processes, self._cache, folder)
        self.gateway = Sluicegate(
            gateway_command(options.gateway),
            version="another command" if options.gateway else _revision(),
        )
        self.targets: list[Target] = []
        self.versions: dict[str, str] = {self.gateway.name: self.gateway.version}
        self.samples: list[Sample] = []
        self.latencies: dict[str, list[list[int]]] = {}

    def start_all(self, *, with_peers: bool) -> None:
        """Starts the gateway and the peers, and checks that each answers as it should."""
        names = self.options.peers if with_peers else ()
        peers: list[Peer] = [PEERS[name](self._cache) for name in names]
        self.targets = [self.direct]
        for peer in (self.gateway, *peers):
            self.rest()
            target = self.launch(peer)
            self.targets.append(target)
            self.versions[peer.name] = peer.version
            ready = {"ready_s": target.start_seconds, "rss_mb": target.server.rss_mb()}
            self.record("start", peer.name, 0, ready)
        self.targets = [self._qualified(target) for target in self.targets]

    def _qualified(self, target: Target) -> Target:
        """The target with the workloads that it serves rightly.

        This checkout's gateway has to serve them all.
        """
        self.turn(target)
        calls: dict[Workload, Call] = {}
        for workload, call in target.calls.items():
            try:
                targets.qualify(target, workload)
            except BenchError as error:
                if target.name == self.gateway.name and self.options.gateway is None:
                    raise
                tools.say(f"left out: {error}")
            else:
                calls[workload] = call
        return replace(target, calls=calls)

    def launch(self, peer: Peer, *, name: str | None = None) -> Target:
        """Starts a server beside those of start_all."""
        return targets.start(self.processes, peer, self.direct.port, self.folder, name=name)

    def upstream(self, name: str, *options: str) -> Target:
        """Starts another mock."""
        return targets.start_mock(
            self.processes, self._cache, self.folder, name=name, options=options
        )

    def stop(self, target: Target) -> None:
        """Ends a target before the run's end."""
        self.processes.end(target.server)

    def turn(self, target: Target) -> None:
        """Lets one target run and pauses the others, so that they don't share its core."""
        for other in self.targets:
            if other.server not in (target.server, self.direct.server):
                other.server.pause()
        target.server.resume()
        target.server.check_alive()

    def rest(self) -> None:
        """Pauses every target, for scenarios that start servers of their own."""
        for target in self.targets:
            if target.server is not self.direct.server:
                target.server.pause()

    def record(self, scenario: str, target: str, round_: int, values: Mapping[str, float]) -> None:
        """Keeps a sample and shows it."""
        self.samples.append(Sample(scenario, target, round_, values))
        shown = "  ".join(f"{name} {value:,.4g}" for name, value in values.items())
        print(f"  {scenario} {round_ + 1} {target:<11} {shown}", flush=True)


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
