"""``python -m benchmarks.redis``: measure, print the tables, and say which bounds are met."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.environments import prepare, versions
from benchmarks.redis.measure import QUICK, Bench, Sizes
from benchmarks.redis.peers import BARE, ENTRANTS
from benchmarks.redis.report import Results, Verdict, settings, tables, verdicts
from benchmarks.redis.rows import ROWS, Measurement, run
from benchmarks.redis.server import Server
from benchmarks.rounds import machine


def main() -> int:
    """Run what the command line asks for."""
    options = _options()
    rounds = 1 if options.quick else options.rounds
    wanted = [each for each in (*ENTRANTS, BARE) if each.name in (*options.only, BARE.name)]
    pythons = {each.environment: prepare(each.environment, each.wheels) for each in wanted}
    where, start = machine(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        where = f"{where}, Redis {server.version}"
        bench = Bench(server, Path(folder), pythons, QUICK if options.quick else Sizes(), rounds)
        measurements = list(map(_tell, run(bench, options.only, options.rows, rounds)))
    minutes = (time.monotonic() - start) / 60
    title = f"{rounds} rounds, medians, {minutes:.0f} minutes; {where}"
    installed = {name: versions(python) for name, python in pythons.items()}
    found = _print(Results(measurements), title, installed)
    if options.json:
        _write(options.json, where, measurements, installed)
    failed = any(each.error for each in measurements) or not all(verdict.met for verdict in found)
    return 1 if options.strict and failed else 0


def _options() -> argparse.Namespace:
    names, rows = [entrant.name for entrant in ENTRANTS], [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redis", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="times that each row runs (3)")
    add("--only", nargs="+", choices=names, default=names, metavar="PEER", help=", ".join(names))
    add("--rows", nargs="+", choices=rows, default=rows, metavar="ROW", help=", ".join(rows))
    add("--quick", action="store_true", help="one round, a tenth of the tasks: whether all works, no figures")
    add("--strict", action="store_true", help="end with 1 if a bound is not met or a measurement failed")
    add("--json", type=Path, metavar="FILE", help="write every measurement there")
    return parser.parse_args()


def _tell(found: Measurement) -> Measurement:
    figures = ", ".join(f"{name} {value:,.6g}" for name, value in found.figures.items())
    text = found.error and f"FAILED: {found.error}"
    print(f"round {found.round + 1}  {found.row:<8} {found.entrant:<15} {figures}{text}", flush=True)
    return found


def _print(results: Results, title: str, installed: Mapping[str, Mapping[str, str]]) -> list[Verdict]:
    found = list(verdicts(results))
    print(f"\n{title}\n")
    for line in (*tables(results), "", *settings(results.entrants(), installed), "", *found):
        print(line)
    return found


def _write(
    file: Path, where: str, measurements: Sequence[Measurement], installed: Mapping[str, Mapping[str, str]]
) -> None:
    found = {"machine": where, "versions": installed, "measurements": [asdict(each) for each in measurements]}
    file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
