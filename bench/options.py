"""What a run shall do: the command line of `python -m bench`."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.calls import Workload

ROOT = Path(__file__).parent.parent
SCENARIOS = (
    *("passthrough", "streams", "echo", "translated", "accounting"),
    *("latency", "reload", "faults", "memory", "startup", "cluster"),
)
PEER_NAMES = ("envoy", "litellm", "nginx", "portkey")

_EPILOG = """\
scenarios: passthrough (JSON answers), streams (28 events each), echo (no upstream), translated
(other providers beside passthrough), accounting (with limits and ledger, and without), latency
(added at a fixed rate), reload (the same during 10 config changes/s), faults (one of two upstreams
fails), memory (RSS over 100,000 requests), startup (until ready), cluster (three gateways, an
operator and a real API server: from an apply to the first answers by it).
docs/performance.md says how each number comes about.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    only: tuple[str, ...]
    peers: tuple[str, ...]
    duration: float  # seconds of each measurement
    warm_up: float  # seconds of load before it, which aren't measured
    tries: int  # a measurement that other processes disturb is made so many times at most
    rounds: int
    connections: int
    rate: float  # requests per second of the open loop; a tenth of it for streams
    memory_requests: int
    deployments: int  # of the large configuration
    keys: int
    changes: int  # in a cluster
    gateway: tuple[str, ...] | None  # a command in place of this checkout's gateway
    pinned: bool
    niceness: int
    label: str
    results: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """One profile of the gateway under load."""

    workload: Workload
    seconds: float
    connections: int
    tool: str  # py-spy or cprofile
    native: bool
    top: int
    output: Path
    gateway: tuple[str, ...] | None
    cache: Path


def parse(argv: Sequence[str]) -> Options | ProfileOptions:
    """Reads the command line; ends the program with a message when it is wrong."""
    if argv and argv[0] == "profile":
        return _parse_profile(argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the gateway beside its peers. `profile` instead shows where its time "
        "goes (`python -m bench profile --help`).",
        epilog=_EPILOG,
    )
    parser.add_argument("--only", type=_listed(SCENARIOS), default=SCENARIOS, metavar="A,B")
    parser.add_argument(
        "--peers", type=_listed(PEER_NAMES), default=("envoy", "litellm"), metavar="A,B"
    )
    parser.add_argument("--duration", type=float, default=5.0, help="seconds of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--tries", type=int, default=3, help="of a measurement that other processes disturb"
    )
    parser.add_argument("--rate", type=float, default=500.0, help="requests/s of the open loop")
    parser.add_argument("--quick", action="store_true", help="a smoke test of under a minute")
    parser.add_argument("--unpinned", action="store_true", help="leave the cores to the scheduler")
    parser.add_argument(
        "--nice", type=int, default=0, help="below 0 (root): other processes come second"
    )
    parser.add_argument("--label", default=datetime.now(UTC).strftime("%Y%m%d-%H%M%S"))
    _add_gateway(parser)
    given = parser.parse_args(argv)
    quick = bool(given.quick)
    return Options(
        only=tuple(name for name in SCENARIOS if name in given.only),
        peers=("envoy",) if quick and given.peers == ("envoy", "litellm") else given.peers,
        duration=1.0 if quick else given.duration,
        warm_up=0.0 if quick else 1.0,
        tries=1 if quick else given.tries,
        rounds=1 if quick else given.rounds,
        connections=given.connections,
        rate=given.rate,
        memory_requests=10_000 if quick else 100_000,
        deployments=100 if quick else 1_000,
        keys=1_000 if quick else 10_000,
        changes=20 if quick else 200,
        gateway=_command(given.gateway),
        pinned=not given.unpinned,
        niceness=given.nice,
        label=given.label,
        results=ROOT / "bench" / "results" / given.label,
        cache=given.cache,
    )


def _parse_profile(argv: Sequence[str]) -> ProfileOptions:
    parser = argparse.ArgumentParser(
        prog="python -m bench profile",
        description="Runs the gateway under load and prints the functions that take its time.",
    )
    parser.add_argument("--workload", type=Workload, choices=list(Workload), default=Workload.JSON)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--tool", choices=("py-spy", "cprofile"), default="py-spy")
    parser.add_argument("--native", action="store_true", help="py-spy: frames of C code too")
    parser.add_argument("--top", type=int, default=30, help="functions to print")
    _add_gateway(parser)
    given = parser.parse_args(argv)
    return ProfileOptions(
        workload=given.workload,
        seconds=given.seconds,
        connections=given.connections,
        tool=given.tool,
        native=given.native,
        top=given.top,
        output=ROOT / "bench" / "results" / "profile",
        gateway=_command(given.gateway),
        cache=given.cache,
    )


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway", help="another checkout's command instead of this one's, to compare two"
    )
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "bench")


def _command(text: str | None) -> tuple[str, ...] | None:
    return tuple(shlex.split(text)) if text else None


def gateway_command(given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The gateway's command: the one given, else that of this interpreter's environment."""
    return given or (str(Path(sys.executable).parent / "sluicegate"),)


def _listed(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A reader of `a,b` where each word is one of the known ones."""

    def read(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return words

    return read
