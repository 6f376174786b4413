"""What was measured, as written to samples.json."""

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One measurement: numbers by name. Names end in their unit where they have one.

    A `round` is one turn of the interleaved rounds; the memory scenario counts its slices in it.
    """

    scenario: str
    target: str
    round: int
    values: Mapping[str, float]


class Run(msgspec.Struct, frozen=True):
    """One run of the harness."""

    label: str
    started: str
    facts: Mapping[str, str]  # of the machine
    versions: Mapping[str, str]  # of what was measured
    settings: Mapping[str, str]
    samples: list[Sample]

    def values(self, scenario: str, target: str, name: str) -> list[float]:
        """One value over the rounds, in their order."""
        return [
            sample.values[name]
            for sample in self.samples
            if sample.scenario == scenario and sample.target == target and name in sample.values
        ]

    def targets(self, scenario: str) -> list[str]:
        """Who took part in a scenario, in order of first appearance."""
        return list(dict.fromkeys(s.target for s in self.samples if s.scenario == scenario))


def write(run: Run, path: Path) -> None:
    """Writes a run as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read(path: Path) -> Run:
    """Reads what `write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Run)
