"""From measurements to tables, and to a verdict on each bound."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.redis.peers import BARE, ENTRANTS, WORKING, Entrant
from benchmarks.redis.rows import Measurement

FLOWRRA, UVLOOP = ENTRANTS[0].name, ENTRANTS[1].name
RESULTS_WAITED_FOR = 10_000


class Results:
    """Figures of rows and entrants, over the rounds."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._found: dict[tuple[str, str], list[Mapping[str, float]]] = {}
        for each in measurements:
            if not each.error:
                self._found.setdefault((each.row, each.entrant), []).append(each.figures)
        self._entrants = {each.entrant for each in measurements}

    def entrants(self) -> list[Entrant]:
        """Who was measured at all."""
        return [entrant for entrant in (*ENTRANTS, BARE) if entrant.name in self._entrants]

    def all(self, row: str, entrant: str, figure: str) -> list[float]:
        """One figure per round that gave one."""
        return [found[figure] for found in self._found.get((row, entrant), ()) if figure in found]

    def of(self, row: str, entrant: str, figure: str = "rate") -> float | None:
        """The median; None where it was not measured."""
        found = self.all(row, entrant, figure)
        return median(found) if found else None

    def ratio(self, row: str, entrant: str, other: str, figure: str = "rate") -> float | None:
        """Median over median."""
        return over(self.of(row, entrant, figure), self.of(row, other, figure))

    def fastest(self) -> str | None:
        """The at-least-once peer that drains most no-ops."""
        peers = [each.name for each in ENTRANTS if each.at_least_once and not each.wheels]
        rates = {name: rate for name in peers if (rate := self.of("noop", name)) is not None}
        return max(rates, key=rates.__getitem__, default=None)


def over(value: float | None, other: float | None) -> float | None:
    """A ratio, where there are both."""
    return None if value is None or not other else value / other


def tables(results: Results) -> Iterator[str]:
    """Markdown."""
    entrants = results.entrants()
    fastest = results.fastest() or "-"
    yield from _table(
        (
            "peer",
            "no-ops/s",
            "min to max",
            f"of {fastest}",
            "4 slots",
            "sleeps/s",
            "of bare",
            "4 slots",
            "of bare",
        ),
        [_drains(results, entrant.name, fastest) for entrant in entrants],
    )
    yield ""
    yield from _table(
        ("peer", "submit/s", "many/s", "how", "p50 ms", "p99 ms", "lost", "bytes/task", "idle commands/s"),
        [_rest(results, entrant) for entrant in entrants if entrant is not BARE],
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (heads, ("---", *("--:" for _ in heads[1:])), *rows):
        yield "| " + " | ".join(cells) + " |"


def _drains(results: Results, name: str, fastest: str) -> list[str]:
    rates = results.all("noop", name, "rate")
    return [
        name,
        _show(results.of("noop", name), ",.0f"),
        f"{min(rates):,.0f} to {max(rates):,.0f}" if rates else "-",
        _show(results.ratio("noop", name, fastest), ".2f"),
        _show(results.of("noop-4", name), ",.0f"),
        _show(results.of("sleep", name), ",.0f"),
        _show(results.ratio("sleep", name, BARE.name), ".2f"),
        _show(results.of("sleep-4", name), ",.0f"),
        _show(results.ratio("sleep-4", name, BARE.name), ".2f"),
    ]


def _rest(results: Results, entrant: Entrant) -> list[str]:
    name = entrant.name
    asked = sum(results.all("latency", name, "asked"))
    return [
        name,
        _show(results.of("submit", name), ",.0f"),
        _show(results.of("submit", name, "batched"), ",.0f"),
        entrant.batch or "-",
        _show(_milliseconds(results, name, "p50"), ".2f"),
        _show(_milliseconds(results, name, "p99"), ".2f"),
        f"{sum(results.all('latency', name, 'lost')):.0f} of {asked:,.0f}" if asked else "-",
        _show(results.of("memory", name, "bytes"), ",.0f"),
        _show(results.of("idle", name, "commands"), ".1f"),
    ]


def _milliseconds(results: Results, name: str, figure: str) -> float | None:
    seconds = results.of("latency", name, figure)
    return None if seconds is None else seconds * 1000


def _show(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def settings(entrants: Collection[Entrant], installed: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What each entrant was, and what becomes of a task whose worker is killed: one line each."""
    for entrant in entrants:
        found = installed[entrant.environment]
        versions = ", ".join(f"{name} {found[name]}" for name in WORKING if name in found)
        yield f"- {entrant.name} ({versions or 'standard library'}): {entrant.settings}."
        if entrant is not BARE:
            yield f"  Its worker killed: the task is {entrant.guarantee}."


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bound is met."""

    what: str
    value: float
    bound: float
    is_least: bool  #: at least, or at most

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value >= self.bound if self.is_least else self.value <= self.bound

    def __str__(self) -> str:
        side = "at least" if self.is_least else "at most"
        return (
            f"{'met    ' if self.met else 'not met'}  {self.what}: {self.value:,.2f}; {side} {self.bound:,g}"
        )


def verdicts(results: Results) -> Iterator[Verdict]:
    """One for each bound whose figures were measured."""
    for what, value, bound, is_least in (*_ratios(results), *_amounts(results)):
        if value is not None:
            yield Verdict(what, value, bound, is_least)


def _ratios(results: Results) -> Iterator[tuple[str, float | None, float, bool]]:
    fastest = results.fastest() or ""
    ratio = results.ratio
    yield f"no-ops drained, of {fastest}", ratio("noop", FLOWRRA, fastest), 8, True
    yield f"no-ops drained on uvloop with msgspec, of {fastest}", ratio("noop", UVLOOP, fastest), 10, True
    yield "sleeps, of bare asyncio", ratio("sleep", FLOWRRA, BARE.name), 0.65, True
    yield "submit, of taskiq", ratio("submit", FLOWRRA, "taskiq"), 1.8, True
    batched = over(results.of("submit", FLOWRRA, "batched"), results.of("submit", "streaq", "batched"))
    yield "submit_many, of streaq's enqueue_many", batched, 2, True
    yield "submit to result p50, of taskiq", ratio("latency", FLOWRRA, "taskiq", "p50"), 0.6, False
    yield "submit to result p99, of taskiq", ratio("latency", FLOWRRA, "taskiq", "p99"), 1.3, False


def _amounts(results: Results) -> Iterator[tuple[str, float | None, float, bool]]:
    for name in (FLOWRRA, UVLOOP):
        asked = results.all("latency", name, "asked")
        if asked:
            lost = sum(results.all("latency", name, "lost"))
            yield f"{name}: wake-ups lost of {sum(asked):,.0f}", lost, 0, False
            yield f"{name}: results waited for", sum(asked), RESULTS_WAITED_FOR, True
    yield "bytes of Redis per queued task", results.of("memory", FLOWRRA, "bytes"), 600, False
    yield "commands per second of an idle worker", results.of("idle", FLOWRRA, "commands"), 5, False
    imports = over(results.of("imports", FLOWRRA, "flowrra"), results.of("imports", FLOWRRA, "redis.asyncio"))
    yield "import flowrra, flowrra.redis, of import redis.asyncio", imports, 1.2, False
    claims = over(results.of("claims", FLOWRRA, "many"), results.of("claims", FLOWRRA, "few"))
    yield "a claim of 100 where a million wait, of one where 100 wait", claims, 1.5, False
