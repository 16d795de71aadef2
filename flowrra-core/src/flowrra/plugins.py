"""Loads plugins and calls their hooks, with the types that pluggy can't give."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import isawaitable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

from pluggy import PluginManager

from flowrra.discovery import Installed, entry_points, forget_entry_points, load, row_of
from flowrra.exceptions import PluginError
from flowrra.hookspecs import HOOKS, PROJECT, check, parameters

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from flowrra.app import Flowrra
    from flowrra.call import Call
    from flowrra.message import Message
    from flowrra.protocols import Scheduler, SchedulerStore
    from flowrra.schedule import Schedule
    from flowrra.task import Task, TaskResult

logger: logging.Logger = logging.getLogger(__name__)

GROUP: Final = "flowrra.plugins"
DISABLE_VARIABLE: Final = "FLOWRRA_DISABLE_PLUGINS"

#: Seconds that one implementation of a task hook may take.
TASK_HOOK_LIMIT: float = 5.0
#: Seconds that one implementation of ``flowrra_startup`` or ``flowrra_shutdown`` may take.
LIFECYCLE_HOOK_LIMIT: float = 30.0


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin at work, and the hooks that it implements."""

    source: Installed
    plugin: object
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin that could not be loaded and was skipped; ``error`` says why."""

    source: Installed
    error: PluginError


class _Implementation(NamedTuple):
    """One plugin's function for one hook."""

    source: Installed
    hook: str
    function: Callable[..., object]
    arguments: Sequence[str]

    def __call__(self, facts: Mapping[str, object]) -> object:
        return self.function(**{name: facts[name] for name in self.arguments})

    @contextmanager
    def reporting(self) -> Generator[None, None, None]:
        """Tell the log, and nobody else, what goes wrong inside."""
        try:
            yield
        except Exception as error:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Tell the log that the call failed."""
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        self.warn(f"failed in {self.hook}: {cause}", error)

    def warn(self, what: str, error: BaseException | None = None) -> None:
        """Tell the log what this implementation did."""
        extra = {"plugin": self.source.name, "hook": self.hook}
        logger.warning("plugin %s %s", self.source, what, exc_info=error, extra=extra)


class Plugins:
    """A set of plugins, with one method for each hook.

    ``on_…`` tell whether anybody implements a task hook, so that a caller can skip the work of
    preparing its arguments. A hook whose plugins fail or take too long is logged and returns as
    if they had not been there; only ``create_scheduler`` passes errors on.
    """

    _installed: ClassVar[Plugins | None] = None
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, plugins: Iterable[object] = ()) -> None:
        """Use *plugins*: modules or objects with hook implementations.

        Raises:
            PluginError: One of them implements a hook that doesn't exist, or with wrong arguments.
        """
        self.failures: tuple[PluginFailure, ...] = ()  #: what could not be loaded
        self.disabled: tuple[Installed, ...] = ()  #: what ``FLOWRRA_DISABLE_PLUGINS`` names
        manager = PluginManager(PROJECT)
        #: Plugins at work.
        self.loaded: tuple[LoadedPlugin, ...] = tuple(_register(manager, each) for each in _distinct(plugins))
        self._implementations = {hook: tuple(_collect(manager, hook, self.loaded)) for hook in HOOKS}
        calls = self._implementations
        self.on_submitting: bool = bool(calls["flowrra_task_submitting"])
        self.on_submitted: bool = bool(calls["flowrra_task_submitted"])
        self.on_started: bool = bool(calls["flowrra_task_started"])
        self.on_finished: bool = bool(calls["flowrra_task_finished"])
        self.on_retrying: bool = bool(calls["flowrra_task_retrying"])
        self.on_schedule_fired: bool = bool(calls["flowrra_schedule_fired"])

    @classmethod
    def installed(cls, *, refresh: bool = False) -> Plugins:
        """Every installed plugin that ``FLOWRRA_DISABLE_PLUGINS`` doesn't name, loaded once per process.

        One that can't be imported is logged, kept in ``failures``, and skipped. *refresh* looks anew.

        Raises:
            PluginError: One of them implements a hook that doesn't exist, or with wrong arguments.
        """
        with cls._lock:
            if refresh:
                forget_entry_points()
            if refresh or cls._installed is None:
                cls._installed = cls._load_installed()
            return cls._installed

    @classmethod
    def _load_installed(cls) -> Plugins:
        names = {name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")}
        found = sorted(entry_points(GROUP), key=lambda each: each.name)
        outcomes = [_load(each) for each in found if each.name not in names]
        plugins = cls(each for each in outcomes if isinstance(each, LoadedPlugin))
        plugins.failures = tuple(each for each in outcomes if isinstance(each, PluginFailure))
        plugins.disabled = tuple(row_of(each) for each in found if each.name in names)
        return plugins

    async def startup(self, app: Flowrra) -> None:
        """Fire ``flowrra_startup``."""
        await self._tell("flowrra_startup", {"app": app}, LIFECYCLE_HOOK_LIMIT)

    async def shutdown(self, app: Flowrra) -> None:
        """Fire ``flowrra_shutdown``."""
        await self._tell("flowrra_shutdown", {"app": app}, LIFECYCLE_HOOK_LIMIT)

    def task_registered(self, app: Flowrra, task: Task[Any, Any, Any]) -> None:
        """Fire ``flowrra_task_registered``."""
        self._call("flowrra_task_registered", {"app": app, "task": task})

    async def task_submitting(self, app: Flowrra, messages: Sequence[Message]) -> None:
        """Fire ``flowrra_task_submitting``."""
        await self._tell("flowrra_task_submitting", {"app": app, "messages": messages}, TASK_HOOK_LIMIT)

    async def task_submitted(self, app: Flowrra, messages: Sequence[Message]) -> None:
        """Fire ``flowrra_task_submitted``."""
        await self._tell("flowrra_task_submitted", {"app": app, "messages": messages}, TASK_HOOK_LIMIT)

    async def task_started(self, app: Flowrra, calls: Sequence[Call]) -> None:
        """Fire ``flowrra_task_started``."""
        await self._tell("flowrra_task_started", {"app": app, "calls": calls}, TASK_HOOK_LIMIT)

    async def task_finished(self, app: Flowrra, results: Sequence[TaskResult]) -> None:
        """Fire ``flowrra_task_finished``."""
        await self._tell("flowrra_task_finished", {"app": app, "results": results}, TASK_HOOK_LIMIT)

    async def task_retrying(self, app: Flowrra, results: Sequence[TaskResult]) -> None:
        """Fire ``flowrra_task_retrying``."""
        await self._tell("flowrra_task_retrying", {"app": app, "results": results}, TASK_HOOK_LIMIT)

    async def schedule_fired(self, app: Flowrra, schedule: Schedule, task_id: str) -> None:
        """Fire ``flowrra_schedule_fired``."""
        facts: dict[str, object] = {"app": app, "schedule": schedule, "task_id": task_id}
        await self._tell("flowrra_schedule_fired", facts, TASK_HOOK_LIMIT)

    def create_scheduler(self, app: Flowrra, store: str | SchedulerStore | None) -> Scheduler | None:
        """Fire ``flowrra_create_scheduler``: the first answer, or None. Errors are the caller's."""
        for implementation in self._implementations["flowrra_create_scheduler"]:
            scheduler: Any = implementation({"app": app, "store": store})
            if scheduler is not None:
                return cast("Scheduler", scheduler)
        return None

    def register_commands(self, cli: Any) -> None:
        """Fire ``flowrra_register_commands``."""
        self._call("flowrra_register_commands", {"cli": cli})

    def ui_routes(self) -> list[Any]:
        """Fire ``flowrra_ui_routes``: the routes of all plugins in one list."""
        routes: list[Any] = []
        for implementation in self._implementations["flowrra_ui_routes"]:
            with implementation.reporting():
                answer: Any = implementation({})
                routes.extend(list(answer or ()))
        return routes

    def _call(self, hook: str, facts: Mapping[str, object]) -> None:
        """Call a plain hook everywhere."""
        for implementation in self._implementations[hook]:
            with implementation.reporting():
                implementation(facts)

    async def _tell(self, hook: str, facts: Mapping[str, object], limit: float) -> None:
        """Call a hook everywhere, one plugin after the other, each for at most *limit* seconds."""
        for implementation in self._implementations[hook]:
            with implementation.reporting():
                answer = implementation(facts)
                if isawaitable(answer):
                    await _within(limit, implementation, answer)


async def _within(limit: float, implementation: _Implementation, answer: Awaitable[object]) -> None:
    """Await an implementation's answer, and stop it after *limit* seconds."""
    scope = asyncio.timeout(limit)
    try:
        async with scope:
            await answer
    except TimeoutError:
        if not scope.expired():
            raise
        implementation.warn(f"took longer than {limit:g} s in {implementation.hook} and was stopped there")
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        implementation.failed(error)


def _is_cancelled() -> bool:
    """Whether somebody cancelled the running task; if not, the error is a plugin's own."""
    return bool((task := asyncio.current_task()) and task.cancelling())


def _load(found: EntryPoint) -> LoadedPlugin | PluginFailure:
    source = row_of(found)
    try:
        return LoadedPlugin(source, load("plugin", found))
    except PluginError as error:
        logger.warning("%s; it is skipped", error, extra={"plugin": source.name})
        return PluginFailure(source, error)


def _distinct(plugins: Iterable[object]) -> Iterable[LoadedPlugin]:
    """Each plugin once, described."""
    described = (each if isinstance(each, LoadedPlugin) else _describe(each) for each in plugins)
    return {id(each.plugin): each for each in described}.values()


def _describe(plugin: object) -> LoadedPlugin:
    if isinstance(plugin, ModuleType):
        return LoadedPlugin(Installed(plugin.__name__, plugin.__name__), plugin)
    kind = type(plugin)
    return LoadedPlugin(Installed(kind.__name__, f"{kind.__module__}:{kind.__qualname__}"), plugin)


def _register(manager: PluginManager, loaded: LoadedPlugin) -> LoadedPlugin:
    """Register a plugin and check each of its hooks."""
    manager.register(loaded.plugin)
    callers = manager.get_hookcallers(loaded.plugin) or ()
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is loaded.plugin:
                check(loaded.source, caller.name, implementation)
    return replace(loaded, hooks=tuple(sorted(caller.name for caller in callers)))


def _collect(manager: PluginManager, hook: str, plugins: Iterable[LoadedPlugin]) -> Iterator[_Implementation]:
    """The implementations of a hook in the order in which they are called."""
    sources = {id(each.plugin): each.source for each in plugins}
    caller = getattr(manager.hook, hook, None)
    for found in reversed(caller.get_hookimpls() if caller else ()):
        yield _Implementation(sources[id(found.plugin)], hook, found.function, parameters(found.function))
