"""Moving an isolated application by hand: run what is ready, let time pass, look into its queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from flowrra.app import Flowrra
from flowrra.message import Entry, Message, Place
from flowrra.protocols import QueueAdmin
from flowrra.reading import result_of_record
from flowrra.registry import AnyTask
from flowrra.result import TaskResult
from flowrra.serialization import decode_arguments, decode_value, encode_value
from flowrra.testing.clock import FakeClock, settled
from flowrra.testing.isolation import ListedBackend
from flowrra.worker.worker import Worker

#: Seconds of real time that ``advance`` gives to threads and processes, all in all.
PATIENCE: Final = 5.0

#: Tasks that are listed when an assertion fails.
_LISTED: Final = 20


class AppDriver:
    """Drives an application that :func:`isolated` cut off. No worker runs between its calls."""

    def __init__(self, app: Flowrra, clock: FakeClock) -> None:
        self._app = app
        self._clock = clock

    async def drain(self, timeout: float = 30.0) -> list[TaskResult]:
        """Run everything that is ready now to its end, and what it submits; time stands still.

        Tasks that are delayed, also those to be retried, stay where they are: see ``advance``.

        Args:
            timeout: Seconds of real time.

        Returns:
            What became final, in that order.

        Raises:
            TimeoutError: Tasks still run after *timeout* seconds; they are named and handed back.
        """
        backend = self._backend()
        earlier = len(backend.stored)
        deadline = asyncio.get_running_loop().time() + timeout
        async with self._working() as worker:
            while await self._busy(worker):
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError(f"tasks don't end within {timeout:g} s: {', '.join(worker.running)}")
                await asyncio.sleep(0.001)
        return [result_of_record(record) for record in backend.stored[earlier:]]

    async def advance(self, seconds: float) -> list[TaskResult]:
        """Let *seconds* pass, and run each task at its time: delays, retries and time limits included.

        No real time passes, but for what threads and other processes need for their work.

        Returns:
            What became final, in that order.
        """
        backend = self._backend()
        earlier = len(backend.stored)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        async with self._working():
            await self._clock.advance(seconds, lambda: self._let_run(deadline))
        return [result_of_record(record) for record in backend.stored[earlier:]]

    async def assert_enqueued(
        self,
        task: AnyTask | Callable[..., Any] | str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
    ) -> str:
        """Fail unless a call of *task* waits, ready or delayed; return the id of the first.

        Args:
            task: The task, its function or its name.
            args: Its positional arguments; None: any.
            kwargs: Its keyword arguments; None: any.
            queue: Where it waits; None: anywhere.
        """
        found = await self._find(task, args, kwargs, queue)
        if isinstance(found, str):
            raise AssertionError(found)  # noqa: TRY004  (a test fails)
        return found.message.id

    async def refute_enqueued(
        self,
        task: AnyTask | Callable[..., Any] | str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
    ) -> None:
        """Fail if such a call waits; see ``assert_enqueued``."""
        found = await self._find(task, args, kwargs, queue)
        if isinstance(found, Entry):
            shown = f"{_shown(found.message)} waits, with id {found.message.id}"
            raise AssertionError(shown)  # noqa: TRY004  (a test fails)

    async def _find(
        self,
        task: AnyTask | Callable[..., Any] | str,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        queue: str | None,
    ) -> Entry | str:
        """The first entry that matches, or why there is none."""
        name = self._app.find_task(task).name
        waiting = await self._app.home.call(self._waiting)
        for entry in waiting:
            message = entry.message
            if (
                message.task == name
                and queue in (None, message.queue)
                and _called_with(message, args, kwargs)
            ):
                return entry
        listed = "; ".join(_shown(entry.message) for entry in waiting[:_LISTED])
        more = f"; {len(waiting) - _LISTED} more" if len(waiting) > _LISTED else ""
        return f"{_wanted(name, args, kwargs, queue)} doesn't wait; waiting: {listed or 'nothing'}{more}"

    async def _waiting(self) -> list[Entry]:
        admin = self._admin()
        return [
            entry
            for counts in await admin.counts()
            for place in (Place.READY, Place.DELAYED)
            for entry in (await admin.peek(counts.queue, place, counts.ready + counts.delayed)).entries
        ]

    def _admin(self) -> QueueAdmin:
        self._backend()
        return self._app.engine.admin("look into queues")

    def _backend(self) -> ListedBackend:
        backend = self._app.engine.connections.backend
        if not isinstance(backend, ListedBackend):
            raise TypeError(
                "the application under test uses its own broker and backend; let the fixture flowrra_app "
                "yield flowrra.testing.isolated(app, flowrra_clock)"
            )
        return backend

    @asynccontextmanager
    async def _working(self) -> AsyncGenerator[Worker, None]:
        """Workers at work inside; outside the application is as it was."""
        app = self._app
        if app.engine.worker is not None:
            yield app.engine.worker
            return
        without_workers = app.is_running
        await app.stop()
        await app.start()
        in_time = False
        try:
            assert app.engine.worker is not None
            yield app.engine.worker
            in_time = True
        finally:
            await app.stop(wait=in_time, timeout=PATIENCE)
            if without_workers:
                await app.start(workers=False)

    async def _busy(self, worker: Worker) -> bool:
        await settled()
        if worker.running:
            return True
        counts = await self._admin().counts(worker.queues)
        return any(queue.ready and not queue.paused for queue in counts)

    async def _let_run(self, deadline: float) -> None:
        """Let the loop settle, and wait for what runs outside of it."""
        await settled()
        while self._outside() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.001)
            await settled()

    def _outside(self) -> int:
        executors = self._app.executors.made.items()
        return sum(executor.pending_count() for kind, executor in executors if kind != "io")


def _called_with(message: Message, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> bool:
    its_args, its_kwargs = decode_arguments(message.body)
    return (args is None or _as_sent(list(args)) == list(its_args)) and (
        kwargs is None or _as_sent(dict(kwargs)) == its_kwargs
    )


def _as_sent(value: object) -> object:
    return decode_value(encode_value(value))


def _wanted(
    name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, queue: str | None
) -> str:
    given = {"args": None if args is None else tuple(args), "kwargs": kwargs, "queue": queue}
    wanted = [f"{what}={value!r}" for what, value in given.items() if value is not None]
    return f"task {name!r}{' with ' if wanted else ''}{', '.join(wanted)}"


def _shown(message: Message) -> str:
    args, kwargs = decode_arguments(message.body)
    listed = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return f"{message.task}({', '.join(listed)}) in {message.queue!r}"
