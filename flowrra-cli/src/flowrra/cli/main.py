"""``flowrra``: finds the command, runs it, and turns whatever happens into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import click

from flowrra.cli.output import Format, choose, complain
from flowrra.exceptions import FlowrraError, PluginError

#: Everything that was asked for is done.
OK: Final = 0
#: It isn't: a task failed, a check found something, nobody knows the id.
FAILED: Final = 1
#: It can't be: a wrong command line, setting, URL or module.
MISUSED: Final = 2
#: Ctrl-C.
INTERRUPTED: Final = 130

#: Each command: where it is, and what the overview says of it. Imported when it is called.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("flowrra.cli.demo.command:demo", "Show real work on this Python's own library."),
    "worker": ("flowrra.cli.worker:worker", "Run the tasks of an application."),
    "submit": ("flowrra.cli.submit:submit", "Submit a task of an application."),
    "runs": ("flowrra.cli.runs:runs", "List, show, cancel and repeat runs."),
    "queues": ("flowrra.cli.queues:queues", "List, pause, resume and purge queues."),
    "plugins": ("flowrra.cli.plugins:plugins", "Show what is installed, and what it serves."),
    "doctor": ("flowrra.cli.doctor:doctor", "Check installation, configuration and connections."),
}

EPILOG: Final = (
    "Exit codes: 0 done; 1 not done (a task failed, a check found something, an id is unknown); "
    "2 a wrong command line, setting, URL or module; 130 Ctrl-C."
)


class CommandLine(click.Group):
    """The commands above, imported when called, and those that plugins add."""

    _extended = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own in their order, then the plugins'."""
        self._extend()
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one of our own; a plugin's can't take its place."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            return cast("click.Command", getattr(import_module(module), name))
        self._extend()
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing ours."""
        rows: list[tuple[str, str]] = []
        for name in self.list_commands(ctx):
            command = None if name in COMMANDS else self.commands[name]
            if command is None or not command.hidden:
                rows.append((name, command.get_short_help_str(60) if command else COMMANDS[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name near matches among all commands."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"see: {ctx.command_path} --help"
            raise click.UsageError(f"no command {name!r}: {advice}", ctx)
        return super().resolve_command(ctx, args)

    def _extend(self) -> None:
        """Let plugins add their commands, once."""
        if not self._extended:
            self._extended = True
            from flowrra.plugins import Plugins

            try:
                Plugins.installed().register_commands(self)
            except PluginError as error:
                click.echo(f"Warning: {error}; see: flowrra plugins", err=True)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from flowrra import __version__

        click.echo(f"flowrra {__version__}")
        ctx.exit()


@click.group(cls=CommandLine, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), expose_value=False, callback=choose,
    help="How to print; every command takes this too.  [default: text]",
)  # fmt: skip
def cli() -> None:
    """Run background tasks, and look after them.

    New here? Begin with: flowrra demo
    """
    from flowrra.cli.logs import show_warnings

    show_warnings()


def main(arguments: Sequence[str] | None = None, *, called: str = "flowrra") -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: What was typed after the command; None: ``sys.argv[1:]``.
        called: What was typed before that, for messages.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    status = run(sys.argv[1:] if arguments is None else arguments, called)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def run(arguments: Sequence[str], called: str) -> int:
    """Run one command and return its exit code; whatever goes wrong is told, without a traceback."""
    try:
        status: Any = cli.main(list(arguments), prog_name=called, standalone_mode=False, obj=Format())
    except click.ClickException as error:
        return _refuse(error)
    except FlowrraError as error:
        complain(str(error), type(error).__name__)
        return MISUSED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return OK
    return status if isinstance(status, int) else OK


def _refuse(error: click.ClickException) -> int:
    """Say what is wrong with the command line itself, and how it is used."""
    if isinstance(error, click.UsageError) and error.ctx is not None and not Format.is_json(error.ctx):
        click.echo(error.ctx.get_usage(), err=True)
    complain(error.format_message(), type(error).__name__)
    return error.exit_code


if __name__ == "__main__":
    main()
