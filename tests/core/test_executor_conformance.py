"""The executors of the core keep the promises of their contract."""

from __future__ import annotations

import pytest

from flowrra.config import ExecutorConfig
from flowrra.executors.cpu import CPUExecutor
from flowrra.executors.io import IOExecutor
from flowrra.executors.thread import ThreadExecutor
from flowrra.testing import ExecutorConformance

CONFIG = ExecutorConfig(num_workers=2, cpu_workers=2)


class TestIOExecutor(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> IOExecutor:
        return IOExecutor(CONFIG)


class TestThreadExecutor(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> ThreadExecutor:
        return ThreadExecutor(CONFIG)


class TestCPUExecutor(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> CPUExecutor:
        return CPUExecutor(CONFIG)
