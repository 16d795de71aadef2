"""From a decorated function to a registered task."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flowrra.options import Options, check_name, check_retries
from flowrra.registry import AnyTask
from flowrra.task import RetryOptions, Task, TaskDecorator, check_function

if TYPE_CHECKING:
    from flowrra.app import Flowrra


class Registration(NamedTuple):
    """The options of one ``@app.task(...)``; calling it with a function registers that."""

    app: Flowrra
    name: str | None
    kind: str | None
    defaults: Options
    retry: RetryOptions
    make_key: Callable[..., str] | None

    def __call__(self, function: Callable[..., Any]) -> AnyTask:
        """Register *function*.

        Raises:
            TypeError: It can't be a task of this kind; says why.
            DuplicateTaskError: Another function has the name.
        """
        check_function(function)
        app, name = self.app, self.name or function.__name__
        kind = self.kind or _kind_of(function)
        if kind in app.executors:
            app.executors[kind].check(function)
        task: AnyTask = Task(app, function, name, kind, self.defaults, self.retry, self.make_key)
        app.registry.add(task)
        app.engine.announce(task)
        return task


class Registrar(ABC):
    """The part of an application by which tasks are registered."""

    @abstractmethod
    def _app(self) -> Flowrra:
        """The application itself."""

    def task(
        self,
        name: str | None = None,
        cpu_bound: bool = False,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        *,
        priority: int = 0,
        timeout: float | None = None,
        queue: str = "default",
        executor: str | None = None,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        no_retry_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        max_retry_delay: float = 3600.0,
        retry_jitter: float = 0.0,
        expires: float | None = None,
        unique_key: str | Callable[..., str] | None = None,
    ) -> TaskDecorator:
        """Register the decorated function as a task.

        ``async def`` runs on the event loop, ``def`` in a thread, and with ``cpu_bound=True`` in
        another process.

        Args:
            name: How messages name it; the function's name if None.
            cpu_bound: Run in another process; needs a plain ``def`` at module level.
            max_retries: Further attempts after a failure; None: as configured in ``ExecutorConfig`` (3).
            retry_delay: Seconds before the first of them, doubled each time; None: as configured (1.0).
            priority: -512 to 511; the lower number runs first.
            timeout: Seconds for each attempt.
            queue: The queue that it joins.
            executor: The kind of executor: ``io``, ``thread``, ``cpu`` or a plugin's.
            retry_on: Errors after which it is retried.
            no_retry_on: Errors after which it is not; beats ``retry_on``.
            max_retry_delay: The longest delay between attempts, seconds.
            retry_jitter: Fraction, 0 to 1, by which a delay grows at random.
            expires: Seconds after submission within which it must have started, else it is cancelled.
            unique_key: A key, or a function of the arguments that makes one: while a task with that
                key waits, runs or retries in the queue, submitting another returns the first one's id.

        Raises:
            TypeError: The function can't be a task, or not of this kind; says why.
            DuplicateTaskError: Another function has the name.
            ValueError: An option is out of range.
        """
        if callable(name):
            raise TypeError("write @app.task() with parentheses; the first argument is the task's name")
        check_name("name", name)
        check_retries(max_retries, retry_delay, max_retry_delay, retry_jitter)
        fixed_key = unique_key if isinstance(unique_key, str) else None
        registration = Registration(
            self._app(),
            name,
            executor or ("cpu" if cpu_bound else None),
            Options(priority=priority, timeout=timeout, queue=queue, expires=expires, unique_key=fixed_key),
            RetryOptions(
                max_retries=max_retries,
                retry_delay=retry_delay,
                max_retry_delay=max_retry_delay,
                retry_jitter=retry_jitter,
                retry_on=_as_tuple(retry_on),
                no_retry_on=_as_tuple(no_retry_on),
            ),
            unique_key if callable(unique_key) else None,
        )
        return cast("TaskDecorator", registration)


def _as_tuple(
    errors: type[BaseException] | tuple[type[BaseException], ...],
) -> tuple[type[BaseException], ...]:
    """One class or several, as several."""
    return errors if isinstance(errors, tuple) else (errors,)


def _kind_of(function: Callable[..., Any]) -> str:
    return "io" if inspect.iscoroutinefunction(inspect.unwrap(function)) else "thread"
