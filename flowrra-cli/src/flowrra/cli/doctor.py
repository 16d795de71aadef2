"""``flowrra doctor``: says whether this installation, and this configuration, are in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowrra.cli.output import output_option
from flowrra.cli.session import connection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from flowrra.reports import Finding


@click.command()
@connection_options
@output_option
def doctor(target: str | None, broker: str | None, backend: str | None) -> int:
    """Check versions, plugins, configuration, broker, backend and clock.

    The exit code is 1 if something is wrong; every failure says what to do.
    """
    from flowrra.cli.checks import examine
    from flowrra.cli.logs import configure
    from flowrra.cli.output import show

    configure("error", as_json=False)  # what a server makes others warn of is among the findings
    findings = examine(target, broker, backend)
    wrong = sum(not finding.ok for finding in findings)
    show({"ok": wrong == 0, "findings": findings}, lambda console: _print(console, findings, wrong))
    return 1 if wrong else 0


def _print(console: Console, findings: Sequence[Finding], wrong: int) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("WRONG", "red bold")
        told = Text(finding.detail)
        if finding.advice:
            told.append(f"\n→ {finding.advice}", "bold")
        grid.add_row(mark, finding.name, told)
    console.print(grid)
    console.print()
    console.print(f"{wrong} of {len(findings)} checks failed" if wrong else "All is well.")
