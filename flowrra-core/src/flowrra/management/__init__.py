"""The questions and orders of an operator, as the command line and the dashboard give them."""

from flowrra.management.answers import Counted, RunPage, RunPlace, Stats, TaskInfo, WorkerInfo
from flowrra.management.manager import FlowrraManager

__all__ = ["Counted", "FlowrraManager", "RunPage", "RunPlace", "Stats", "TaskInfo", "WorkerInfo"]
