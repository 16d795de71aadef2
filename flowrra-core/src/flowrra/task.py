"""Tasks: what ``@app.task`` returns, what submitting returns, and what became of a task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from flowrra.exceptions import TaskCancelledError, TaskFailedError
from flowrra.options import Options
from flowrra.result import Attempt, Progress, TaskResult
from flowrra.retry import RetryPolicy
from flowrra.status import TaskStatus

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.message import Message

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")
R_co = TypeVar("R_co", covariant=True)
D_co = TypeVar("D_co", covariant=True)


class TaskHandle(Generic[R_co]):
    """A submitted task: its id, and the way to its result."""

    __slots__ = ("_app", "id")

    def __init__(self, app: Flowrra, id: str) -> None:
        self._app: Flowrra = app
        self.id: str = id

    def __repr__(self) -> str:
        return f"TaskHandle({self.id!r})"

    async def result(self, timeout: float | None = None) -> R_co:
        """Wait for the task and return its value.

        Raises:
            TaskFailedError: It failed for good.
            TaskCancelledError: It was cancelled or expired.
            TaskTimeoutError: *timeout* seconds went by first.
            TaskNotFoundError: Its result is gone already.
        """
        found = await self._app.wait_for_result(self.id, timeout)
        if found.status is TaskStatus.SUCCESS:
            value: R_co = found.result
            return value
        if found.status is TaskStatus.CANCELLED:
            raise TaskCancelledError(self.id, found.task_name, found.error)
        raise TaskFailedError(self.id, found.task_name, found.error)

    async def status(self) -> TaskStatus | None:
        """Where the task stands; None when nobody knows it any more."""
        found = await self._app.get_result(self.id)
        return found.status if found else None

    async def cancel(self) -> bool:
        """Cancel the task; whether that took effect. See :meth:`Flowrra.cancel`."""
        return await self._app.cancel(self.id)


class Signature(NamedTuple, Generic[R_co]):
    """A task with its arguments and options, not submitted yet: an item of ``submit_many``."""

    task: Task[..., R_co, Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Options


class BoundOptions(Generic[P, R_co]):
    """A task together with options for its submissions."""

    __slots__ = ("_options", "_task")

    def __init__(self, task: Task[P, R_co, Any], options: Options) -> None:
        self._task = task
        self._options = options

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R_co]:
        """Submit with these options. See :meth:`Task.submit`."""
        return await self._task.app.submit_signature(Signature(self._task, args, kwargs, self._options))

    def signature(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R_co]:
        """Arguments and these options together, for ``app.submit_many``."""
        return Signature(self._task, args, kwargs, self._options)


class Task(Generic[P, R_co, D_co]):
    """A registered function. Calling it calls the function; ``submit`` queues it."""

    def __init__(
        self,
        app: Flowrra,
        function: Callable[P, D_co],
        name: str,
        kind: str,
        defaults: Options,
        retry: RetryOptions,
        unique_key: Callable[..., str] | None = None,
    ) -> None:
        self.app: Flowrra = app
        self.function: Callable[P, D_co] = function
        self.name: str = name
        #: The kind of executor that runs it: ``io``, ``thread``, ``cpu`` or a plugin's.
        self.kind: str = kind
        self.defaults: Options = defaults
        self.retry: RetryOptions = retry
        #: Makes the unique key from the arguments, where the task has no fixed one.
        self.unique_key: Callable[..., str] | None = unique_key
        functools.update_wrapper(self, function)

    @functools.cached_property
    def label(self) -> str:
        """What messages call it."""
        return f"task {self.name!r}"

    def __repr__(self) -> str:
        return f"<Task {self.name!r} ({self.kind})>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> D_co:
        """Call the function itself, here and now."""
        return self.function(*args, **kwargs)

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R_co]:
        """Queue a call with these arguments and return its handle.

        Raises:
            EncodingError: An argument can't be encoded; it is named.
            PayloadTooLargeError: The encoded arguments exceed 1 MiB.
            QueueFullError: The queue stayed full for ``submit_timeout`` seconds.
            UnsupportedError: The broker can't do what the task's options ask for.
        """
        return await self.app.submit_signature(Signature(self, args, kwargs, self.defaults))

    def signature(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R_co]:
        """The task with these arguments, to be given to ``app.submit_many``."""
        return Signature(self, args, kwargs, self.defaults)

    def options(
        self,
        *,
        priority: int | None = None,
        delay: float | None = None,
        eta: datetime | None = None,
        queue: str | None = None,
        timeout: float | None = None,
        unique_key: str | None = None,
        expires: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> BoundOptions[P, R_co]:
        """The same task with other options; what is None stays as the task has it.

        Args:
            priority: -512 to 511; the lower number runs first.
            delay: Seconds before it may run.
            eta: An aware time before which it may not run; the past means now.
            queue: The queue to join.
            timeout: Seconds for each attempt.
            unique_key: While a task with this key waits, runs or retries in the queue, submitting
                another returns the first one's id.
            expires: Seconds within which it must have started, else it is cancelled.
            headers: Text that travels with the task.

        Raises:
            ValueError: A value is out of range; it is named.
        """
        given: dict[str, Any] = {
            "priority": priority, "delay": delay, "eta": eta, "queue": queue, "timeout": timeout,
            "unique_key": unique_key, "expires": expires, "headers": headers,
        }  # fmt: skip
        changes = {name: value for name, value in given.items() if value is not None}
        return BoundOptions(self, replace(self.defaults, **changes))

    @functools.cached_property
    def arity(self) -> tuple[int, int] | None:
        """The fewest and most positional arguments that are enough for a call without keywords;
        None where the function's signature can't be read."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return None
        return _arity(parameters)

    def check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError, naming the task, if the function can't be called with these arguments."""
        arity = self.arity
        if arity is None or (not kwargs and arity[0] <= len(args) <= arity[1]):
            return
        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"task {self.name!r}: {error}") from None

    @functools.cached_property
    def parameter_names(self) -> list[str]:
        """The names of the positional parameters, for messages."""
        try:
            return list(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):
            return []

    @property
    def path(self) -> str:
        """Where another process finds the function: ``module:qualified.name``."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def file(self) -> str:
        """The source file of the function, as its code object names it."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return code.co_filename if code else f"<{self.function.__module__}>"


class RetryOptions(NamedTuple):
    """A task's own retry settings; None means what ``ExecutorConfig`` says."""

    max_retries: int | None = None
    retry_delay: float | None = None
    max_retry_delay: float = 3600.0
    retry_jitter: float = 0.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    no_retry_on: tuple[type[BaseException], ...] = ()

    def overridden(self, message: Message) -> RetryOptions:
        """These settings, but for what *message* says of its own."""
        return self._replace(
            max_retries=self.max_retries if message.max_retries is None else message.max_retries,
            retry_delay=self.retry_delay if message.retry_delay is None else message.retry_delay,
        )

    def policy(self, max_retries: int, retry_delay: float) -> RetryPolicy:
        """The policy in force where the configuration says *max_retries* and *retry_delay*."""
        return RetryPolicy(
            max_retries=max_retries if self.max_retries is None else self.max_retries,
            retry_delay=retry_delay if self.retry_delay is None else self.retry_delay,
            max_retry_delay=self.max_retry_delay,
            retry_jitter=self.retry_jitter,
            retry_on=self.retry_on,
            no_retry_on=self.no_retry_on,
        )


class TaskDecorator(Protocol):
    """What ``app.task(...)`` returns: turns a function into a task of the function's own types."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Task[P, R, Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R, R]: ...


def check_function(function: object) -> None:
    """Raise TypeError, saying why, if *function* is nothing that can become a task."""
    if isinstance(function, functools.partial):
        raise TypeError("a functools.partial can't be a task: define a function that makes the call")
    if inspect.ismethod(function):
        raise TypeError(
            f"bound method {function.__qualname__!r} can't be a task: use a module-level function"
        )
    if not inspect.isroutine(function):
        raise TypeError(f"{function!r} can't be a task: decorate a function (def or async def)")
    plain = inspect.unwrap(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise TypeError(f"generator function {plain.__qualname__!r} can't be a task: return a list instead")


def _arity(parameters: Iterable[inspect.Parameter]) -> tuple[int, int]:
    fewest = most = 0
    for parameter in parameters:
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = 1 << 30
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            return 1, 0
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            fewest += required
            most += 1
    return fewest, most


__all__ = [
    "Attempt", "BoundOptions", "Progress", "RetryOptions", "Signature", "Task", "TaskDecorator",
    "TaskHandle", "TaskResult", "check_function",
]  # fmt: skip
