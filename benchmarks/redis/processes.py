"""A peer's producer and worker: processes of its own environment, ended with the measurement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from benchmarks.environments import ROOT
from benchmarks.rounds import surroundings

#: Seconds that a process gets to end by itself.
GRACE = 3.0
#: Seconds in which an order to a producer has to be carried out.
ORDER_WITHIN = 120.0
#: Characters of a log that an error shows.
TAIL = 1_500


class MeasurementError(Exception):
    """A measurement came to nothing; the others go on."""


class Peer:
    """One process, and the children it may have, with what it writes in a file. A context manager."""

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], log: Path, *, piped: bool = False
    ) -> None:
        self._log = log
        pipe = subprocess.PIPE if piped else None
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env={**surroundings(), **variables}, text=True, start_new_session=True,
                stdin=pipe or subprocess.DEVNULL, stdout=pipe or file, stderr=file,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._kill()
        self._process.wait()

    def _kill(self) -> None:
        """End everything in the session that was started with the process."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def failed(self, what: str) -> MeasurementError:
        """An error with the end of the log."""
        return MeasurementError(f"{what}\n{self._log.read_text(errors='replace')[-TAIL:]}")


class Worker(Peer):
    """Runs tasks until it is ended."""

    def wait(self, seconds: float) -> None:
        """Let it work. A MeasurementError if it has ended."""
        time.sleep(seconds)
        if self._process.poll() is not None:
            raise self.failed(f"the worker ended with {self._process.returncode}")


class Producer(Peer):
    """Takes orders as lines of JSON, until its input ends."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        super().__init__(command, variables, log, piped=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout

    def __exit__(self, *details: object) -> None:
        with suppress(BrokenPipeError):
            self._orders.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        super().__exit__(*details)
        self._answers.close()

    def __call__(self, do: str, **arguments: object) -> dict[str, Any]:
        """Have an order carried out and return the answer. A MeasurementError if none comes."""
        watch = threading.Timer(ORDER_WITHIN, self._kill)
        watch.start()
        try:
            self._orders.write(json.dumps({"do": do, **arguments}) + "\n")
            self._orders.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise self.failed(f"the producer gave no answer to {do}")
        answer: dict[str, Any] = json.loads(line)
        return answer
