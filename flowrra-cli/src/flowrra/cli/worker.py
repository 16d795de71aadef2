"""``flowrra worker``: run an application's tasks until told to stop."""

from __future__ import annotations

import click

from flowrra.cli.output import output_option


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--queues", metavar="A,B", help="Serve these queues only.  [default: all that its tasks name]")
@click.option(
    "--concurrency", type=click.IntRange(1), metavar="N",
    help="Tasks at once on the event loop, and in threads.  [default: ExecutorConfig.num_workers]",
)  # fmt: skip
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Worker processes; one that dies is replaced.",
)
@click.option("--reload", is_flag=True, help="Start anew when a Python file below this folder changes.")
@click.option("--health-port", type=click.IntRange(0, 65535), metavar="PORT", help="Answer /live and /ready.")
@click.option(
    "--health-host", default="127.0.0.1", metavar="HOST", show_default=True,
    help="Where the health port listens; 0.0.0.0 for probes from outside.",
)  # fmt: skip
@click.option(
    "--drain", type=click.FloatRange(0), default=30.0, metavar="SECONDS", show_default=True,
    help="What running tasks get to end after the first Ctrl-C or SIGTERM.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    show_default=True, help="From warning up, runs that went well are not listed.",
)  # fmt: skip
@click.option("--supervised", type=int, hidden=True)
@output_option
def worker(
    target: str,
    queues: str | None,
    concurrency: int | None,
    processes: int,
    reload: bool,
    health_port: int | None,
    health_host: str,
    drain: float,
    log_level: str,
    supervised: int | None,
) -> int:
    """Run the tasks of MODULE:APP, as in tasks:app for the app in tasks.py.

    The first Ctrl-C or SIGTERM claims no more tasks and lets those that run end; the second hands
    them back at once. With -o json the log is JSON lines on standard output.
    """
    from flowrra.cli.serving import Serving, serve

    served = tuple(name for each in (queues or "").split(",") if (name := each.strip()))
    options = Serving(
        target=target,
        queues=served or None,
        concurrency=concurrency,
        processes=processes,
        reload=reload,
        health_port=health_port,
        health_host=health_host,
        drain=drain,
        log_level=log_level,
        supervised=supervised,
    )
    return serve(options)
