"""What ``flowrra doctor`` looks at."""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import click

from flowrra.app import Flowrra
from flowrra.cli.plugins import take_inventory
from flowrra.cli.session import chosen_app
from flowrra.cli.sources import sources
from flowrra.exceptions import FlowrraError
from flowrra.protocols import Diagnostics
from flowrra.reports import Finding
from flowrra.url import redact

#: Seconds that a broker or a backend may take to connect and answer.
ANSWER_WITHIN: Final = 5.0


def examine(target: str | None, broker: str | None, backend: str | None) -> list[Finding]:
    """Look at everything; what can't be looked at is a finding too."""
    return [
        *_installation(),
        *_plugins(),
        *_configuration(),
        *_connections(target, broker, backend),
        *_clock(),
    ]


def _installation() -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}"
    yield Finding("python", True, f"{python}\n{sys.executable}")
    inventory = take_inventory()
    own = {each["name"]: each["version"] for each in inventory["distributions"] if _is_own(each["name"])}
    detail = ", ".join(f"{name} {version}" for name, version in own.items())
    if len(set(own.values())) > 1:
        yield Finding(
            "versions", False, detail, f"they belong together: pip install --upgrade {' '.join(own)}"
        )
    else:
        yield Finding("versions", True, detail)


def _is_own(name: str) -> bool:
    return name == "flowrra" or name.startswith(
        ("flowrra-core", "flowrra-cli", "flowrra-redis", "flowrra-sqlite", "flowrra-scheduler", "flowrra-ui")
    )


def _plugins() -> Iterator[Finding]:
    inventory = take_inventory()
    schemes = sorted({f"{each['name']}" for each in inventory["serving"]})
    hooks = ", ".join(each["name"] for each in inventory["hooks"]) or "none"
    yield Finding("plugins", True, f"serving {', '.join(schemes)}; with hooks: {hooks}")
    for error in inventory["failed"]:
        yield Finding(
            "plugins", False, error, "upgrade or uninstall it, or name it in FLOWRRA_DISABLE_PLUGINS"
        )


def _configuration() -> Iterator[Finding]:
    try:
        rows = sources()
    except FlowrraError as error:
        yield Finding("configuration", False, str(error), "correct that setting; unset, it has its default")
        return
    given = [row for row in rows if row.source != "default"]
    lines = [f"{row.name} = {row.value}  (from {row.source})" for row in given]
    if len(given) < len(rows):
        lines.append(f"{len(rows) - len(given)} settings have their defaults")
    yield Finding("configuration", True, "\n".join(lines))


def _connections(target: str | None, broker: str | None, backend: str | None) -> Iterator[Finding]:
    try:
        app = chosen_app(target, broker, backend)
        connections = app.engine.connections
        kinds = connections.broker, connections.backend
    except click.UsageError:
        raise
    except click.ClickException as error:
        yield Finding("application", False, error.message, "name it as module:app, from the folder it is in")
        return
    except FlowrraError as error:
        yield Finding("connections", False, str(error), "correct the URL, or install what serves it")
        return
    if all(kind.capabilities.in_process for kind in kinds):
        shared = "for more than one: sqlite:///flowrra.db or redis://localhost:6379/0"
        yield Finding("shared queue", True, f"none: memory:// serves one process; {shared}")
    yield from asyncio.run(_reach(app))


async def _reach(app: Flowrra) -> list[Finding]:
    connections = app.engine.connections
    broker, backend = connections.broker, connections.backend
    urls = connections.broker_config.url, connections.backend_config.url
    found = [
        await _try("broker", urls[0], lambda: _use_broker(app)),
        await _try("backend", urls[1], lambda: _use_backend(app)),
    ]
    if found[0].ok:
        found += await _diagnose("broker", urls[0], broker.diagnostics)
    known = found[0].ok and broker.diagnostics is not None
    if found[1].ok and not (known and (urls[0] == urls[1] or broker.settler(backend) is not None)):
        found += await _diagnose("backend", urls[1], backend.diagnostics)
    for part in (backend, broker):
        with suppress(Exception):
            await part.close()
    return found


async def _diagnose(name: str, url: str, diagnostics: Diagnostics | None) -> Sequence[Finding]:
    """What a server says of itself, under the *name* of what it is used for."""
    if diagnostics is None:
        return []
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            findings = await diagnostics.findings()
    except Exception as error:
        return [_failure(f"{name}: server", url, error)]
    return [
        each._replace(
            name=f"{name}: {each.name}",
            detail=redact(each.detail),
            advice=each.advice and redact(each.advice),
        )
        for each in findings
    ]


async def _try(name: str, url: str, step: Callable[[], Awaitable[str]]) -> Finding:
    """Take *step* within the limit, and say how long it took or what went wrong."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            detail = await step()
    except Exception as error:
        return _failure(name, url, error)
    took = (time.perf_counter() - began) * 1000
    return Finding(name, True, f"{redact(url)} answers in {took:.1f} ms: {detail}")


def _failure(name: str, url: str, error: Exception) -> Finding:
    if isinstance(error, TimeoutError) and not isinstance(error, FlowrraError):
        problem = f"no answer within {ANSWER_WITHIN:g} s"
    else:
        problem = f"{type(error).__name__}: {error}"
    advice = (
        "is the server running, and may this machine and user reach it? Check the URL (see configuration)"
    )
    return Finding(name, False, f"{redact(url)}: {redact(problem)}", advice)


async def _use_broker(app: Flowrra) -> str:
    broker = app.engine.connections.broker
    await broker.open()
    if broker.admin is None:
        return "it can't count its tasks"
    counts = await broker.admin.counts()
    waiting = sum(each.ready + each.delayed for each in counts)
    return f"tasks waiting: {waiting}, dead: {sum(each.dead for each in counts)}, queues: {len(counts)}"


async def _use_backend(app: Flowrra) -> str:
    backend = app.engine.connections.backend
    await backend.open()
    await backend.get(["flowrra-doctor"])
    return "lists runs" if backend.history is not None else "it can't list runs"


def _clock() -> Iterator[Finding]:
    from zoneinfo import available_timezones

    now = datetime.now().astimezone()
    shown = f"{now.isoformat(timespec='seconds')} (time zone {now.tzname()}); tasks carry UTC"
    if now.year < 2025:
        yield Finding("clock", False, shown, "set this machine's clock; leases, delays and schedules need it")
    else:
        yield Finding("clock", True, shown)
    if not available_timezones():
        yield Finding("time zones", False, "there is no time zone data", "pip install tzdata")
