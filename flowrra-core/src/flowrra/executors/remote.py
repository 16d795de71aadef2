"""Errors that were raised in another process, as text."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final

#: Longest text and traceback that are sent, in characters.
TEXT_LIMIT: Final = 16 * 1024


class RemoteError(Exception):
    """A task raised this where Python objects can't come from.

    For executors that run tasks in other processes: ``describe`` there, ``from_dict`` here.
    """

    def __init__(
        self,
        type_name: str,
        text: str,
        traceback_text: str | None = None,
        mro_names: Iterable[str] = (),
        *,
        retryable: bool = True,
    ) -> None:
        self.type_name: str = type_name
        self.text: str = text
        self.traceback_text: str | None = traceback_text
        #: ``module.qualname`` of the error's class and its bases.
        self.mro_names: tuple[str, ...] = tuple(mro_names)
        #: False: another attempt would end the same way, whatever the task's retry settings.
        self.retryable: bool = retryable
        super().__init__(f"{type_name}: {text}" if text else type_name)

    def is_a(self, kinds: Iterable[type[BaseException]]) -> bool:
        """Whether the error was an instance of one of *kinds*, as ``except`` would see it."""
        return any(_class_name(kind) in self.mro_names for kind in kinds)

    @classmethod
    def describe(cls, error: BaseException, *, retryable: bool = True) -> RemoteError:
        """Everything about *error* that travels."""
        if isinstance(error, RemoteError):
            return error
        return cls(
            type(error).__name__,
            _text(error),
            _traceback(error),
            map(_class_name, type(error).__mro__),
            retryable=retryable,
        )

    def to_dict(self) -> dict[str, Any]:
        """The facts as values that JSON knows."""
        return {
            "type": self.type_name,
            "text": self.text,
            "traceback": self.traceback_text,
            "mro": self.mro_names,
            "retryable": self.retryable,
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> RemoteError:
        """The error that ``to_dict`` was called on."""
        return cls(
            facts["type"], facts["text"], facts["traceback"], facts["mro"], retryable=facts["retryable"]
        )


class NotStartedError(Exception):
    """The process died while it was idle, before it read the call that it was given."""


def real_module(name: str) -> str:
    """The name under which every process knows a module: that of ``python -m``'s is not ``__main__``."""
    if name == "__mp_main__":
        return "__main__"
    spec = getattr(sys.modules.get("__main__"), "__spec__", None) if name == "__main__" else None
    return name if spec is None else spec.name


def _class_name(kind: type[Any]) -> str:
    return f"{real_module(kind.__module__)}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:TEXT_LIMIT]
    except Exception:
        return f"<{type(error).__name__} without a readable text>"


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _own_frames_left_out(error.__traceback__))
        return "".join(lines)[-TEXT_LIMIT:]
    except Exception:
        return f"<{type(error).__name__} without a readable traceback>"


def _own_frames_left_out(frames: TracebackType | None) -> TracebackType | None:
    """What lies below Flowrra's frames; all of it if there is nothing below."""
    below = frames
    while below is not None and below.tb_frame.f_globals.get("__name__", "").startswith("flowrra."):
        below = below.tb_next
    return below or frames
