"""What the command line does with log records: the library itself configures nothing."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

#: What every record has; anything else was given as ``extra``.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_COLOURS: Final = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31;1"}


class TextFormatter(logging.Formatter):
    """``12:03:04 WARNING flowrra.worker: what happened``; the runs' own lines without level and name."""

    def __init__(self, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback if there is one."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        text = super().format(record)
        if record.name.startswith("flowrra.cli"):
            return f"{time} {text}"
        return f"{time} {self._level(record)} {record.name}: {text}"

    def _level(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelno) if self._coloured else None
        return f"\x1b[{colour}m{record.levelname}\x1b[0m" if colour else record.levelname


class JSONFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the record's extra facts, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False, default=str)


def show_warnings() -> None:
    """Show warnings and errors of Flowrra and of tasks on standard error."""
    configure("warning", as_json=False)


def configure(level: str, *, as_json: bool) -> None:
    """Show records from *level* up: text on standard error, or JSON lines on standard output."""
    handler = logging.StreamHandler(sys.stdout if as_json else sys.stderr)
    handler.setFormatter(JSONFormatter() if as_json else TextFormatter(sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("flowrra").setLevel(_number(level))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
