"""Every hook that a plugin may implement, and the decorator that marks an implementation.

A plugin is a module or an object that the entry-point group ``flowrra.plugins`` names. It
implements a hook by a function of the hook's name, marked with :data:`hookimpl`, that takes
as many of the hook's arguments as it needs, by name.

Unless a hook says otherwise, it may be implemented by a plain function or by an ``async def``,
it is called on the loop that its caller runs on (so a plain function must not block), and its
failure is logged as a WARNING, with the plugin's name, and has no other effect: the other
plugins are called, the task or the app goes on. Plugins are called in no promised order,
except that ``@hookimpl(tryfirst=True)`` and ``@hookimpl(trylast=True)`` are respected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from inspect import Parameter, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pluggy import HookImpl, HookimplMarker, HookspecMarker

from flowrra.exceptions import PluginError, near_matches

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.call import Call
    from flowrra.message import Message
    from flowrra.protocols import Scheduler, SchedulerStore
    from flowrra.schedule import Schedule
    from flowrra.task import Task, TaskResult

PROJECT: Final = "flowrra"

#: Marks a function as the implementation of the hook of its name.
hookimpl: HookimplMarker = HookimplMarker(PROJECT)
hookspec: HookspecMarker = HookspecMarker(PROJECT)

MaybeAwaitable: TypeAlias = Awaitable[None] | None


@hookspec
def flowrra_startup(app: Flowrra) -> MaybeAwaitable:
    """*app* has started: its connections are open, on the running loop.

    May take up to 30 s, during which no task is claimed.
    """


@hookspec
def flowrra_shutdown(app: Flowrra) -> MaybeAwaitable:
    """*app* is about to stop: its connections are still open, on the running loop.

    May take up to 30 s.
    """


@hookspec
def flowrra_task_registered(app: Flowrra, task: Task[Any, Any, Any]) -> None:
    """*task* was registered with *app*.

    A plain function only: registering happens in a decorator, on any thread, without a loop.
    Plugins are loaded when an app first needs them; tasks registered before are announced then.
    """


@hookspec
def flowrra_task_submitting(app: Flowrra, messages: Sequence[Message]) -> MaybeAwaitable:
    """*messages* are about to go to the broker.

    The place to fill ``message.headers``, which travel with the task (trace context).
    May take up to 5 s, by which the submit is delayed.
    """


@hookspec
def flowrra_task_submitted(app: Flowrra, messages: Sequence[Message]) -> MaybeAwaitable:
    """The broker accepted *messages*; duplicates and refused ones are not among them.

    May take up to 5 s.
    """


@hookspec
def flowrra_task_started(app: Flowrra, calls: Sequence[Call]) -> MaybeAwaitable:
    """The functions of *calls* are about to be called, on this worker.

    Every attempt counts: ``call.attempt`` tells which. May take up to 5 s, by which they start later.
    """


@hookspec
def flowrra_task_finished(app: Flowrra, results: Sequence[TaskResult]) -> MaybeAwaitable:
    """Final *results* are stored: success, failure, cancelled or dead. May take up to 5 s."""


@hookspec
def flowrra_task_retrying(app: Flowrra, results: Sequence[TaskResult]) -> MaybeAwaitable:
    """Attempts failed and their tasks were put back to be tried again; each of *results* holds its error.

    May take up to 5 s.
    """


@hookspec
def flowrra_schedule_fired(app: Flowrra, schedule: Schedule, task_id: str) -> MaybeAwaitable:
    """A tick of *schedule* was enqueued as the task *task_id*, by this scheduler. May take up to 5 s."""


@hookspec(firstresult=True)
def flowrra_create_scheduler(app: Flowrra, store: str | SchedulerStore | None) -> Scheduler | None:
    """Make a scheduler for *app* that keeps its schedules in *store*: URL, store, or None.

    A plain function only. The first answer that isn't None wins. An exception reaches the
    caller of ``app.create_scheduler``.
    """


@hookspec
def flowrra_register_commands(cli: Any) -> None:
    """Add commands to the command line; *cli* is its ``click.Group``.

    A plain function only, called whenever the command line starts: import what is heavy
    inside the commands.
    """


@hookspec
def flowrra_ui_routes() -> Iterable[Any] | None:
    """Return routes to add to the dashboard, beside its own. A plain function only."""


#: Every hook's arguments, by the hook's name.
HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(signature(hook).parameters)
    for name, hook in list(globals().items())
    if name.startswith("flowrra_")
}

#: Hooks that are called where nothing can be awaited.
PLAIN_HOOKS: Final = frozenset(
    {"flowrra_task_registered", "flowrra_create_scheduler", "flowrra_register_commands", "flowrra_ui_routes"}
)


def check(source: object, hook: str, implementation: HookImpl) -> None:
    """Make sure that the implementation of *hook* by the plugin *source* can be called.

    Raises:
        PluginError: It can't; names plugin, hook, mistake and near match.
    """
    if hook not in HOOKS:
        if implementation.optionalhook:
            return
        raise _mistake(source, hook, f"but there is no such hook{_near(hook, HOOKS)}")
    for name in parameters(implementation.function):
        if name not in HOOKS[hook]:
            known = ", ".join(HOOKS[hook]) or "none"
            near = _near(name, HOOKS[hook])
            raise _mistake(source, hook, f"with an argument {name!r}; it has: {known}{near}")
    if implementation.wrapper or implementation.hookwrapper:
        raise _mistake(source, hook, "as a wrapper, which no hook can be; to wrap tasks use app.middleware")
    if hook in PLAIN_HOOKS and iscoroutinefunction(implementation.function):
        raise _mistake(source, hook, "with 'async def', but nothing can be awaited there; use 'def'")


def parameters(function: Callable[..., object]) -> tuple[str, ...]:
    """The names of the arguments that an implementation takes."""
    open_ended = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return tuple(each.name for each in signature(function).parameters.values() if each.kind not in open_ended)


def _near(name: str, known: Iterable[str]) -> str:
    match = near_matches(name, known)
    return f"; did you mean {match[0]!r}?" if match else ""


def _mistake(source: object, hook: str, what: str) -> PluginError:
    return PluginError(f"plugin {source} implements {hook!r} {what}")
