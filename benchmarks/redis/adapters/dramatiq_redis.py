"""dramatiq."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

dramatiq: Any = import_module("dramatiq")
brokers: Any = import_module("dramatiq.brokers.redis")
results: Any = import_module("dramatiq.results")
backends: Any = import_module("dramatiq.results.backends")

backend = backends.RedisBackend(url=workload.URL)
broker = brokers.RedisBroker(url=workload.URL)
broker.add_middleware(results.Results(backend=backend, store_results=True))
dramatiq.set_broker(broker)
TASKS = {
    "noop": dramatiq.actor(workload.noop_in_thread, actor_name="noop"),
    "pause": dramatiq.actor(workload.pause_in_thread, actor_name="pause"),
}


class Adapter:
    """The actors."""

    async def start(self) -> None:
        """Connect with the first call."""

    async def stop(self) -> None:
        """Disconnect."""
        broker.close()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return TASKS[task].send(argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """It has no batches."""
        return await workload.one_by_one(self, task, arguments)

    async def read(self, handle: Any) -> object:
        """What the result backend holds."""
        try:
            return handle.get_result(backend=backend)
        except results.ResultMissing:
            return None

    async def result(self, handle: Any, timeout: float) -> object:
        """It blocks."""
        try:
            return handle.get_result(backend=backend, block=True, timeout=int(timeout * 1000))
        except results.ResultTimeout as error:
            raise TimeoutError from error
