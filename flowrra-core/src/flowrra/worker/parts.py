"""What a worker is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowrra.clock import Clock
from flowrra.config import BrokerConfig, ExecutorConfig
from flowrra.protocols import Broker, Executor, Settler
from flowrra.registry import TaskRegistry
from flowrra.worker.observer import Observer, Runner
from flowrra.worker.renewal import Renewing


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker works with."""

    broker: Broker
    settler: Settler
    registry: TaskRegistry
    executors: Mapping[str, Executor]
    broker_config: BrokerConfig
    executor_config: ExecutorConfig
    clock: Clock
    observer: Observer
    renewing: Renewing
    run: Runner
    queues: tuple[str, ...] | None = None
