"""An application's settings, and the places they may come from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from flowrra.exceptions import ConfigError
from flowrra.settings import Rule, address, seconds, switch, unknown, whole
from flowrra.url import redact

if TYPE_CHECKING:
    from pathlib import Path

#: Settings by section and field.
Values: TypeAlias = dict[str, dict[str, Any]]

#: What Kubernetes puts into the environment for a service called ``flowrra-broker`` and the like.
_KUBERNETES: Final = r"SERVICE_(HOST|PORT.*)|PORT(_\d+_.*)?"


class Section:
    """Base of the settings classes: checks every field, shows no password."""

    def __post_init__(self) -> None:
        for name, rule in _rules(type(self)).items():
            rule.check(getattr(self, name), f"{type(self).__name__}.{name}")

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name)) for name in _rules(type(self)))
        listed = ", ".join(f"{name}={redact(v) if isinstance(v, str) else v!r}" for name, v in shown)
        return f"{type(self).__name__}({listed})"


@dataclass(frozen=True, repr=False)
class BrokerConfig(Section):
    """Where tasks wait, and how delivery works."""

    url: str = field(metadata=address())
    #: Connections that one process opens to the broker, at most.
    max_connections: int = field(default=50, metadata=whole(1))
    #: Seconds to wait for an answer of the server.
    socket_timeout: float = field(default=5.0, metadata=seconds())
    #: Whether a command that got no answer in time is sent once more.
    retry_on_timeout: bool = field(default=True, metadata=switch())
    #: Seconds that a claimed task is held before another worker may have it; renewed while the task runs.
    lease: float = field(default=30.0, metadata=seconds())
    #: How often a task is handed out to workers that die under it before it counts as dead.
    max_deliveries: int = field(default=5, metadata=whole(1))
    #: Seconds that ``submit`` waits for room in a full queue.
    submit_timeout: float = field(default=5.0, metadata=seconds(zero=True))
    #: Bound of the waiting and delayed tasks. Without one, ``ExecutorConfig.max_queue_size``
    #: bounds the memory broker and other brokers have no bound.
    max_queue_size: int | None = field(default=None, metadata=whole(1, optional=True))


@dataclass(frozen=True, repr=False)
class BackendConfig(Section):
    """Where results are kept, and for how long."""

    url: str = field(metadata=address())
    #: Seconds that a result is kept; without one, until ``history_limit`` pushes it out.
    ttl: int | None = field(default=None, metadata=whole(1, optional=True))
    #: Connections that one process opens to the backend, at most.
    max_connections: int = field(default=50, metadata=whole(1))
    #: Seconds to wait for an answer of the server.
    socket_timeout: float = field(default=5.0, metadata=seconds())
    #: Whether a command that got no answer in time is sent once more.
    retry_on_timeout: bool = field(default=True, metadata=switch())
    #: Finished runs that are kept, at most. Without one: 10,000 in memory, else 100,000.
    history_limit: int | None = field(default=None, metadata=whole(1, optional=True))


@dataclass(frozen=True, repr=False)
class ExecutorConfig(Section):
    """How much runs at once, and the tasks' defaults."""

    #: Tasks that run at once on the event loop, and in threads.
    num_workers: int = field(default=4, metadata=whole(1))
    #: Processes for CPU-bound tasks. Without a number: one per CPU.
    cpu_workers: int | None = field(default=None, metadata=whole(1, optional=True))
    #: Bound of the memory broker's waiting and delayed tasks.
    max_queue_size: int = field(default=1000, metadata=whole(1))
    #: Retries of a task that doesn't say otherwise.
    max_retries: int = field(default=3, metadata=whole(0))
    #: Seconds before the first retry of a task that doesn't say otherwise; doubled each time.
    retry_delay: float = field(default=1.0, metadata=seconds(zero=True))


@dataclass(frozen=True, repr=False)
class SchedulerConfig(Section):
    """Where schedules are kept."""

    #: The store's URL, such as ``sqlite:///schedules.db``.
    database_url: str | None = field(default=None, metadata=address(optional=True))


@dataclass(frozen=True)
class Config:
    """All settings. A section that is None is absent: without broker and backend, all is in memory."""

    broker: BrokerConfig | None = None
    backend: BackendConfig | None = None
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    scheduler: SchedulerConfig | None = None

    def __post_init__(self) -> None:
        for name, cls in SECTIONS.items():
            value = getattr(self, name)
            if not isinstance(value, cls) and (value is not None or name == "executor"):
                raise ConfigError(f"Config.{name} is of type {type(value).__name__}; allowed: {cls.__name__}")

    @classmethod
    def from_env(cls, prefix: str = "FLOWRRA_") -> Config:
        """Read ``FLOWRRA_BROKER_URL``, ``FLOWRRA_EXECUTOR_NUM_WORKERS`` and so on: section and field.

        An empty variable counts as unset, a section without variables is absent, and variables
        of other names than ``<prefix><section>_`` are left alone.

        Raises:
            ConfigError: A variable names no setting, or its value isn't allowed.
        """
        return _build(_from_environment(os.environ, prefix))

    @classmethod
    def load(
        cls, path: str | Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> Config:
        """Gather settings: *overrides* win over the environment, that over ``[tool.flowrra]`` of *path*
        (or of the nearest ``pyproject.toml`` from the working directory upwards), that over the defaults.

        Args:
            overrides: By section: its settings as a mapping, a whole section, or a URL.

        Raises:
            ConfigError: Something names no setting, or a value isn't allowed.
        """
        values = _from_file(path)
        variables = os.environ if environ is None else environ
        for section, settings in _from_environment(variables, "FLOWRRA_").items():
            values.setdefault(section, {}).update(settings)
        for section, override in overrides.items():
            _override(values, section, override)
        return _build(values)


SECTIONS: Final[Mapping[str, type[Section]]] = {
    "broker": BrokerConfig,
    "backend": BackendConfig,
    "executor": ExecutorConfig,
    "scheduler": SchedulerConfig,
}


def _rules(section: type[Any]) -> dict[str, Rule]:
    """The rule of each setting of a section, in order."""
    return {each.name: each.metadata["rule"] for each in fields(section)}


def _build(values: Values) -> Config:
    """Make the sections that have settings. A queue or backend without a URL is in memory."""
    sections: dict[str, Any] = {}
    for name, settings in values.items():
        if name in ("broker", "backend"):
            settings.setdefault("url", "memory://")
        sections[name] = SECTIONS[name](**settings)
    return Config(**sections)


def _from_environment(environ: Mapping[str, str], prefix: str) -> Values:
    """Read the variables whose names begin with the prefix and a section."""
    values: Values = {}
    for section, cls in SECTIONS.items():
        start = f"{prefix}{section.upper()}_"
        rules = {start + name.upper(): (name, rule) for name, rule in _rules(cls).items()}
        for variable, text in environ.items():
            if not variable.startswith(start) or re.fullmatch(_KUBERNETES, variable.removeprefix(start)):
                continue
            if variable not in rules:
                raise unknown(variable, rules)
            name, rule = rules[variable]
            if text.strip():
                values.setdefault(section, {})[name] = rule.parse(text, variable)
    return values


def _from_file(path: str | Path | None) -> Values:
    """Read ``[tool.flowrra]`` of *path* or of the nearest ``pyproject.toml``."""
    from pathlib import Path

    found = _nearest(Path.cwd()) if path is None else Path(path)
    if found is None:
        return {}
    table = _tool_table(found)
    for section in table:
        if section not in SECTIONS:
            raise unknown(section, SECTIONS, f"{found}: [tool.flowrra] ")
    return {section: _from_table(section, settings, found) for section, settings in table.items()}


def _nearest(here: Path) -> Path | None:
    """The ``pyproject.toml`` of a folder or of the nearest one above it."""
    files = (folder / "pyproject.toml" for folder in (here, *here.parents))
    return next((file for file in files if file.is_file()), None)


def _tool_table(path: Path) -> dict[str, Any]:
    """The table ``[tool.flowrra]`` of a TOML file; empty if there is none."""
    import tomllib

    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {redact(str(error))}") from None
    for key in ("tool", "flowrra"):
        inner: object = content.get(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{path}: {key} is no table; write [tool.flowrra.broker] and so on")
        content = cast("dict[str, Any]", inner)
    return content


def _from_table(section: str, settings: object, path: Path) -> dict[str, Any]:
    """Check one section's table."""
    where = f"{path}: [tool.flowrra.{section}] "
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: [tool.flowrra] {section} is no table; write [tool.flowrra.{section}]")
    return _checked(section, cast("dict[str, Any]", settings), where)


def _checked(section: str, settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the settings if the section has them all and allows their values."""
    rules = _rules(SECTIONS[section])
    for name in settings:
        if name not in rules:
            raise unknown(name, rules, where)
    return {name: rules[name].check(value, where + name) for name, value in settings.items()}


def _override(values: Values, section: str, given: object) -> None:
    """Put one keyword of ``Config.load`` over what was gathered; None changes nothing."""
    if section not in SECTIONS:
        raise unknown(section, SECTIONS, "Config.load: ")
    if isinstance(given, SECTIONS[section]):
        values[section] = {name: getattr(given, name) for name in _rules(SECTIONS[section])}
    elif isinstance(given, str) and section != "executor":
        name = "database_url" if section == "scheduler" else "url"
        values.setdefault(section, {}).update(_checked(section, {name: given}, f"{section}."))
    elif isinstance(given, Mapping):
        settings = cast("Mapping[str, Any]", given)
        values.setdefault(section, {}).update(_checked(section, settings, f"{section}."))
    elif given is not None:
        url = "a URL, " if section != "executor" else ""
        allowed = f"{url}{SECTIONS[section].__name__} or a mapping of its settings"
        raise ConfigError(f"Config.load: {section} is of type {type(given).__name__}; allowed: {allowed}")


def configured(config: Config | None, broker: object, backend: object) -> Config:
    """The settings, with the URLs that were given beside them."""
    config = config or Config()
    if isinstance(broker, str):
        config = replace(config, broker=BrokerConfig(url=broker))
    if isinstance(backend, str):
        config = replace(config, backend=BackendConfig(url=backend))
    return config
