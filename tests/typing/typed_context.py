# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Types of what tasks, middleware and settings see. Read by the type checkers, never run."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, assert_type

from flowrra import (
    Attempt,
    BackendConfig,
    BrokerConfig,
    Call,
    Config,
    ExecutorConfig,
    Flowrra,
    Progress,
    TaskResult,
    TaskStatus,
    current_task,
)

app = Flowrra(Config(executor=ExecutorConfig(num_workers=10)), broker="memory://")


@app.task()
async def work() -> None:
    task = current_task()
    assert_type(task, Call)
    assert_type(task.id, str)
    assert_type(task.name, str)
    assert_type(task.attempt, int)
    assert_type(task.deadline, float | None)
    assert_type(task.queue, str)
    assert_type(task.headers, Mapping[str, str])
    assert_type(task.cancelled, bool)
    assert_type(task.log, logging.LoggerAdapter[logging.Logger])
    assert_type(task.progress(1, total=2, message="half"), None)


async def around(call: Call, following: Callable[[Call], Awaitable[object]]) -> object:
    value = await following(call)
    assert_type(value, object)
    return value


app.middleware.append(around)


def a_result(result: TaskResult) -> None:
    assert_type(result.task_id, str)
    assert_type(result.status, TaskStatus)
    assert_type(result.result, Any)
    assert_type(result.error, str | None)
    assert_type(result.started_at, datetime | None)
    assert_type(result.finished_at, datetime | None)
    assert_type(result.retries, int)
    assert_type(result.attempts, tuple[Attempt, ...])
    assert_type(result.progress, Progress | None)
    assert_type(result.is_complete, bool)
    assert_type(result.is_success, bool)


def settings() -> None:
    assert_type(Config.from_env(), Config)
    assert_type(Config.load(broker="memory://"), Config)
    assert_type(Config().broker, BrokerConfig | None)
    assert_type(BackendConfig(url="memory://").ttl, int | None)
    assert_type(ExecutorConfig().cpu_workers, int | None)
