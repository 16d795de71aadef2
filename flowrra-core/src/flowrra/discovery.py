"""Finds the implementation that serves a URL.

Every kind of implementation has an entry-point group; an entry point's name is the URL
scheme, or the kind, that it serves. Nothing is imported before its name is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from flowrra.exceptions import PluginError, UnknownSchemeError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from flowrra.protocols import BackendFactory, BrokerFactory, ExecutorFactory, SchedulerStoreFactory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Installed:
    """One implementation or plugin, and where it comes from. Reads well in a message: ``str(row)``."""

    name: str
    value: str  #: ``module:attribute``
    distribution: str | None = None  #: None for what was registered in this process
    version: str | None = None

    def __str__(self) -> str:
        source = f", from {self.distribution} {self.version}" if self.distribution else ""
        return f"{self.name!r} ({self.value}{source})"


class Registry(Generic[T]):
    """The implementations of one kind, by URL scheme. Safe to use from any thread."""

    def __init__(self, kind: str, group: str, hints: Mapping[str, str] | None = None) -> None:
        self.kind: str = kind
        self.group: str = group
        self._hints = hints or {}
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    def register(self, scheme: str, factory: T) -> None:
        """Serve *scheme* with *factory* in this process, ahead of whatever is installed."""
        self._registered[scheme] = factory

    def unregister(self, scheme: str) -> None:
        """Take back ``register``. Harmless when *scheme* was not registered."""
        self._registered.pop(scheme, None)

    def names(self) -> list[str]:
        """Every scheme that can be asked for, sorted. Imports nothing."""
        return sorted({*self._registered, *(found.name for found in entry_points(self.group))})

    def installed(self) -> list[Installed]:
        """What serves each scheme, by name. Imports nothing; two rows of one name compete for it."""
        own = [Installed(name, _path_of(factory)) for name, factory in self._registered.items()]
        others = [row_of(found) for found in entry_points(self.group) if found.name not in self._registered]
        return sorted([*own, *others], key=lambda row: (row.name, row.distribution or ""))

    def resolve(self, scheme: str) -> T:
        """Return the factory that serves *scheme*, importing it if this is the first time.

        Raises:
            UnknownSchemeError: Nothing serves it; names what is installed and what to install.
            PluginError: What serves it can't be imported, or two distributions claim it.
        """
        factory = self._registered.get(scheme)
        if factory is None:
            factory = self._loaded.get(scheme)
        if factory is None:
            factory = self._loaded[scheme] = self._load(self._find(scheme))
        return factory

    def broken(self) -> list[PluginError]:
        """Import everything that is installed and return what went wrong."""
        errors: list[PluginError] = []
        for name in self.names():
            try:
                self.resolve(name)
            except PluginError as error:
                errors.append(error)
        return errors

    def _find(self, scheme: str) -> EntryPoint:
        found = self._candidates(scheme)
        if not found:
            forget_entry_points()  # it may have been installed since, as in a notebook
            found = self._candidates(scheme)
        if not found:
            raise UnknownSchemeError(self.kind, scheme, self.names(), self._hints.get(scheme))
        if len({each.value for each in found}) > 1:
            claims = " and ".join(sorted(str(row_of(each)) for each in found))
            raise PluginError(f"more than one {self.kind} claims {scheme!r}: {claims}; uninstall all but one")
        return found[0]

    def _candidates(self, scheme: str) -> list[EntryPoint]:
        return [found for found in entry_points(self.group) if found.name == scheme]

    def _load(self, found: EntryPoint) -> T:
        factory: T = load(self.kind, found)
        if not callable(factory):
            raise PluginError(
                f"{self.kind} {row_of(found)} is no factory: a {type(factory).__name__} can't be called"
            )
        return factory


def load(kind: str, found: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        PluginError: That failed in whatever way; names entry point, distribution and cause.
    """
    try:
        return found.load()
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}".rstrip(": ")
        raise PluginError(f"{kind} {row_of(found)} failed to load: {cause}") from error


def entry_points(group: str) -> EntryPoints:
    """The installed entry points of *group*. The search of ``sys.path`` is made once."""
    return _scan(tuple(sys.path)).select(group=group)


def forget_entry_points() -> None:
    """Search anew at the next look-up."""
    _scan.cache_clear()


@lru_cache(maxsize=4)
def _scan(path: tuple[str, ...]) -> EntryPoints:
    # Imported here because `import flowrra` should not pay for it.
    from importlib.metadata import entry_points as scan

    found: EntryPoints = cast(
        Any, scan()
    )  # before Python 3.12 an object of another type, with the same `select`
    return found


def row_of(found: EntryPoint) -> Installed:
    """Describe an entry point without importing what it names."""
    source = found.dist
    if source is None:
        return Installed(found.name, found.value)
    return Installed(found.name, found.value, source.name, source.version)


def _path_of(factory: object) -> str:
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}:{getattr(named, '__qualname__', '?')}"


_SERVERS: Final = {
    "redis": "flowrra-redis",
    "rediss": "flowrra-redis",
    "unix": "flowrra-redis",
    "sqlite": "flowrra-sqlite",
}
_STORES: Final = {
    "sqlite": "flowrra-scheduler-sqlite",
    "postgresql": "flowrra-scheduler-postgresql",
    "postgres": "flowrra-scheduler-postgresql",
    "mysql": "flowrra-scheduler-mysql",
}
_HOSTS: Final = {host: f"flowrra-ui-{host}" for host in ("fastapi", "flask", "django")}

brokers: Final[Registry[BrokerFactory]] = Registry("broker", "flowrra.brokers", _SERVERS)
backends: Final[Registry[BackendFactory]] = Registry("backend", "flowrra.backends", _SERVERS)
executors: Final[Registry[ExecutorFactory]] = Registry("executor", "flowrra.executors")
scheduler_stores: Final[Registry[SchedulerStoreFactory]] = Registry(
    "scheduler store", "flowrra.scheduler_stores", _STORES
)
ui: Final[Registry[Callable[..., Any]]] = Registry("dashboard", "flowrra.ui", _HOSTS)
