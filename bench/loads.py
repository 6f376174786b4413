"""The two load generators: wrk for how much, our own open loop for how long.

Everything here but the functions `run_`, `begin_` and `end_` is pure.
"""

from pathlib import Path

import msgspec

from bench.calls import Call
from bench.processes import BenchError, Processes, Server

# The line that the script below prints; wrk's own text is for people.
_MARK = "bench-result "

_SCRIPT = """\
wrk.method = "POST"
{headers}
wrk.body = {body}

done = function(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '\\n{mark}{{"requests":%d,"seconds":%.6f,"errors":%d,"p50_us":%.1f,"p99_us":%.1f}}\\n',
        summary.requests, summary.duration / 1e6,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
"""


class WrkResult(msgspec.Struct, frozen=True):
    """What wrk counted. Its latencies are of a closed loop: good for comparing, not for users."""

    requests: int
    seconds: float
    errors: int  # refused, cut, timed out, or a status of 400 and above
    p50_us: float
    p99_us: float


class OpenLoopResult(msgspec.Struct, frozen=True):
    """What bench/load reports, see there. Times in microseconds, one for each good request.

    `first_seen`: by each value of a header, the Unix time of the first answer that had it.
    """

    requests: int
    errors: int
    first_errors: list[str]
    seconds: float
    late_us: list[int]
    latency_us: list[int]
    first_byte_us: list[int]
    first_mark_us: list[int]
    first_seen: dict[str, int] = {}


def lua_string(text: str) -> str:
    """A Lua literal of any text."""
    escaped = text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return '"' + "".join(_lua_byte(byte) for byte in escaped) + '"'


def _lua_byte(byte: int) -> str:
    printable = 0x20 <= byte < 0x7F
    return chr(byte) if printable else f"\\{byte:03d}"


def wrk_script(call: Call) -> str:
    """The script by which wrk sends a call and reports in one line of JSON."""
    headers = "\n".join(
        f"wrk.headers[{lua_string(name)}] = {lua_string(value)}"
        for name, value in call.headers.items()
    )
    return _SCRIPT.format(headers=headers, body=lua_string(call.body), mark=_MARK)


def parse_wrk(output: str) -> WrkResult:
    """The result in what wrk printed; raises BenchError when there is none."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            return msgspec.json.decode(line.removeprefix(_MARK), type=WrkResult)
    raise BenchError(f"wrk printed no result:\n{output.strip()}")


def run_wrk(
    processes: Processes,
    wrk: str,
    port: int,
    call: Call,
    *,
    script: Path,
    seconds: float,
    connections: int,
) -> tuple[WrkResult, float]:
    """Sends one call over and over with one thread; also answers the CPU seconds that wrk took."""
    script.write_text(wrk_script(call), encoding="utf-8")
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
    argv = [wrk, *options, "-s", str(script), f"http://127.0.0.1:{port}{call.path}"]
    outcome = processes.run(argv, timeout=seconds + 90)
    return parse_wrk(outcome.stdout), outcome.cpu_seconds


def run_load(
    processes: Processes,
    load: Path,
    port: int,
    calls: list[Call],
    *,
    listing: Path,
    requests: int,
    connections: int,
    rate: float = 0,
    mark: str = "",
) -> tuple[OpenLoopResult, float]:
    """Sends a number of requests, at a rate (an open loop) or as fast as they are answered (0).

    Also answers the CPU seconds that the generator took.
    """
    listing.write_bytes(b"\n".join(msgspec.json.encode(call) for call in calls))
    argv = [str(load), "-address", f"127.0.0.1:{port}", "-calls", str(listing), "-mark", mark]
    argv += ["-requests", str(requests), "-connections", str(connections), "-rate", str(rate)]
    due = requests / rate if rate else requests / 50
    outcome = processes.run(argv, timeout=due + 90)
    return msgspec.json.decode(outcome.stdout, type=OpenLoopResult), outcome.cpu_seconds


def begin_load(
    processes: Processes,
    name: str,
    load: Path,
    port: int,
    calls: list[Call],
    *,
    listing: Path,
    rate: float,
    connections: int,
    seconds: float,
    note: str,
) -> Server:
    """Sends at a rate until `end_load`, for `seconds` at most, on any core.

    `note` is a header of the answers; when each of its values was seen first is in the result.
    """
    listing.write_bytes(b"\n".join(msgspec.json.encode(call) for call in calls))
    argv = [str(load), "-address", f"127.0.0.1:{port}", "-calls", str(listing), "-note", note]
    argv += ["-requests", str(round(rate * seconds)), "-connections", str(connections)]
    return processes.start(name, [*argv, "-rate", str(rate)], core=None)


def end_load(processes: Processes, server: Server) -> OpenLoopResult:
    """What it has seen. Raises BenchError when it has failed."""
    output = server.finish()
    processes.end(server)
    try:
        return msgspec.json.decode(output, type=OpenLoopResult)
    except msgspec.DecodeError:
        raise BenchError(f"{server.log.stem} failed:\n{output[-2000:]}") from None
