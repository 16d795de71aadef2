"""The public names of Flowrra: what ``from flowrra import …`` gives."""

from typing import TYPE_CHECKING

from flowrra.app import Flowrra
from flowrra.config import BackendConfig, BrokerConfig, Config, ExecutorConfig, SchedulerConfig
from flowrra.exceptions import (
    ConfigError,
    DecodingError,
    DuplicateTaskError,
    EncodingError,
    ExecutorCrashedError,
    FlowrraError,
    PayloadTooLargeError,
    PermanentError,
    PluginError,
    QueueFullError,
    TaskCancelledError,
    TaskDefinitionError,
    TaskFailedError,
    TaskNotFoundError,
    TaskTimeoutError,
    TransientError,
    UnknownSchemeError,
    UnregisteredTaskError,
    UnsupportedError,
)
from flowrra.registry import TaskRegistry
from flowrra.result import Attempt, Progress, TaskResult
from flowrra.status import TaskStatus
from flowrra.task import Signature, Task, TaskHandle
from flowrra.version import SPI_VERSION, __version__

__all__ = [
    "SPI_VERSION", "Attempt", "BackendConfig", "BrokerConfig", "Config", "ConfigError", "DecodingError",
    "DuplicateTaskError", "EncodingError", "ExecutorConfig", "ExecutorCrashedError", "Flowrra",
    "FlowrraError", "PayloadTooLargeError", "PermanentError", "PluginError", "Progress",
    "QueueFullError", "SchedulerConfig", "Signature", "Task", "TaskCancelledError",
    "TaskDefinitionError", "TaskFailedError", "TaskHandle", "TaskNotFoundError", "TaskRegistry",
    "TaskResult", "TaskStatus", "TaskTimeoutError", "TransientError", "UnknownSchemeError",
    "UnregisteredTaskError", "UnsupportedError", "__version__",
]  # fmt: skip

if TYPE_CHECKING:
    from flowrra.call import Call, current_task
    from flowrra.executors.cpu import CPUExecutor
    from flowrra.executors.io import IOExecutor
    from flowrra.known_dataclasses import serializable
    from flowrra.memory import MemoryBackend as InMemoryBackend

    __all__ += ["CPUExecutor", "Call", "IOExecutor", "InMemoryBackend", "current_task", "serializable"]
else:
    __all__ += ["__getattr__"]
    _ON_DEMAND = {
        "Call": ("flowrra.call", "Call"),
        "CPUExecutor": ("flowrra.executors.cpu", "CPUExecutor"),
        "IOExecutor": ("flowrra.executors.io", "IOExecutor"),
        "InMemoryBackend": ("flowrra.memory", "MemoryBackend"),
        "current_task": ("flowrra.call", "current_task"),
        "serializable": ("flowrra.known_dataclasses", "serializable"),
    }

    def __getattr__(name: str) -> object:
        """Import what few programs name when they do, so that the others start sooner."""
        if name not in _ON_DEMAND:
            raise AttributeError(f"module 'flowrra' has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _ON_DEMAND[name]
        return getattr(import_module(module), attribute)
