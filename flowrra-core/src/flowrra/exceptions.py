"""Every error that Flowrra raises on purpose. Each message says what happened, to what, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class FlowrraError(Exception):
    """Base class of every error that Flowrra raises on purpose."""


class ConfigError(FlowrraError, ValueError):
    """A setting is unknown or its value can't be used; names the setting, the value and what is allowed."""


class UnknownSchemeError(FlowrraError, LookupError):
    """No installed distribution serves this URL scheme, or this kind of executor."""

    def __init__(self, kind: str, scheme: str, installed: Iterable[str], hint: str | None) -> None:
        self.kind: str = kind
        self.scheme: str = scheme
        self.installed: tuple[str, ...] = tuple(sorted(installed))
        of_kind = kind in ("executor", "dashboard")
        what = f"no {kind} of kind {scheme!r}" if of_kind else f"no {kind} for {scheme!r} URLs"
        message = f"{what}; installed: {', '.join(self.installed) or 'none'}."
        super().__init__(f"{message} Try: pip install {hint}" if hint else message)


class PluginError(FlowrraError):
    """A plugin failed to load, or implements a hook that doesn't exist."""


class UnsupportedError(FlowrraError):
    """The configured broker or backend can't do what was asked; the message names both."""

    def __init__(self, owner: object, what: str) -> None:
        self.what: str = what
        super().__init__(
            f"{type(owner).__name__} can't {what}; choose a broker or backend that can (see: flowrra plugins)"
        )


class TransientError(FlowrraError):
    """A broker, backend or store failed in a way that may pass (a lost connection); trying again helps."""


class PermanentError(FlowrraError):
    """A broker, backend or store refuses for good, as with a wrong password: trying again won't help."""


class UnregisteredTaskError(FlowrraError, LookupError):
    """The application has no task of this name; names near matches."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        self.name: str = name
        self.near: tuple[str, ...] = near_matches(name, known)
        if self.near:
            advice = f"did you mean {' or '.join(repr(near) for near in self.near)}?"
        elif known:
            advice = f"registered: {', '.join(sorted(known)[:10])}. Is the module that defines it imported?"
        else:
            advice = "no task is registered; decorate a function with @app.task()"
        super().__init__(f"no task named {name!r}: {advice}")


class DuplicateTaskError(FlowrraError, ValueError):
    """Two different functions were registered under one task name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name: str = name
        super().__init__(
            f"task name {name!r} is taken by {first}; {second} needs another: @app.task(name=...)"
        )


class TaskDefinitionError(FlowrraError, TypeError):
    """A task's function is not what its executor can run; another attempt would end the same way."""


class EncodingError(FlowrraError, TypeError):
    """A value can't be encoded as JSON with Flowrra's extra types; names the value's place."""


class DecodingError(FlowrraError, ValueError):
    """Stored bytes are not what Flowrra writes, or were written by a newer version."""


class PayloadTooLargeError(FlowrraError, ValueError):
    """Encoded arguments or a result exceed the limit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.size: int = size
        self.limit: int = limit
        super().__init__(
            f"{what} takes {size:,} bytes encoded, the limit is {limit:,}; "
            "store the data elsewhere and pass its key"
        )


class QueueFullError(FlowrraError):
    """The queue stayed full for the whole submit timeout; what is named as not accepted was not enqueued.

    ``accepted`` holds the ids of a batch's tasks that did find room.
    """

    def __init__(self, queue: str, limit: int | None, waited: float, accepted: Iterable[str] = ()) -> None:
        self.queue: str = queue
        self.accepted: tuple[str, ...] = tuple(accepted)
        bound = f" ({limit:,} tasks)" if limit is not None else ""
        some = f"; {len(self.accepted)} tasks of the batch were accepted" if self.accepted else ""
        super().__init__(
            f"queue {queue!r} is full{bound} and had no room within {waited:g} s{some}; "
            "start more workers, or raise max_queue_size or submit_timeout"
        )


class TaskNotFoundError(FlowrraError, LookupError):
    """Nobody knows a task of this id: it was never submitted, or its result has expired."""

    def __init__(self, task_id: str) -> None:
        self.task_id: str = task_id
        super().__init__(f"no task with id {task_id!r}: it was never submitted, or its result has expired")


class TaskTimeoutError(FlowrraError, TimeoutError):
    """A wait for a result, or an attempt at a task, took longer than allowed."""


class TaskFailedError(FlowrraError):
    """The awaited task failed; ``error`` is its error's text and ``task_id`` its id."""

    def __init__(self, task_id: str, task_name: str, error: str | None) -> None:
        self.task_id: str = task_id
        self.task_name: str = task_name
        self.error: str | None = error
        super().__init__(f"task {task_name!r} ({task_id}) failed: {error or 'no reason was recorded'}")


class TaskCancelledError(FlowrraError):
    """The awaited task was cancelled, or expired before it started."""

    def __init__(self, task_id: str, task_name: str, reason: str | None) -> None:
        self.task_id: str = task_id
        self.task_name: str = task_name
        self.reason: str | None = reason
        super().__init__(f"task {task_name!r} ({task_id}) was cancelled: {reason or 'by request'}")


class ExecutorCrashedError(FlowrraError):
    """What ran a task died under it (a killed process). The worker counts a crash delivery, not a retry."""


def near_matches(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three known names that *name* may be a misspelling of, the nearest first."""
    from difflib import get_close_matches

    return tuple(get_close_matches(name, list(known)))
