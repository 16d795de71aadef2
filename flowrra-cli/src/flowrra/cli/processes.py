"""``flowrra worker --processes N``: the same command N times, started and ended together."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType


def supervise(number: int) -> int:
    """Run the command that is running, in *number* processes of one worker each, to their end.

    SIGTERM and Ctrl-C are passed on. When one of them ends by itself, the others are asked to end too.
    Returns the first exit code that isn't zero.
    """
    command = [sys.executable, "-m", "flowrra", *sys.argv[1:], "--processes", "1"]
    # Groups of their own: a terminal's Ctrl-C comes through us, and not twice.
    children = [subprocess.Popen(command, start_new_session=True) for _ in range(number)]  # noqa: S603  (our own command)

    passed: list[int] = []

    def pass_on(heard: int, _: FrameType | None) -> None:
        passed.append(heard)
        for child in children:
            if child.poll() is None:
                child.send_signal(heard)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, pass_on)
    _wait_for_one(children)
    if not passed:  # they drain already otherwise, and a second signal stops them at once
        pass_on(signal.SIGTERM, None)
    codes = [child.wait() for child in children]
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


def _wait_for_one(children: list[subprocess.Popen[bytes]]) -> None:
    while all(child.poll() is None for child in children):
        try:
            children[0].wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
