"""CPU-bound functions of scripts, which worker processes find by running the script again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import asyncio
from executor_calls import error_of, make_call, make_task
from flowrra.call import current_task
from flowrra.config import ExecutorConfig
from flowrra.executors.cpu import CPUExecutor
from flowrra.executors.loading import stop_here_if_loading
from flowrra.executors.remote import RemoteError
from flowrra.serialization import decode_value

class Mistake(ValueError):
    pass

@make_task
def square(n):
    if n < 0:
        raise Mistake(n)
    return n * n

async def main(*numbers):
    executor = CPUExecutor(ExecutorConfig(cpu_workers=1))
    await executor.start()
    try:
        for n in numbers:
            print("Result:", decode_value((await executor.execute(make_call(square, n))).data))
    except RemoteError as error:
        print(error, error.is_a([Mistake]), error.is_a([KeyError]))
    finally:
        await executor.stop(1)
"""

TAILS = {
    "asyncio.run": "asyncio.run(main(3, 4))",
    "guarded": "if __name__ == '__main__':\n    asyncio.run(main(3, 4))",
    "imported run": "from asyncio import run\nrun(main(3, 4))",
    "runner": "with asyncio.Runner() as runner:\n    runner.run(main(3, 4))",
    "loop of its own": (
        "from contextlib import closing\nwith closing(asyncio.new_event_loop()) as loop:\n"
        "    loop.run_until_complete(main(3, 4))"
    ),
    "finally": "try:\n    asyncio.run(main(3, 4))\nfinally:\n    pass",
    "started without a loop": "stop_here_if_loading()\nasyncio.run(main(3, 4))",
    "started inside of another": (
        "async def outer():\n    stop_here_if_loading()\n    await main(3, 4)\nasyncio.run(outer())"
    ),
    "sys.exit": "import sys\nsys.exit(asyncio.run(main(3, 4)))",
}


def run(tmp_path: Path, *arguments: str) -> tuple[str, str]:
    """What a script prints, under the strictest settings."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", *arguments],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    return done.stdout, "\n".join(errors)


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_script_prints_its_results_once(tmp_path: Path, tail: str) -> None:
    (tmp_path / "script.py").write_text(f"{HEAD}\n{tail}\n")
    assert run(tmp_path, "script.py") == ("Result: 9\nResult: 16\n", "")


def test_an_error_of_a_class_of_the_script_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"{HEAD}\nasyncio.run(main(-1))\n")
    assert run(tmp_path, "script.py") == ("Mistake: -1 True False\n", "")


def test_a_module_that_is_run_by_name(tmp_path: Path) -> None:
    package = tmp_path / "things"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "shapes.py").write_text(f"{HEAD}\nasyncio.run(main(3, -1))\n")
    (package / "__main__.py").write_text(f"{HEAD}\nasyncio.run(main(5, -1))\n")
    assert run(tmp_path, "-m", "things.shapes") == ("Result: 9\nMistake: -1 True False\n", "")
    assert run(tmp_path, "-m", "things") == ("Result: 25\nMistake: -1 True False\n", "")


def test_what_precedes_the_start_runs_again_and_what_follows_does_not(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"{HEAD}\nprint('above')\nasyncio.run(main(3))\nprint('below')\n")
    out, errors = run(tmp_path, "script.py")
    assert (sorted(out.split()), errors) == (["9", "Result:", "above", "above", "below"], "")


def test_asyncio_run_works_inside_a_function_of_a_script(tmp_path: Path) -> None:
    head = HEAD.replace("return n * n", "return run(asyncio.sleep(0, n * n))").replace(
        "import asyncio", "import asyncio\nfrom asyncio import run", 1
    )
    (tmp_path / "script.py").write_text(f"{head}\nasyncio.run(main(3, 4))\n")
    assert run(tmp_path, "script.py") == ("Result: 9\nResult: 16\n", "")


def test_a_task_behind_the_guard_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    guarded = "if __name__ == '__main__':\n    @make_task\n    def square(n):\n        return n\n"
    head = HEAD.replace("def square", "def other")
    (tmp_path / "script.py").write_text(f"{head}\n{guarded}\n    asyncio.run(main(3))\n")
    out, _ = run(tmp_path, "script.py")
    assert out.startswith("LookupError: ")
    assert "script.py has no 'square' when a worker process loads it; define the task at module level" in out


def test_a_command_line_program_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    out, _ = run(tmp_path, "-c", f"{HEAD}\nasyncio.run(main(3))\n")
    assert out.startswith("LookupError: tasks that are defined interactively or by python -c can't run")
    assert "move the function into a file" in out


def test_what_a_function_prints_is_printed_in_order(tmp_path: Path) -> None:
    head = HEAD.replace("return n * n", "print('in', n)\n    return n * n")
    (tmp_path / "script.py").write_text(f"{head}\nasyncio.run(main(3))\n")
    out, _ = run(tmp_path, "script.py")
    assert sorted(out.splitlines()) == ["Result: 9", "in 3"]
