"""How a Redis server is, and whether tasks and results are safe on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowrra.clock import Clock
from flowrra.exceptions import PermanentError
from flowrra.redis.calls import Plain, Role
from flowrra.redis.facts import Facts
from flowrra.redis.server import Server
from flowrra.reports import Finding

#: The oldest version that has all commands.
OLDEST: Final = (6, 2)

_PINGS: Final = 5
#: Seconds by which the server's clock and this machine's may differ.
_APART: Final = 1.0
#: The share of its memory limit from which a server counts as nearly full.
_NEARLY_FULL: Final = 0.9

_SAFE_POLICY: Final = "noeviction"
_NOT_ALLOWED: Final = "unknown: this user may not ask for it"

_warned: Final[set[str]] = set()


def warn_once(server: Server, logger: logging.Logger) -> None:
    """Log one warning per process and server if the *server*, which is open, may lose what it keeps."""
    facts = server.facts
    bad = [finding for finding in (_eviction(facts), _persistence(facts)) if not finding.ok]
    which = facts.run_id or server.name
    if bad and which not in _warned:
        _warned.add(which)
        told = ". ".join(f"{finding.detail}: {finding.advice}" for finding in bad)
        logger.warning("tasks and results may be lost on Redis at %s. %s", server.name, told)


class ServerDiagnostics:
    """Looks at one server; in a cluster, at one of its nodes."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock

    async def findings(self) -> Sequence[Finding]:
        """Look now.

        Raises:
            TransientError: The server can't be reached.
        """
        latency = await self._latency()
        info = _by_name(await self._ask("INFO"))
        save = await self._ask("CONFIG", "GET", "save")
        facts = self._server.facts._replace(
            maxmemory_policy=info.get("maxmemory_policy"),
            aof=None if "aof_enabled" not in info else info["aof_enabled"] == "1",
            rdb=None if save is None else bool(save[1:] and save[1]),
        )
        return [
            latency,
            _version(facts),
            _eviction(facts),
            _persistence(facts),
            _memory(info),
            await self._clocks(),
            Finding("mode", True, "a node of a cluster" if facts.cluster else f"one server ({facts.role})"),
        ]

    async def _ask(self, *command: str) -> Any:
        """One answer; None if this user may not ask."""
        try:
            return (await self._server.run(Role.COMMAND, [Plain(command)]))[0]
        except PermanentError:
            return None

    async def _latency(self) -> Finding:
        times: list[float] = []
        for _ in range(_PINGS):
            start = self._clock.monotonic()
            await self._ask("PING")
            times.append(self._clock.monotonic() - start)
        return Finding(
            "latency", True, f"{self._server.name} answers within {sorted(times)[_PINGS // 2] * 1000:.2f} ms"
        )

    async def _clocks(self) -> Finding:
        before = self._clock.time()
        answer = await self._ask("TIME")
        if answer is None:
            return Finding("clock", True, _NOT_ALLOWED)
        here = (before + self._clock.time()) / 2
        apart = int(answer[0]) + int(answer[1]) / 1_000_000 - here
        detail = (
            f"the server's clock is {abs(apart):.3f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
        )
        if abs(apart) <= _APART:
            return Finding("clock", True, detail)
        return Finding(
            "clock", False, detail, "synchronise both machines' clocks (NTP): times go by the server's"
        )


def _version(facts: Facts) -> Finding:
    version = ".".join(map(str, facts.version))
    if facts.version >= OLDEST:
        return Finding("version", True, version)
    oldest = ".".join(map(str, OLDEST))
    return Finding(
        "version", False, f"{version} lacks commands that Flowrra uses", f"upgrade to {oldest} or newer"
    )


def _eviction(facts: Facts) -> Finding:
    policy = facts.maxmemory_policy
    if policy in (None, _SAFE_POLICY):
        return Finding("eviction", True, policy or _NOT_ALLOWED)
    return Finding(
        "eviction",
        False,
        f"maxmemory-policy is {policy}: when memory is short, the server deletes tasks and results",
        f"set it to {_SAFE_POLICY}, in redis.conf or by CONFIG SET maxmemory-policy {_SAFE_POLICY}",
    )


def _persistence(facts: Facts) -> Finding:
    if facts.aof:
        return Finding("persistence", True, "append-only file")
    if facts.aof is None or facts.rdb is None:
        return Finding("persistence", True, _NOT_ALLOWED)
    advice = "set appendonly yes, in redis.conf or by CONFIG SET appendonly yes"
    if facts.rdb:
        return Finding(
            "persistence", True, f"snapshots: a crash loses what came after the last one; {advice}"
        )
    detail = "nothing is written to disk: a restart loses all tasks and results"
    return Finding("persistence", False, detail, advice)


def _memory(info: Mapping[str, str]) -> Finding:
    if "used_memory" not in info:
        return Finding("memory", True, _NOT_ALLOWED)
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", "0"))
    if not limit:
        return Finding("memory", True, f"{_mebibytes(used)} used, no limit")
    detail = f"{_mebibytes(used)} of {_mebibytes(limit)} used"
    if used < _NEARLY_FULL * limit:
        return Finding("memory", True, detail)
    advice = "raise maxmemory, start more workers, or keep results for a shorter time (ttl, history_limit)"
    return Finding("memory", False, f"{detail}: submitting is refused when it is full", advice)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _by_name(info: bytes | None) -> dict[str, str]:
    """INFO's answer by name."""
    lines = (info or b"").decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
