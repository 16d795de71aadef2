"""What ``flowrra doctor`` hears from servers, and that passwords stay where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CANARY = "canary-4711"


@pytest.fixture
def found(shared: Any) -> Any:
    """``found()``: the findings by name, but for those of the installation, and the exit code."""

    def found(*options: str) -> tuple[int, dict[str, Any]]:
        done = shared("doctor", "-o", "json", *options)
        report = json.loads(done.out)
        assert report["ok"] is (done.code == 0)
        assert report["ok"] is all(each["ok"] for each in report["findings"])
        return done.code, {each["name"]: each for each in report["findings"]}

    return found


def say(file: Path, *findings: dict[str, Any]) -> None:
    file.write_text(json.dumps(findings))


EVICTION = {"name": "eviction", "ok": False, "detail": "policy allkeys-lru", "advice": "set noeviction"}
MEMORY = {"name": "memory", "ok": True, "detail": "1 MB of 2 MB"}


def test_what_a_broker_says_of_its_server_is_shown(shared: Any, found: Any, tmp_path: Path) -> None:
    say(tmp_path / "tasks.broker", EVICTION, MEMORY)

    code, findings = found()
    told = shared("doctor")

    assert code == 1
    assert findings["broker: eviction"] == {
        "name": "broker: eviction", "ok": False, "detail": "policy allkeys-lru", "advice": "set noeviction",
    }  # fmt: skip
    assert findings["broker: memory"]["ok"]
    assert told.code == 1
    assert "WRONG  broker: eviction  policy allkeys-lru" in told.out
    assert "→ set noeviction" in told.out


def test_one_server_is_looked_at_once(found: Any, tmp_path: Path) -> None:
    say(tmp_path / "tasks.broker", MEMORY)
    say(tmp_path / "tasks.backend", MEMORY)

    _, findings = found()

    assert "broker: memory" in findings
    assert "backend: memory" not in findings
    assert findings["backend"]["ok"]


def test_two_servers_are_looked_at_both(found: Any, tmp_path: Path) -> None:
    say(tmp_path / "tasks.broker", MEMORY)
    say(tmp_path / "other.backend", MEMORY)

    _, findings = found("--broker", f"file://{tmp_path}/tasks", "--backend", f"file://{tmp_path}/other")

    assert {"broker: memory", "backend: memory"} <= set(findings)


def test_a_server_that_is_away_is_told_once(found: Any, fault: Any, tmp_path: Path) -> None:
    say(tmp_path / "tasks.broker", MEMORY)
    fault("down")

    code, findings = found()

    assert code == 1
    assert "TransientError: the server at tasks.queue is away" in findings["broker"]["detail"]
    assert "is the server running" in findings["broker"]["advice"]
    assert not findings["backend"]["ok"]
    assert "broker: memory" not in findings


def test_a_diagnosis_that_fails_is_a_finding(found: Any, tmp_path: Path) -> None:
    (tmp_path / "tasks.broker").write_text("nonsense")

    _, findings = found()

    assert not findings["broker: server"]["ok"]
    assert "JSONDecodeError" in findings["broker: server"]["detail"]


@pytest.mark.parametrize("kind", ["", "refused"])
def test_no_command_shows_a_password(shared: Any, fault: Any, tmp_path: Path, kind: str) -> None:
    """Whether it is right or wrong; errors and findings that name the URL included."""
    url = f"file://user:{CANARY}@here{tmp_path}/tasks?password={CANARY}"
    shared.environ |= {"FLOWRRA_BROKER_URL": url, "TEST_BROKER": url}
    say(tmp_path / "tasks.broker", EVICTION | {"detail": f"seen at {url}", "advice": f"ask {url}"})
    fault(kind)

    told = [shared(*command) for command in (("doctor",), ("queues",), ("runs",), ("doctor", "-o", "json"))]

    for done in told:
        assert CANARY not in done.out + done.err
    assert "user:***@here" in told[0].out
