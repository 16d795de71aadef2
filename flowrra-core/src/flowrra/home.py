"""Which event loop an application lives on, and the way there from everywhere else.

The home loop is the one that called ``start()``. Before that, and after that loop was closed
without ``stop()``, it is the process's one background loop. Calls on the home loop are plain
awaits; others are handed over, and handed over again if the application moves meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, TypeAlias, TypeVar

from flowrra.exceptions import TransientError
from flowrra.executors.stopping import stop_here_if_loading

T = TypeVar("T")
#: Cuts the application off from the loop it is on, and returns what ends there what it had.
Detach: TypeAlias = Callable[[], Callable[[], Coroutine[Any, Any, None]]]

#: Seconds after which a call that was handed over looks whether its loop is still there.
LOOK_EVERY: Final = 1.0

#: Seconds that calls which are sent away may take to end.
SENT_AWAY_WITHIN: Final = 1.0


class _Moved:
    """Stands for the value of a call that the application left behind when it moved."""


_MOVED: Final = _Moved()


class Home:
    """Where one application's calls run."""

    def __init__(self, adopt: Callable[[], Coroutine[Any, Any, None]], detach: Detach) -> None:
        self._adopt = adopt
        self._detach = detach
        self._loop: asyncio.AbstractEventLoop | None = None
        # Lives as long as the home loop; whoever cancels everything on that loop cancels it too.
        self._guard: asyncio.Task[None] | None = None
        self._orphaned = False
        self._moves = 0
        self._visitors: set[asyncio.Task[Any]] = set()
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that called ``start()``, or None."""
        return self._loop

    async def call(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run *step* on the home loop and return its value, from any loop."""
        running = asyncio.get_running_loop()
        while True:
            home = running if self._loop is running else self.current()
            if home is running:
                moves = self._moves
                try:
                    return await step()
                except TransientError:
                    # Where the application has moved meanwhile, the connections in use were closed.
                    if self._moves == moves:
                        raise
                    continue
            answer = await _outcome(self._send(step, home), home)
            if not isinstance(answer, _Moved):
                return answer

    def call_sync(self, step: Callable[[], Awaitable[T]], instead: str) -> T:
        """Run *step* on the home loop and return its value, from a thread without a running loop.

        Raises:
            RuntimeError: The thread has a running loop, which this call would block; names the
                call to await *instead*.
        """
        stop_here_if_loading()
        if _has_loop():
            raise RuntimeError(
                f"this thread runs an event loop, which app.sync would block; use: await {instead}"
            )
        while True:
            home = self.current()
            answer = _outcome_sync(self._send(step, home), home)
            if not isinstance(answer, _Moved):
                return answer

    async def move_here(self) -> None:
        """Make the running loop the home."""
        here = asyncio.get_running_loop()
        with self._lock:
            before = self._find()
            if before is None:
                self._loop = here
        if before is not None and before is not here:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._depart(here), before))
        self._loop = here
        self._guard = asyncio.create_task(asyncio.sleep(float("inf")))

    async def leave(self) -> None:
        """Make the background loop the home again. To be called on the home loop."""
        guard, self._guard = self._guard, None
        await self._depart(None)
        if guard is not None:
            guard.cancel()
            await asyncio.wait([guard])

    async def _depart(self, to: asyncio.AbstractEventLoop | None) -> None:
        """Move to another loop: whoever calls from now on is served there, on other connections."""
        close = self._detach()
        self._loop = to
        self._moves += 1
        try:
            await self._send_away()
        finally:
            await close()

    async def _send_away(self) -> None:
        """Let the callers of all calls under way here, but for the current one, come again elsewhere."""
        visitors = self._visitors - {asyncio.current_task()}
        for visitor in visitors:
            visitor.cancel()
        if visitors:
            await asyncio.wait(visitors, timeout=SENT_AWAY_WITHIN)

    def _send(self, step: Callable[[], Awaitable[T]], home: asyncio.AbstractEventLoop) -> Future[T | _Moved]:
        """Let *home* run *step*; a loop that is closed by now has moved."""
        visit = self._visit(step)
        try:
            return asyncio.run_coroutine_threadsafe(visit, home)
        except RuntimeError:
            visit.close()
            gone: Future[T | _Moved] = Future()
            gone.set_result(_MOVED)
            return gone

    async def _visit(self, step: Callable[[], Awaitable[T]]) -> T | _Moved:
        """Run *step* for a caller elsewhere."""
        visitor = asyncio.current_task()
        if visitor is None or (self._loop or background_loop()) is not asyncio.get_running_loop():
            return _MOVED
        self._visitors.add(visitor)
        try:
            return await step()
        except asyncio.CancelledError:
            if self._guard is not None and self._guard.cancelling():
                self._lose()
            return _MOVED
        finally:
            self._visitors.discard(visitor)

    def _lose(self) -> None:
        """The home loop is closed, or about to be, without ``stop()``."""
        self._loop = self._guard = None
        self._orphaned = True

    def current(self) -> asyncio.AbstractEventLoop:
        """The loop that calls run on now. Adopts the application where its home loop was lost."""
        with self._lock:
            return self._find() or background_loop()

    def look(self) -> None:
        """Adopt the application if its home loop was lost."""
        with self._lock:
            self._find()

    def _find(self) -> asyncio.AbstractEventLoop | None:
        """The loop that calls run on now, or None where that would be a background loop yet to be started."""
        guard = self._guard
        if self._loop is not None and (self._loop.is_closed() or (guard and guard.cancelling())):
            self._lose()
        if self._orphaned:
            self._orphaned = False
            asyncio.run_coroutine_threadsafe(self._adopt(), background_loop()).result()
        return self._loop or _background


async def _outcome(sent: Future[T | _Moved], home: asyncio.AbstractEventLoop) -> T | _Moved:
    """Await what was sent to *home*, which may close before it has looked at it."""
    answer = asyncio.wrap_future(sent)
    try:
        while not answer.done():
            await asyncio.wait([answer], timeout=LOOK_EVERY)
            if home.is_closed() and not answer.done():
                return _MOVED
        return answer.result()
    finally:
        answer.cancel()


def _outcome_sync(sent: Future[T | _Moved], home: asyncio.AbstractEventLoop) -> T | _Moved:
    """The same, blocking."""
    while True:
        done, _ = wait([sent], LOOK_EVERY)
        if done:
            return sent.result()
        if home.is_closed():
            return _MOVED


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_lock = threading.Lock()
_background: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's one background loop, in a daemon thread; started when it is first needed."""
    global _background  # noqa: PLW0603  (one per process)
    with _lock:
        if _background is None:
            _background = asyncio.new_event_loop()
            threading.Thread(target=_background.run_forever, name="flowrra-background", daemon=True).start()
        return _background


def _forget_background() -> None:
    """A forked child has its parent's loop without the thread that runs it, and perhaps a closed lock."""
    global _background, _lock
    _background, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_background)
