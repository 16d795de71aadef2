"""Printing for people and for programs: text, or with ``-o json`` one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])


class Format:
    """The chosen format of one invocation; the last ``-o`` counts."""

    json = False
    #: The newest one, for errors that know no context.
    current: Format | None = None

    def __init__(self) -> None:
        Format.current = self

    @staticmethod
    def is_json(ctx: click.Context) -> bool:
        """Whether JSON was asked for."""
        return isinstance(ctx.obj, Format) and ctx.obj.json


def choose(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep what ``-o`` says."""
    if value is not None:
        ctx.ensure_object(Format).json = value == "json"


def output_option(command: F) -> F:
    """Give a command ``-o``."""
    option = click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), expose_value=False, callback=choose,
        is_eager=True, help="How to print.",
    )  # fmt: skip
    return option(command)


def wants_json() -> bool:
    """Whether the running command prints JSON."""
    return Format.current is not None and Format.current.json


def show(value: object, text: Callable[[Console], None]) -> None:
    """Print *value* as JSON if that is asked for, else what *text* prints."""
    if wants_json():
        print_json(value)
    else:
        text(console())


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=indent))


def console() -> Console:
    """Standard output for people: colour and width as the terminal has them, plain text elsewhere."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), emoji=False)


def complain(message: str, kind: str) -> None:
    """Tell an error: one object on standard error for programs, one line for people."""
    if wants_json():
        click.echo(json.dumps({"error": {"type": kind, "message": message}}), err=True)
    else:
        click.echo(f"Error: {message}", err=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> Any:
    """A table without lines. The columns in *right* hold numbers; the others wrap where they must."""
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for position, heading in enumerate(headings):
        is_number = position in numbers
        made.add_column(heading, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in rows:
        made.add_row(*("" if cell is None else Text(str(cell)) for cell in row))
    return made


def plain(value: object) -> Any:
    """What JSON can hold of *value*: dataclasses and named tuples as objects, times as ISO text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        items = cast("Iterable[tuple[Any, Any]]", value.items())
        return {str(key): plain(item) for key, item in items}
    named = getattr(value, "_fields", None)
    if named is not None:
        return {name: plain(getattr(value, name)) for name in named}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in cast("Iterable[Any]", value)]
    return str(value)


def seconds(value: float | None) -> str:
    """A duration as people say it: ``0.4 ms``, ``12 ms``, ``3.1 s``, ``2 m 05 s``, ``3 h 10 m``."""
    if value is None:
        return ""
    if value < 0.0995:
        return f"{value * 1000:.1f} ms" if value < 0.00995 else f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"
