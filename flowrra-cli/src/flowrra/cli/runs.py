"""``flowrra runs``: what waits, runs and has ended, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from flowrra.cli.output import output_option
from flowrra.cli.session import connection_options

if TYPE_CHECKING:
    from rich.console import Console

    from flowrra.management import FlowrraManager, RunPage
    from flowrra.result import TaskResult

_PLACES: Final = ["running", "waiting", "delayed", "finished", "dead"]
_STATUSES: Final = ["pending", "scheduled", "running", "retrying", "success", "failed", "cancelled"]

#: Newest runs among which ``show`` looks for the part of an id.
SEARCHED: Final = 1000


@click.group(invoke_without_command=True)
@click.option("--place", type=click.Choice(_PLACES), help="Only those of one place.")
@click.option(
    "--status", "statuses", type=click.Choice(_STATUSES), multiple=True, help="Only of this status."
)
@click.option("--task", metavar="NAME", help="Only of this task.")
@click.option("--queue", metavar="NAME", help="Only of this queue.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--cursor", metavar="TEXT", help="Where the page before ended.")
@connection_options
@output_option
@click.pass_context
def runs(
    ctx: click.Context,
    /,
    place: str | None,
    statuses: tuple[str, ...],
    task: str | None,
    queue: str | None,
    limit: int,
    cursor: str | None,
    **connection: str | None,
) -> None:
    """List runs: those at work first, then those that wait, then finished ones, newest first."""
    ctx.meta["flowrra.connection"] = connection
    if ctx.invoked_subcommand is not None:
        return
    from flowrra.cli.output import show
    from flowrra.management import RunPlace
    from flowrra.reports import RunFilter
    from flowrra.status import TaskStatus

    wanted = frozenset(map(TaskStatus, statuses)) or None
    where = RunFilter(statuses=wanted, task=task, queue=queue)
    chosen = None if place is None else RunPlace(place)
    page = _ask(ctx, "runs", lambda manager: manager.runs(where, place=chosen, limit=limit, cursor=cursor))
    show(page, lambda console: _list(console, page))


@runs.command("show")
@click.argument("task_id", metavar="ID")
@output_option
@click.pass_context
def show_run(ctx: click.Context, task_id: str) -> None:
    """Show one run. ID may be its beginning or end, among the newest runs."""
    from flowrra.cli.output import show

    run = _ask(ctx, "runs show", lambda manager: _find(manager, task_id))
    show(run, lambda console: _detail(console, run))


@runs.command()
@click.argument("task_id", metavar="ID")
@output_option
@click.pass_context
def cancel(ctx: click.Context, task_id: str) -> int:
    """Cancel a run that waits or runs."""

    async def order(manager: FlowrraManager) -> dict[str, Any]:
        run = await _find(manager, task_id)
        return {"id": run.task_id, "cancelled": await manager.cancel(run.task_id)}

    answer = _ask(ctx, "runs cancel", order)
    return _tell(
        answer, "cancelled" if answer["cancelled"] else "not cancelled: it has ended, or doesn't stop"
    )


@runs.command()
@click.argument("task_id", metavar="ID")
@output_option
@click.pass_context
def retry(ctx: click.Context, task_id: str) -> int:
    """Run a finished task again, under a new id."""

    async def order(manager: FlowrraManager) -> dict[str, Any]:
        run = await _find(manager, task_id)
        try:
            return {"id": await manager.retry(run.task_id), "retry_of": run.task_id}
        except ValueError as error:
            raise click.ClickException(str(error)) from None

    answer = _ask(ctx, "runs retry", order)
    return _tell(answer, f"runs again as {answer['id']}")


@runs.command()
@click.argument("task_id", metavar="ID")
@output_option
@click.pass_context
def requeue(ctx: click.Context, task_id: str) -> int:
    """Run a dead task again, under its id."""

    async def order(manager: FlowrraManager) -> dict[str, Any]:
        run = await _find(manager, task_id)
        [requeued] = await manager.requeue([run.task_id])
        return {"id": run.task_id, "requeued": requeued}

    answer = _ask(ctx, "runs requeue", order)
    return _tell(
        answer, "waits again" if answer["requeued"] else "not requeued: it isn't dead; see: runs retry"
    )


@runs.command()
@click.argument("task_id", metavar="ID")
@output_option
@click.pass_context
def delete(ctx: click.Context, task_id: str) -> int:
    """Forget a finished run."""

    async def order(manager: FlowrraManager) -> dict[str, Any]:
        run = await _find(manager, task_id)
        return {"id": run.task_id, "deleted": await manager.delete([run.task_id]) == 1}

    answer = _ask(ctx, "runs delete", order)
    return _tell(answer, "deleted" if answer["deleted"] else "not deleted: it hasn't ended; see: runs cancel")


def _ask(ctx: click.Context, what: str, question: Callable[[FlowrraManager], Awaitable[Any]]) -> Any:
    from flowrra.cli.session import ask, chosen_app, require_shared_runs

    app = chosen_app(**ctx.meta["flowrra.connection"])
    require_shared_runs(app, what)
    return ask(app, question)


async def _find(manager: FlowrraManager, text: str) -> TaskResult:
    """The run of this id, or the only new one whose id begins or ends so."""
    run = await manager.run(text)
    if run is not None and run.task_name:
        return run
    page: RunPage = await manager.runs(limit=SEARCHED)
    found = [run for run in page.runs if run.task_id.startswith(text) or run.task_id.endswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(
            f"{len(found)} runs have an id that begins or ends with {text!r}: type more of it"
        )
    raise click.ClickException(f"no run with id {text!r}: it was never submitted, or its result has expired")


def _tell(answer: dict[str, Any], text: str) -> int:
    """Print what became of an order; the exit code says whether it took effect."""
    from flowrra.cli.output import show

    show(answer, lambda console: console.print(text, markup=False))
    return 0 if all(value is not False for value in answer.values()) else 1


def _list(console: Console, page: RunPage) -> None:
    from flowrra.cli.output import seconds, table
    from flowrra.cli.runlog import outcome, short, waited

    if not page.runs:
        console.print("no runs" + ("" if page.next is None else " here"))
    else:
        rows = [
            (
                short(run.task_id),
                run.task_name,
                run.status.value,
                seconds(waited(run)),
                _clock(run),
                outcome(run),
            )
            for run in page.runs
        ]
        console.print(table(["id", "task", "status", "waited", "at", "outcome"], rows, right=[3]))
    if page.next is not None:
        console.print(f"\nmore: --cursor '{page.next}'", markup=False)


def _clock(run: TaskResult) -> str:
    """The newest time that is known of a run, as the local clock showed it."""
    newest: datetime | None = run.finished_at or run.started_at or run.submitted_at
    return "" if newest is None else newest.astimezone().strftime("%m-%d %H:%M:%S")


def _detail(console: Console, run: TaskResult) -> None:
    from dataclasses import fields

    for each in fields(run):
        value = getattr(run, each.name)
        if value is None or value in ((), {}) or each.name in ("traceback", "attempts"):
            continue
        shown = getattr(value, "value", value)
        if isinstance(shown, datetime):
            shown = shown.astimezone().isoformat(sep=" ", timespec="milliseconds")
        console.print(f"{each.name:<13} {shown}", markup=False)
    for attempt in run.attempts:
        took = (attempt.finished_at - attempt.started_at).total_seconds()
        ended = attempt.error or run.status.value
        console.print(f"attempt {attempt.number}     {took:.3f} s on {attempt.worker}: {ended}", markup=False)
        if attempt.log:
            console.print(attempt.log, markup=False)
    if run.traceback:
        console.print(f"\n{run.traceback}", markup=False)
