"""``flowrra queues``: how many tasks wait where, and steering queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from flowrra.cli.output import output_option
from flowrra.cli.session import connection_options

if TYPE_CHECKING:
    from rich.console import Console

    from flowrra.management import FlowrraManager
    from flowrra.message import QueueCounts


@click.group(invoke_without_command=True)
@connection_options
@output_option
@click.pass_context
def queues(ctx: click.Context, /, **connection: str | None) -> None:
    """List queues: what waits, runs and is dead in each."""
    ctx.meta["flowrra.connection"] = connection
    if ctx.invoked_subcommand is None:
        _list(ctx)


@queues.command("list")
@output_option
@click.pass_context
def list_queues(ctx: click.Context) -> None:
    """List queues, as without a command."""
    _list(ctx)


@queues.command()
@click.argument("queue")
@output_option
@click.pass_context
def pause(ctx: click.Context, queue: str) -> None:
    """Let no worker take tasks from QUEUE; what runs goes on."""
    _ask(ctx, "queues pause", lambda manager: manager.pause(queue))
    _tell({"queue": queue, "paused": True}, f"{queue} is paused; undo: flowrra queues resume {queue}")


@queues.command()
@click.argument("queue")
@output_option
@click.pass_context
def resume(ctx: click.Context, queue: str) -> None:
    """Undo pause."""
    _ask(ctx, "queues resume", lambda manager: manager.resume(queue))
    _tell({"queue": queue, "paused": False}, f"{queue} is served again")


@queues.command()
@click.argument("queue")
@click.option("--dead", is_flag=True, help="Delete its dead tasks instead of those that wait.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@output_option
@click.pass_context
def purge(ctx: click.Context, queue: str, dead: bool, yes: bool) -> None:
    """Delete the tasks that wait in QUEUE, delayed ones and retries too; what runs goes on."""
    from flowrra.message import Place

    what = "dead" if dead else "waiting"
    places = (Place.DEAD,) if dead else (Place.READY, Place.DELAYED)
    if not yes:
        click.confirm(f"Delete all {what} tasks of {queue}?", abort=True, err=True)
    number = _ask(ctx, "queues purge", lambda manager: manager.purge(queue, places))
    _tell({"queue": queue, "deleted": number}, f"deleted from {queue}: {number} {what}")


def _list(ctx: click.Context) -> None:
    from flowrra.cli.output import show

    found: list[QueueCounts] = _ask(ctx, "queues", lambda manager: manager.queues())
    show(found, lambda console: _table(console, found))


def _ask(ctx: click.Context, what: str, question: Callable[[FlowrraManager], Awaitable[Any]]) -> Any:
    from flowrra.cli.session import ask, chosen_app, require_shared_queue

    app = chosen_app(**ctx.meta["flowrra.connection"])
    require_shared_queue(app, what)
    return ask(app, question)


def _tell(answer: dict[str, Any], text: str) -> None:
    from flowrra.cli.output import show

    show(answer, lambda console: console.print(text, markup=False))


def _table(console: Console, found: list[QueueCounts]) -> None:
    from flowrra.cli.output import seconds, table

    if not found:
        console.print("no queue holds a task or is paused")
        return
    rows = [
        (each.queue, each.ready, each.delayed, each.leased, each.dead, seconds(each.oldest_age),
         "paused" if each.paused else "")
        for each in found
    ]  # fmt: skip
    headings = ["queue", "waiting", "delayed", "running", "dead", "oldest", ""]
    console.print(table(headings, rows, right=range(1, 6)))
