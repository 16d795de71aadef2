"""Settings: defaults, checks, and where they come from."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from flowrra.config import (
    SECTIONS,
    BackendConfig,
    BrokerConfig,
    Config,
    ExecutorConfig,
    SchedulerConfig,
)
from flowrra.exceptions import ConfigError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a pyproject.toml of ours."""
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def message(make: Any, *args: Any, **kwargs: Any) -> str:
    """The text of the ConfigError that a call raises."""
    with pytest.raises(ConfigError) as caught:
        make(*args, **kwargs)
    return str(caught.value)


def parameters(section: type[Any]) -> dict[str, Any]:
    """Names and defaults in the order of positional arguments."""
    return {each.name: each.default for each in inspect.signature(section).parameters.values()}


def test_fields_keep_the_documented_order_and_defaults() -> None:
    empty = inspect.Parameter.empty
    connection = {"max_connections": 50, "socket_timeout": 5.0, "retry_on_timeout": True}
    delivery = {"lease": 30.0, "max_deliveries": 5, "submit_timeout": 5.0, "max_queue_size": None}
    workers = {"num_workers": 4, "cpu_workers": None}
    assert list(parameters(BrokerConfig).items()) == list(({"url": empty} | connection | delivery).items())
    assert list(parameters(BackendConfig).items()) == list(
        ({"url": empty, "ttl": None} | connection | {"history_limit": None}).items()
    )
    assert list(parameters(ExecutorConfig).items()) == list(
        (workers | {"max_queue_size": 1000, "max_retries": 3, "retry_delay": 1.0}).items()
    )
    assert parameters(SchedulerConfig) == {"database_url": None}
    assert list(parameters(Config)) == ["broker", "backend", "executor", "scheduler"]


def test_nothing_given_is_all_defaults() -> None:
    assert Config() == Config(None, None, ExecutorConfig(), None) == Config.load(environ={})


def test_settings_never_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExecutorConfig().num_workers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "setting", "value", "allowed"),
    [
        (ExecutorConfig, "num_workers", 0, "a whole number of at least 1"),
        (ExecutorConfig, "num_workers", 2.0, "a whole number of at least 1"),
        (ExecutorConfig, "num_workers", True, "a whole number of at least 1"),
        (ExecutorConfig, "cpu_workers", -1, "a whole number of at least 1, or nothing"),
        (ExecutorConfig, "max_retries", -1, "a whole number of at least 0"),
        (ExecutorConfig, "retry_delay", -0.5, "a number of seconds of at least 0"),
        (ExecutorConfig, "retry_delay", "1", "a number of seconds of at least 0"),
        (BrokerConfig, "lease", 0, "a number of seconds above 0"),
        (BrokerConfig, "lease", float("nan"), "a number of seconds above 0"),
        (BrokerConfig, "socket_timeout", float("inf"), "a number of seconds above 0"),
        (BrokerConfig, "retry_on_timeout", 1, "true or false"),
        (BackendConfig, "ttl", 0, "a whole number of at least 1, or nothing"),
    ],
)
def test_a_bad_value_names_the_setting_the_value_and_what_is_allowed(
    section: type[Any], setting: str, value: object, allowed: str
) -> None:
    given = {setting: value} if section is ExecutorConfig else {"url": "memory://", setting: value}
    assert message(section, **given) == f"{section.__name__}.{setting} is {value!r}; allowed: {allowed}"


def test_bounds_themselves_are_allowed() -> None:
    assert ExecutorConfig(num_workers=1, max_retries=0, retry_delay=0).retry_delay == 0
    assert BrokerConfig("memory://", submit_timeout=0, max_queue_size=10**400).max_queue_size == 10**400


def test_a_bad_url_names_the_setting_but_not_its_password() -> None:
    assert message(BrokerConfig, "localhost:6379") == (
        "BrokerConfig.url is 'localhost:6379': it can't be used: "
        "a URL must begin with its scheme, as in redis://host:6379/0"
    )
    assert "hunter2" not in message(BrokerConfig, "joe:hunter2@localhost")
    assert "hunter2" not in message(BrokerConfig, "redis://joe:hunter2/x@localhost")
    assert message(BrokerConfig, b"redis://:hunter2@h") == (
        "BrokerConfig.url is of type bytes; allowed: a URL such as redis://host:6379/0"
    )


def test_a_section_of_the_wrong_type_is_an_error() -> None:
    assert message(Config, broker="memory://") == "Config.broker is of type str; allowed: BrokerConfig"
    assert message(Config, executor=None) == "Config.executor is of type NoneType; allowed: ExecutorConfig"


def test_no_repr_shows_a_password() -> None:
    url = "redis://joe:hunter2@h/0"
    config = Config(BrokerConfig(url), BackendConfig(url), scheduler=SchedulerConfig(url))
    assert "hunter2" not in repr(config)
    assert repr(config).count("redis://joe:***@h/0") == 3
    assert repr(ExecutorConfig(2)) == (
        "ExecutorConfig(num_workers=2, cpu_workers=None, max_queue_size=1000, max_retries=3, retry_delay=1.0)"
    )


def test_variables_fill_their_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_BROKER_URL", "redis://h/0")
    monkeypatch.setenv("FLOWRRA_BROKER_RETRY_ON_TIMEOUT", "No")
    monkeypatch.setenv("FLOWRRA_EXECUTOR_NUM_WORKERS", " 8 ")
    monkeypatch.setenv("FLOWRRA_EXECUTOR_CPU_WORKERS", "none")
    monkeypatch.setenv("FLOWRRA_SCHEDULER_DATABASE_URL", "sqlite:///s.db")
    assert Config.from_env() == Config(
        broker=BrokerConfig("redis://h/0", retry_on_timeout=False),
        executor=ExecutorConfig(num_workers=8),
        scheduler=SchedulerConfig("sqlite:///s.db"),
    )


def test_another_prefix_reads_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_EXECUTOR_NUM_WORKERS", "8")
    monkeypatch.setenv("SHOP_EXECUTOR_NUM_WORKERS", "9")
    assert Config.from_env("SHOP_").executor.num_workers == 9


def test_what_is_no_setting_of_ours_is_left_alone() -> None:
    """Variables for other purposes, empty ones, and what Kubernetes sets for a service ``flowrra-broker``."""
    environ = {
        "FLOWRRA_DISABLE_PLUGINS": "a,b",
        "FLOWRRA_TEST_REDIS": "x",
        "FLOWRRA_BACKEND_URL": "",
        "FLOWRRA_BROKER_SERVICE_HOST": "10.0.0.1",
        "FLOWRRA_BROKER_PORT": "tcp://10.0.0.1:6379",
        "FLOWRRA_BROKER_PORT_6379_TCP_ADDR": "10.0.0.1",
    }
    assert Config.load(environ=environ) == Config()


def test_a_section_without_a_url_is_in_memory() -> None:
    environ = {"FLOWRRA_BROKER_LEASE": "5", "FLOWRRA_BACKEND_TTL": "60"}
    config = Config.load(environ=environ)
    assert config.broker == BrokerConfig("memory://", lease=5.0)
    assert config.backend == BackendConfig("memory://", ttl=60)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("EXECUTOR_NUM_WORKERS", "many", "is 'many'; allowed: a whole number of at least 1"),
        ("EXECUTOR_NUM_WORKERS", "2.5", "is '2.5'; allowed: a whole number of at least 1"),
        ("EXECUTOR_NUM_WORKERS", "0", "is '0'; allowed: a whole number of at least 1"),
        ("EXECUTOR_RETRY_DELAY", "nan", "is 'nan'; allowed: a number of seconds of at least 0"),
        ("BROKER_RETRY_ON_TIMEOUT", "maybe", "is 'maybe'; allowed: true or false"),
        ("BACKEND_TTL", "1h", "is '1h'; allowed: a whole number of at least 1, or nothing"),
        ("EXECUTOR_NUM_WORKER", "8", "is no setting; did you mean FLOWRRA_EXECUTOR_NUM_WORKERS"),
        ("SCHEDULER_DATABASE", "x", "is no setting; did you mean FLOWRRA_SCHEDULER_DATABASE_URL?"),
    ],
)
def test_a_bad_variable_is_named(variable: str, text: str, expected: str) -> None:
    found = message(Config.load, environ={f"FLOWRRA_{variable}": text})
    assert found.startswith(f"FLOWRRA_{variable} {expected}")


def test_a_bad_variable_keeps_its_password_to_itself() -> None:
    for text in ("redis://:hunter2/x@h", "joe:hunter2@h", "hunter2"):
        found = message(Config.load, environ={"FLOWRRA_BROKER_URL": text})
        assert found.startswith("FLOWRRA_BROKER_URL can't be used: ")
        assert "hunter2" not in found
    assert "hunter2" not in message(Config.load, environ={"FLOWRRA_BACKEND_TTL": "redis://:hunter2@h"})


def test_keywords_beat_variables_beat_the_file_beats_defaults(empty_folder: Path) -> None:
    (empty_folder / "pyproject.toml").write_text(
        "[tool.flowrra.executor]\nnum_workers = 2\nmax_retries = 2\nretry_delay = 2\n"
        "[tool.flowrra.broker]\nurl = 'redis://file/0'\nlease = 9.5\n"
    )
    environ = {"FLOWRRA_EXECUTOR_MAX_RETRIES": "1", "FLOWRRA_EXECUTOR_RETRY_DELAY": "1"}
    config = Config.load(environ=environ, executor={"retry_delay": 0.5}, broker="redis://keyword/0")
    assert config.executor == ExecutorConfig(num_workers=2, max_retries=1, retry_delay=0.5)
    assert config.broker == BrokerConfig("redis://keyword/0", lease=9.5)


def test_the_real_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_EXECUTOR_NUM_WORKERS", "8")
    assert Config.load().executor.num_workers == 8


def test_a_keyword_may_be_a_whole_section() -> None:
    environ = {"FLOWRRA_BROKER_LEASE": "5", "FLOWRRA_SCHEDULER_DATABASE_URL": "sqlite:///a.db"}
    config = Config.load(
        environ=environ, broker=BrokerConfig("redis://h"), backend=None, scheduler="sqlite:///b.db"
    )
    assert config == Config(BrokerConfig("redis://h"), scheduler=SchedulerConfig("sqlite:///b.db"))


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"brokr": "redis://h"}, "Config.load: brokr is no setting; did you mean broker?"),
        (
            {"executor": {"workers": 1}},
            "executor.workers is no setting; did you mean num_workers or cpu_workers?",
        ),
        (
            {"executor": {"num_workers": "1"}},
            "executor.num_workers is '1'; allowed: a whole number of at least 1",
        ),
        (
            {"executor": 4},
            "Config.load: executor is of type int; allowed: ExecutorConfig or a mapping of its settings",
        ),
    ],
)
def test_a_bad_keyword_is_named(keywords: dict[str, Any], expected: str) -> None:
    assert message(Config.load, environ={}, **keywords) == expected


def test_the_nearest_file_upwards_counts(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "pyproject.toml").write_text("[tool.flowrra.executor]\nnum_workers = 2\n")
    inner = empty_folder / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert Config.load(environ={}).executor.num_workers == 2


def test_a_file_may_be_named(empty_folder: Path) -> None:
    other = empty_folder / "other.toml"
    other.write_text("[tool.flowrra.backend]\nttl = 5\n")
    assert Config.load(other, environ={}).backend == BackendConfig("memory://", ttl=5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "[tool.flowrra.executor]\nnum_worker = 2",
            "[tool.flowrra.executor] num_worker is no setting; did you mean",
        ),
        (
            "[tool.flowrra.executor]\nnum_workers = 'two'",
            "[tool.flowrra.executor] num_workers is 'two'; allowed: a",
        ),
        ("[tool.flowrra.brokers]\nurl = 'x'", "[tool.flowrra] brokers is no setting; did you mean broker?"),
        (
            "[tool.flowrra]\nbroker = 'redis://:hunter2@h'",
            "[tool.flowrra] broker is no table; write [tool.flowrra.broker]",
        ),
        ("[tool]\nflowrra = 'hunter2'", "flowrra is no table; write [tool.flowrra.broker] and so on"),
        (
            "[tool.flowrra.broker]\nurl = 'hunter2@h'",
            "[tool.flowrra.broker] url can't be used: a URL must begin",
        ),
    ],
)
def test_a_bad_key_names_file_and_key(empty_folder: Path, content: str, expected: str) -> None:
    path = empty_folder / "pyproject.toml"
    path.write_text(content)
    found = message(Config.load, environ={})
    assert found.startswith(f"{path}: {expected}")
    assert "hunter2" not in found


def test_files_that_cannot_be_read_are_named(empty_folder: Path) -> None:
    assert message(Config.load, empty_folder / "none.toml", environ={}) == (
        f"{empty_folder / 'none.toml'} can't be read: No such file or directory"
    )
    bad = empty_folder / "bad.toml"
    bad.write_text("a = ")
    assert message(Config.load, bad, environ={}).startswith(f"{bad} is not valid TOML: ")


def test_every_section_is_reachable() -> None:
    assert list(SECTIONS) == [each.name for each in dataclasses.fields(Config)]
