"""The demonstration as it goes: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from flowrra.cli.demo.tasks import app
from flowrra.cli.output import seconds
from flowrra.management import FlowrraManager

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from flowrra.cli.demo.work import Kind, Work

#: Seconds between two pictures, and between two lines.
FRAME: Final = 0.1
LINE: Final = 2.0


@asynccontextmanager
async def showing(work: Work, console: Console | None) -> AsyncGenerator[None]:
    """Show how far *work* is while the block runs; nothing without a console."""
    if console is None:
        yield
        return
    shown = asyncio.create_task(_bars(work, console) if console.is_terminal else _lines(work, console))
    try:
        yield
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)


async def _bars(work: Work, console: Console) -> None:
    from rich.live import Live

    manager = FlowrraManager(app)
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(_picture(work, await _waiting(manager)), refresh=True)
                await asyncio.sleep(FRAME)
        finally:
            live.update(_picture(work, ""), refresh=True)


async def _lines(work: Work, console: Console) -> None:
    while True:
        await asyncio.sleep(LINE)
        parts = [f"{kind.name} {kind.done:,} of {kind.total:,}{_pace(kind)}" for kind in work.kinds[:3]]
        console.print("; ".join(parts), markup=False)


def _pace(kind: Kind) -> str:
    if not kind.done or kind.done == kind.total:
        return ""
    return f" ({kind.rate:,.0f}/s, {time_left(kind)})"


def time_left(kind: Kind) -> str:
    """``12 s left``, or nothing while nobody knows."""
    return (
        ""
        if kind.left is None
        else f"{kind.left:.0f} s left"
        if kind.left < 60
        else f"{seconds(kind.left)} left"
    )


async def _waiting(manager: FlowrraManager) -> str:
    counts = await manager.queues()
    waiting = sum(each.ready for each in counts)
    delayed = sum(each.delayed for each in counts)
    return f"{waiting:,} wait, {sum(each.leased for each in counts)} run, {delayed} will be tried again"


def _picture(work: Work, status: str) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, min_width=8)
    for _ in range(3):
        grid.add_column(justify="right", no_wrap=True)
    for kind in work.kinds:
        bar = ProgressBar(total=kind.total, completed=kind.done, width=None)
        left = "done" if kind.done == kind.total else time_left(kind)
        rate = f"{kind.rate:,.0f}/s" if kind.done and kind.total > 1 else ""
        where = Text(kind.executor, "dim")
        grid.add_row(kind.name, where, bar, f"{kind.done:,}/{kind.total:,}", rate, f"{left:>9}")
    return Group(grid, Text(status, "dim"))
