"""What the machine is and what its processes use, from /proc (Linux)."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat, counted from the one after the parenthesised name (proc(5)).
_PPID, _UTIME, _STIME = 1, 11, 12
# Fields of the "cpu" line of /proc/stat that are not idle time: user, nice, system, irq, softirq,
# and steal, which is what the hypervisor gave to another machine.
_BUSY = (0, 1, 2, 5, 6, 7)


def _stat(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    # The name may hold spaces and parentheses, so the fields begin behind the last one.
    return text[text.rindex(")") + 2 :].split()


def tree(pid: int) -> list[int]:
    """The process and its descendants that are alive."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[_PPID])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid] if pid in parents else []
    for member in found:  # grows while it is walked
        found.extend(child for child, parent in parents.items() if parent == member)
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time that the process and its living descendants have used."""
    ticks = 0
    for member in tree(pid):
        try:
            fields = _stat(member)
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[_UTIME]) + int(fields[_STIME])
    return ticks / _TICKS_PER_SECOND


def rss_mb(pid: int) -> float:
    """Resident memory of the process and its descendants in MB (10^6 bytes)."""
    kilobytes = 0
    for member in tree(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes += parse_rss_kib(status)
    return kilobytes * 1024 / 1e6


def peak_rss_mb(pid: int) -> float:
    """The most resident memory that the process alone has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return parse_rss_kib(status, "VmHWM") * 1024 / 1e6


def parse_rss_kib(status: str, name: str = "VmRSS") -> int:
    """The number behind `name:` in /proc/<pid>/status, in KiB; 0 where there is none."""
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def busy_seconds() -> float:
    """CPU time that everything on the machine has used, over all cores."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    return sum(int(first[field]) for field in _BUSY) / _TICKS_PER_SECOND


def facts() -> Mapping[str, str]:
    """What to know about the machine to read the numbers."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = next(
        (line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model n")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
    }
