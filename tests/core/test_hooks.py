"""Each hook is called with what it promises, and a plugin's trouble stays its own."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flowrra import plugins as plugins_module
from flowrra.hookspecs import HOOKS, hookimpl
from flowrra.plugins import Plugins

APP: Any = SimpleNamespace(name="app")
BATCH: Any = ["one", "two"]


class Recorder:
    """Implements every hook with all of its arguments, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    @hookimpl
    async def flowrra_startup(self, app: Any) -> None:
        await asyncio.sleep(0)
        self.seen.append(("flowrra_startup", app))

    @hookimpl
    async def flowrra_shutdown(self, app: Any) -> None:
        self.seen.append(("flowrra_shutdown", app))

    @hookimpl
    def flowrra_task_registered(self, app: Any, task: Any) -> None:
        self.seen.append(("flowrra_task_registered", app, task))

    @hookimpl
    def flowrra_task_submitting(self, app: Any, messages: Any) -> None:
        self.seen.append(("flowrra_task_submitting", app, messages))

    @hookimpl
    async def flowrra_task_submitted(self, app: Any, messages: Any) -> None:
        self.seen.append(("flowrra_task_submitted", app, messages))

    @hookimpl
    def flowrra_task_started(self, app: Any, calls: Any) -> None:
        self.seen.append(("flowrra_task_started", app, calls))

    @hookimpl
    async def flowrra_task_finished(self, app: Any, results: Any) -> None:
        self.seen.append(("flowrra_task_finished", app, results))

    @hookimpl
    def flowrra_task_retrying(self, app: Any, results: Any) -> None:
        self.seen.append(("flowrra_task_retrying", app, results))

    @hookimpl
    async def flowrra_schedule_fired(self, app: Any, schedule: Any, task_id: str) -> None:
        self.seen.append(("flowrra_schedule_fired", app, schedule, task_id))

    @hookimpl
    def flowrra_create_scheduler(self, app: Any, store: Any) -> Any:
        self.seen.append(("flowrra_create_scheduler", app, store))
        return f"scheduler on {store}"

    @hookimpl
    def flowrra_register_commands(self, cli: Any) -> None:
        self.seen.append(("flowrra_register_commands", cli))

    @hookimpl
    def flowrra_ui_routes(self) -> Any:
        self.seen.append(("flowrra_ui_routes",))
        return ["/a", "/b"]


async def fire(plugins: Plugins, hook: str, *facts: Any) -> Any:
    """Call the method of the façade that stands for *hook*."""
    answer = getattr(plugins, hook.removeprefix("flowrra_"))(*facts)
    return await answer if asyncio.iscoroutine(answer) else answer


@pytest.mark.parametrize(
    ("hook", "facts"),
    [
        ("flowrra_startup", (APP,)),
        ("flowrra_shutdown", (APP,)),
        ("flowrra_task_registered", (APP, "task")),
        ("flowrra_task_submitting", (APP, BATCH)),
        ("flowrra_task_submitted", (APP, BATCH)),
        ("flowrra_task_started", (APP, BATCH)),
        ("flowrra_task_finished", (APP, BATCH)),
        ("flowrra_task_retrying", (APP, BATCH)),
        ("flowrra_schedule_fired", (APP, "schedule", "an-id")),
        ("flowrra_create_scheduler", (APP, "sqlite:///schedules.db")),
        ("flowrra_register_commands", ("cli",)),
        ("flowrra_ui_routes", ()),
    ],
)
async def test_each_hook_gets_its_arguments(hook: str, facts: tuple[Any, ...]) -> None:
    """Each hook reaches each plugin once, sync or async; one scheduler is enough."""
    first, second = Recorder(), Recorder()

    await fire(Plugins([first, second]), hook, *facts)

    assert len(facts) == len(HOOKS[hook])
    asked = 1 if hook == "flowrra_create_scheduler" else 2
    assert first.seen + second.seen == [(hook, *facts)] * asked


@pytest.mark.parametrize("hook", sorted(HOOKS))
async def test_without_plugins_nothing_happens(hook: str) -> None:
    assert await fire(Plugins(), hook, *HOOKS[hook]) in (None, [])


@pytest.mark.parametrize(
    ("flag", "hook"),
    [
        ("on_submitting", "flowrra_task_submitting"),
        ("on_submitted", "flowrra_task_submitted"),
        ("on_started", "flowrra_task_started"),
        ("on_finished", "flowrra_task_finished"),
        ("on_retrying", "flowrra_task_retrying"),
        ("on_schedule_fired", "flowrra_schedule_fired"),
    ],
)
def test_flags_tell_whether_anybody_listens(flag: str, hook: str) -> None:
    """So that preparing a batch costs nothing when nobody wants it."""
    listener = _only(hook)

    assert getattr(Plugins([listener]), flag) is True
    assert getattr(Plugins(), flag) is False
    others = {name for name, value in vars(Plugins([listener])).items() if name.startswith("on_") and value}
    assert others == {flag}


def _only(hook: str) -> Any:
    """A plugin that implements *hook* alone."""

    @hookimpl(specname=hook)
    def implementation() -> None:
        pass

    return SimpleNamespace(implementation=implementation)


async def test_an_implementation_takes_the_arguments_that_it_needs() -> None:
    """In any order, by keyword only, and with defaults, which never win."""
    seen: list[Any] = []

    class Plugin:
        @hookimpl
        def flowrra_schedule_fired(self, task_id: str, *, app: Any = None) -> None:
            seen.append((task_id, app))

    await Plugins([Plugin()]).schedule_fired(APP, cast("Any", "schedule"), "an-id")

    assert seen == [("an-id", APP)]


async def test_a_submitting_hook_fills_headers() -> None:
    class Tracer:
        @hookimpl
        async def flowrra_task_submitting(self, messages: Any) -> None:
            for message in messages:
                message.headers["traceparent"] = "00-1"

    message: Any = SimpleNamespace(headers={})
    await Plugins([Tracer()]).task_submitting(APP, [message])

    assert message.headers == {"traceparent": "00-1"}


class Failing:
    """Fails in whatever it implements."""

    @hookimpl(tryfirst=True)
    async def flowrra_task_finished(self) -> None:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_task_started(self) -> None:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_startup(self) -> None:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_task_registered(self) -> None:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_register_commands(self) -> None:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_ui_routes(self) -> Any:
        raise ValueError("no connection")

    @hookimpl(tryfirst=True)
    def flowrra_create_scheduler(self) -> Any:
        raise ValueError("no connection")


@pytest.mark.parametrize(
    "hook",
    [
        "flowrra_task_finished",
        "flowrra_task_started",
        "flowrra_startup",
        "flowrra_task_registered",
        "flowrra_register_commands",
        "flowrra_ui_routes",
    ],
)
async def test_a_failing_plugin_is_logged_and_the_others_are_called(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    plugins = Plugins([Failing(), recorder])

    await fire(plugins, hook, *HOOKS[hook])

    assert recorder.seen == [(hook, *HOOKS[hook])]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"plugin 'Failing' ({__name__}:Failing) failed in {hook}: ValueError: no connection"
    )
    assert record.exc_info
    assert vars(record)["plugin"] == "Failing"


def test_an_error_in_creating_a_scheduler_is_the_callers() -> None:
    """Who asks for a scheduler wants to know why there is none."""
    with pytest.raises(ValueError, match="no connection"):
        Plugins([Failing(), Recorder()]).create_scheduler(APP, None)


def test_the_first_scheduler_wins() -> None:
    class Unwilling:
        @hookimpl(tryfirst=True)
        def flowrra_create_scheduler(self) -> None:
            pass

    recorder = Recorder()

    assert Plugins([recorder, Unwilling()]).create_scheduler(APP, "url") == "scheduler on url"
    assert len(recorder.seen) == 1


def test_routes_of_all_plugins_are_one_list() -> None:
    class More:
        @hookimpl(trylast=True)
        def flowrra_ui_routes(self) -> Any:
            yield "/c"

    assert Plugins([More(), Recorder()]).ui_routes() == ["/a", "/b", "/c"]


def test_routes_that_are_none_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Wrong:
        @hookimpl
        def flowrra_ui_routes(self) -> Any:
            return 5

    assert Plugins([Wrong(), Recorder()]).ui_routes() == ["/a", "/b"]
    assert "'int' object is not iterable" in caplog.text


class Hanging:
    """Never comes back from a hook by itself."""

    def __init__(self) -> None:
        self.stopped = 0

    @hookimpl(tryfirst=True)
    async def flowrra_task_started(self) -> None:
        await self._hang()

    @hookimpl(tryfirst=True)
    async def flowrra_shutdown(self) -> None:
        await self._hang()

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1


@pytest.mark.parametrize(
    ("hook", "limit"),
    [("flowrra_task_started", "TASK_HOOK_LIMIT"), ("flowrra_shutdown", "LIFECYCLE_HOOK_LIMIT")],
)
async def test_a_slow_plugin_is_stopped_and_the_others_are_called(
    hook: str, limit: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugins_module, limit, 0.001)
    hanging, recorder = Hanging(), Recorder()

    await fire(Plugins([hanging, recorder]), hook, *HOOKS[hook])

    assert hanging.stopped == 1
    assert recorder.seen == [(hook, *HOOKS[hook])]
    assert f"took longer than 0.001 s in {hook} and was stopped there" in caplog.text


def test_task_hooks_are_limited_to_five_seconds() -> None:
    assert plugins_module.TASK_HOOK_LIMIT == 5


async def test_a_time_out_of_the_plugins_own_is_a_failure_like_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Impatient:
        @hookimpl
        async def flowrra_task_started(self) -> None:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    await Plugins([Impatient()]).task_started(APP, [])

    assert "failed in flowrra_task_started: TimeoutError" in caplog.text


async def test_a_stray_cancellation_inside_a_plugin_cancels_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Stray:
        @hookimpl
        async def flowrra_task_started(self) -> None:
            raise asyncio.CancelledError

    recorder = Recorder()
    await Plugins([recorder, Stray()]).task_started(APP, BATCH)

    assert recorder.seen == [("flowrra_task_started", APP, BATCH)]
    assert "failed in flowrra_task_started: CancelledError" in caplog.text


async def test_cancelling_the_caller_cancels_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    caller = asyncio.create_task(Plugins([hanging]).task_started(APP, []))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert hanging.stopped == 1
    assert caplog.text == ""
