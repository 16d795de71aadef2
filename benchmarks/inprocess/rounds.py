"""Interleaved rounds: each peer once a round, each time in a fresh process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inprocess.peers import Entrant
from benchmarks.rounds import in_turn, output


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process found."""

    entrant: str
    round: int
    seconds: float
    submit_seconds: float
    cpu_seconds: float
    versions: dict[str, str]


def run_rounds(
    entrants: Sequence[Entrant], pythons: Mapping[str, Path], rounds: int, tasks: int
) -> Iterator[Measurement]:
    """Measure round by round."""
    for number in range(rounds):
        for entrant in in_turn(entrants, number):
            yield _measure(entrant, pythons[entrant.environment], number, tasks)


def _measure(entrant: Entrant, python: Path, number: int, tasks: int) -> Measurement:
    room = max(200_000, 2 * tasks)
    module = ["-m", "benchmarks.inprocess.measure", entrant.adapter, str(tasks), str(room)]
    found: dict[str, Any] = json.loads(output(entrant.name, [str(python), *module]))
    return Measurement(entrant.name, number, **found)
