"""The rows, and whom each is about; run in rounds that interleave the peers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.redis.measure import FEW, MANY, Bench, Figures
from benchmarks.redis.peers import BARE, ENTRANTS, Entrant
from benchmarks.redis.processes import MeasurementError
from benchmarks.rounds import in_turn


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is measured."""

    name: str
    measure: Callable[[Bench, Entrant], Figures]
    once: bool = False  #: figures that hardly differ between rounds are taken in the first alone
    flowrra_alone: bool = False  #: a bound that has no peer
    bare_too: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one row gave for one entrant in one round; *error* says why it gave nothing."""

    row: str
    entrant: str
    round: int
    figures: Figures
    error: str = ""


def _sleep(slots: int) -> Callable[[Bench, Entrant], Figures]:
    def measure(bench: Bench, entrant: Entrant) -> Figures:
        if entrant is BARE:
            return bench.ideal(entrant, "pause", slots)
        return bench.drain(entrant, "pause", slots)

    return measure


ROWS = (
    Row("noop", lambda bench, entrant: bench.drain(entrant, "noop", MANY)),
    Row("sleep", _sleep(MANY), bare_too=True),
    Row("submit", Bench.submit),
    Row("latency", Bench.latency),
    Row("noop-4", lambda bench, entrant: bench.drain(entrant, "noop", FEW), once=True),
    Row("sleep-4", _sleep(FEW), once=True, bare_too=True),
    Row("memory", Bench.memory, once=True),
    Row("idle", Bench.idle, once=True),
    Row("imports", Bench.imports, once=True, flowrra_alone=True),
    Row("claims", Bench.claims, once=True, flowrra_alone=True),
)


def run(bench: Bench, peers: Collection[str], names: Collection[str], rounds: int) -> Iterator[Measurement]:
    """Every row for every peer in turn, round by round."""
    entrants = [entrant for entrant in ENTRANTS if entrant.name in peers]
    for number in range(rounds):
        for row in ROWS:
            if row.name in names and not (row.once and number):
                for entrant in in_turn(_entrants(row, entrants), number):
                    yield _measure(row, bench, entrant, number)


def _entrants(row: Row, entrants: Sequence[Entrant]) -> list[Entrant]:
    if row.flowrra_alone:
        return [entrant for entrant in entrants if entrant is ENTRANTS[0]]
    return [*([BARE] if row.bare_too else []), *entrants]


def _measure(row: Row, bench: Bench, entrant: Entrant, number: int) -> Measurement:
    try:
        return Measurement(row.name, entrant.name, number, row.measure(bench, entrant))
    except MeasurementError as error:
        return Measurement(row.name, entrant.name, number, {}, str(error))
