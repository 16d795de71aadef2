"""Flowrra in memory, as it is here and as version 0.1.8 was published: one set of calls serves both."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.inprocess.workload import CONCURRENCY, Job, noop

BATCH = 1_000


class FlowrraApp:
    """An application whose tasks are submitted one by one."""

    def __init__(self, config: Any, **options: Any) -> None:
        self._app: Any = import_module("flowrra").Flowrra(config)
        self._task: Any = self._app.task(**options)(noop)

    async def start(self) -> None:
        """Start the application."""
        await self._app.start()

    async def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit the jobs one by one."""
        submit, task = self._app.submit, self._task
        return [await submit(task, *job) for job in jobs]

    async def wait(self, handle: str) -> None:
        """Wait for the result by id."""
        await self._app.wait_for_result(handle)

    async def read(self, handle: str) -> object:
        """The value of a task that succeeded."""
        found = await self._app.get_result(handle)
        return found.result if found is not None and found.is_success else None

    async def stop(self) -> None:
        """Stop the application."""
        await self._app.stop()


class FlowrraBatches(FlowrraApp):
    """The same application, given its tasks in batches."""

    async def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit the jobs a thousand at a time."""
        signature, ids = self._task.signature, list[str]()
        for start in range(0, len(jobs), BATCH):
            batch = [signature(*job) for job in jobs[start : start + BATCH]]
            ids += [handle.id for handle in await self._app.submit_many(batch)]
        return ids


def published(room: int) -> FlowrraApp:
    """Version 0.1.8: results are kept without a limit."""
    flowrra: Any = import_module("flowrra")
    executor = flowrra.ExecutorConfig(io_workers=CONCURRENCY, max_queue_size=room)
    return FlowrraApp(flowrra.Config(executor=executor))


def _config(room: int) -> Any:
    flowrra: Any = import_module("flowrra")
    return flowrra.Config(
        executor=flowrra.ExecutorConfig(num_workers=CONCURRENCY, max_queue_size=room),
        backend=flowrra.BackendConfig(url="memory://", history_limit=room),
    )


def current(room: int) -> FlowrraApp:
    """This version."""
    return FlowrraApp(_config(room))


def limited(room: int) -> FlowrraApp:
    """This version, with a time limit on every task."""
    return FlowrraApp(_config(room), timeout=30)


def batches(room: int) -> FlowrraApp:
    """This version, with ``submit_many``."""
    return FlowrraBatches(_config(room))
