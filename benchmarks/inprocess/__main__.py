"""``python -m benchmarks.inprocess``: measure, print the table, and end with 1 when a bound is missed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.environments import prepare
from benchmarks.inprocess.peers import ENTRANTS, IMPORTED, OURS, Entrant
from benchmarks.inprocess.report import Rates, Verdict, import_verdict, rate_verdicts, settings, table
from benchmarks.inprocess.rounds import Measurement, run_rounds
from benchmarks.rounds import machine, time_imports


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    entrants = [entrant for entrant in ENTRANTS if entrant.name in options.peers]
    pythons = {
        name: prepare(name, ["flowrra-core"] if name in OURS else ())
        for name in dict.fromkeys(entrant.environment for entrant in entrants)
    }
    where = machine()
    measurements = _measure(entrants, pythons, options.rounds, options.tasks)
    ours = next((pythons[name] for name in sorted(OURS) if name in pythons), None)
    imports = time_imports(ours, IMPORTED, options.imports) if ours else {}
    rates = Rates(measurements, options.tasks)
    verdicts = [*rate_verdicts(rates), *([import_verdict(imports)] if imports else [])]
    _print(rates, verdicts, f"{options.tasks:,} tasks, {options.rounds} rounds, medians; {where}")
    if options.json:
        run = {"machine": where, "tasks": options.tasks, "imports": imports}
        _write(options.json, run, measurements, verdicts)
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def _options() -> argparse.Namespace:
    names = [entrant.name for entrant in ENTRANTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inprocess", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="times that each peer runs (7)")
    add("--tasks", type=int, default=100_000, help="tasks of one run (100,000)")
    add("--imports", type=int, default=15, help="times that each import runs (15)")
    add("--peers", nargs="+", choices=names, default=names, metavar="PEER", help=", ".join(names))
    add("--json", type=Path, metavar="FILE", help="write every measurement there")
    return parser.parse_args()


def _measure(
    entrants: Sequence[Entrant], pythons: dict[str, Path], rounds: int, tasks: int
) -> list[Measurement]:
    found: list[Measurement] = []
    for measurement in run_rounds(entrants, pythons, rounds, tasks):
        found.append(measurement)
        rate = tasks / measurement.seconds
        print(f"round {measurement.round + 1}  {measurement.entrant:<16} {rate:>9,.0f} tasks/s", flush=True)
    return found


def _print(rates: Rates, verdicts: Sequence[Verdict], title: str) -> None:
    print(f"\n{title}\n")
    for line in (*table(rates), "", *settings(rates), "", *verdicts):
        print(line)


def _write(
    file: Path, run: Mapping[str, object], measurements: Sequence[Measurement], verdicts: Sequence[Verdict]
) -> None:
    found = {"measurements": [asdict(m) for m in measurements], "verdicts": [asdict(v) for v in verdicts]}
    file.write_text(json.dumps({**run, **found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
