"""The command ``flowrra demo``."""

from __future__ import annotations

from pathlib import Path

import click

from flowrra.cli.output import output_option


@click.command()
@click.option(
    "--path", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
    help="Work on another folder of Python files.  [default: the standard library]",
)  # fmt: skip
@output_option
def demo(folder: Path | None) -> int:
    """Read, hash and parse every file of this Python's own standard library.

    Coroutines read, worker processes parse, some tasks fail at first and are retried, and an urgent
    one overtakes the rest. Needs no server and leaves nothing behind. The exit code is 0 only if
    every file was read and parsed.
    """
    from flowrra.cli.demo.show import perform

    return perform(folder)
