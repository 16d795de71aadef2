"""From measurements to a table, and to a verdict for each bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.inprocess.peers import ENTRANTS, IMPORT_BOUND, RATE_BOUNDS, WORKING, RateBound
from benchmarks.inprocess.rounds import Measurement

COMPARED = ("bare", "flowrra-0.1.8", "taskiq")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bound is kept."""

    kept: bool
    text: str

    def __str__(self) -> str:
        return f"{'kept  ' if self.kept else 'MISSED'}  {self.text}"


class Rates:
    """Tasks per second of each entrant, over the rounds."""

    def __init__(self, measurements: Sequence[Measurement], tasks: int) -> None:
        self._found: dict[str, list[Measurement]] = {}
        for measurement in measurements:
            self._found.setdefault(measurement.entrant, []).append(measurement)
        self._tasks = tasks

    def __contains__(self, entrant: str) -> bool:
        return entrant in self._found

    def rates(self, entrant: str) -> list[float]:
        """One per round."""
        return [self._tasks / m.seconds for m in self._found[entrant]]

    def ratio(self, entrant: str, of: str) -> float | None:
        """Median over median; None where one was not measured."""
        if entrant not in self or of not in self:
            return None
        return median(self.rates(entrant)) / median(self.rates(of))

    def microseconds(self, entrant: str) -> tuple[float, float, float]:
        """Median per task: on the wall, until its submit was done, on the processor."""
        found, scale = self._found[entrant], 1e6 / self._tasks
        columns = zip(*((m.seconds, m.submit_seconds, m.cpu_seconds) for m in found), strict=True)
        wall, submit, processor = (median(column) * scale for column in columns)
        return wall, submit, processor

    def versions(self, entrant: str) -> dict[str, str]:
        """Of the distributions that do the work."""
        installed = self._found[entrant][0].versions
        return {name: installed[name] for name in WORKING if name in installed}


def table(rates: Rates) -> Iterator[str]:
    """Markdown, one row per entrant that was measured."""
    heads = ("peer", "tasks/s", "min to max", "µs/task", "of it submit", "CPU µs/task")
    yield "| " + " | ".join((*heads, *(f"of {name}" for name in COMPARED))) + " |"
    yield "|---|" + "--:|" * (len(heads) + len(COMPARED) - 1)
    for entrant in ENTRANTS:
        if entrant.name in rates:
            yield _row(rates, entrant.name)


def _row(rates: Rates, name: str) -> str:
    found = rates.rates(name)
    cells = [name, f"{median(found):,.0f}", f"{min(found):,.0f} to {max(found):,.0f}"]
    cells += [f"{value:.1f}" for value in rates.microseconds(name)]
    ratios = [rates.ratio(name, other) for other in COMPARED]
    cells += ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    return "| " + " | ".join(cells) + " |"


def settings(rates: Rates) -> Iterator[str]:
    """What each entrant was, one line each."""
    for entrant in ENTRANTS:
        if entrant.name in rates:
            versions = rates.versions(entrant.name).items()
            installed = ", ".join(f"{name} {version}" for name, version in versions)
            yield f"- {entrant.name}: {entrant.settings} ({installed or 'standard library'})"


def rate_verdicts(rates: Rates) -> Iterator[Verdict]:
    """One for each bound whose two sides were measured."""
    for bound in RATE_BOUNDS:
        ratio = rates.ratio(bound.entrant, bound.of)
        if ratio is not None:
            yield _verdict(bound, ratio)


def _verdict(bound: RateBound, ratio: float) -> Verdict:
    text = f"{bound.entrant} runs at {ratio:.2f} of {bound.of}; at least {bound.ratio:.2f}"
    return Verdict(ratio >= bound.ratio, text)


def import_verdict(seconds: Mapping[str, Sequence[float]]) -> Verdict:
    """``import flowrra`` against ``import asyncio``."""
    ours, floor = median(seconds["flowrra"]), median(seconds["asyncio"])
    ratio = ours / floor
    times = f"{ours * 1000:.1f} ms to {floor * 1000:.1f} ms, medians of {len(seconds['flowrra'])}"
    text = f"import flowrra takes {ratio:.2f} of import asyncio ({times}); at most {IMPORT_BOUND:.2f}"
    return Verdict(ratio <= IMPORT_BOUND, text)
