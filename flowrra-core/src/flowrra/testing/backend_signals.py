"""Backends: the optional parts that carry events and workers' signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from flowrra.protocols import Backend, EventStream
from flowrra.reports import Event, WorkerBeat
from flowrra.testing.backend_steps import BackendBench
from flowrra.testing.clock import FakeClock

#: More events than a listener may fall behind.
FLOOD: Final = 20_000


@asynccontextmanager
async def listening(stream: EventStream) -> AsyncGenerator[AsyncIterator[Event], None]:
    """An iterator of events that are sure to be heard: a first one is sent until it comes."""
    events = stream.events()
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        if stream.watched:
            await stream.publish([Event("hello", 0.0)])
        await asyncio.sleep(0.001)
    yield events
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def heard(events: AsyncIterator[Event], last: Event) -> list[Event]:
    """What comes up to and with *last*, greetings aside."""
    found: list[Event] = []
    async with asyncio.timeout(30):
        while not found or found[-1] != last:
            event = await anext(events)
            if event.kind != "hello":
                found.append(event)
    return found


class SignalPromises:
    """Every promise of ``EventStream`` and ``WorkerBoard``; nothing is asked of a backend without them."""

    async def test_events_come_to_every_listener_in_order(self, backend: Backend, now: float) -> None:
        if backend.stream is None:
            return
        full = Event("finished", now, "id-1", "tâche", "очередь", {"status": "success", "n": 1})
        events = [full, *(Event("started", now, f"id-{number}") for number in range(20))]
        async with listening(backend.stream) as one, listening(backend.stream) as two:
            await backend.stream.publish(events[:5])
            await backend.stream.publish(events[5:])
            assert await heard(one, events[-1]) == events
            assert await heard(two, events[-1]) == events

    async def test_publishing_without_listeners_does_nothing(self, backend: Backend, now: float) -> None:
        if backend.stream is None:
            return
        await backend.stream.publish([Event("before", now)])
        async with listening(backend.stream) as events:
            after = Event("after", now)
            await backend.stream.publish([after])
            assert await heard(events, after) == [after]
        await backend.stream.publish([Event("later", now)])

    async def test_a_slow_listener_holds_up_nobody(self, backend: Backend, now: float) -> None:
        """It loses the oldest events; what it gets is in order."""
        if backend.stream is None:
            return
        async with listening(backend.stream) as events:
            flood = [Event("progress", now, str(number)) for number in range(FLOOD)]
            async with asyncio.timeout(30):
                for start in range(0, FLOOD, 100):
                    await backend.stream.publish(flood[start : start + 100])
            numbers = [int(event.task_id or -1) for event in await heard(events, flood[-1])]
        assert numbers == sorted(set(numbers))

    async def test_the_board_shows_who_is_at_work(self, backend: Backend, now: float) -> None:
        if backend.board is None:
            return
        assert await backend.board.workers() == []
        one, two = _beat("host:1", now), _beat("host:2", now)._replace(queues=None, slots={}, running=())
        await backend.board.beat(two, 30.0)
        await backend.board.beat(one._replace(beat_at=now - 1, executed=0), 30.0)
        await backend.board.beat(one, 30.0)
        assert sorted(await backend.board.workers(), key=lambda beat: beat.name) == [one, two]
        await backend.board.leave("host:1")
        await backend.board.leave("never-there")
        assert await backend.board.workers() == [two]

    async def test_a_lost_worker_is_shown_for_an_hour(self, backend: Backend, bench: BackendBench) -> None:
        if backend.board is None:
            return
        beat = _beat("host:1", bench.clock.time())
        await backend.board.beat(beat, bench.unit)
        await bench.let_pass(2 * bench.unit)
        assert await backend.board.workers() == [beat]
        if isinstance(bench.clock, FakeClock):
            await bench.let_pass(3590)
            assert await backend.board.workers() == [beat]
            await bench.let_pass(20)
            assert await backend.board.workers() == []


def _beat(name: str, now: float) -> WorkerBeat:
    return WorkerBeat(
        name=name, host="hôte", pid=4321, started_at=now - 60, beat_at=now, queues=("default", "mail"),
        slots={"io": 4, "cpu": 2}, running=("id-1", "id-2"), executed=7,
    )  # fmt: skip
