"""The first readme's programs, saved as files and run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IO_SCRIPT = '''
import asyncio
from flowrra import Flowrra

app = Flowrra.from_urls()

@app.task()
async def greet(name: str, text: str):
    """Greet somebody, slowly."""
    await asyncio.sleep(0.01)
    print(f"to {name}: {text}")
    return {"status": "greeted", "name": name}

async def main():
    async with app:
        task_id = await app.submit(greet, "ada", "Hello")
        result = await app.wait_for_result(task_id, timeout=10.0)
        print(f"Result: {result.result}")

asyncio.run(main())
'''

CPU_SCRIPT = '''
import asyncio
from flowrra import Flowrra

app = Flowrra.from_urls()

@app.task(cpu_bound=True)
def sum_of_squares(n: int):
    """Runs in a process of its own."""
    return sum(i ** 2 for i in range(n))

async def main():
    async with app:
        task_id = await app.submit(sum_of_squares, 1000000)
        result = await app.wait_for_result(task_id, timeout=30.0)
        print(f"Result: {result.result}")

asyncio.run(main())
'''


def run(folder: Path, script: str) -> tuple[int, str, str]:
    (folder / "program.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_basic_program(tmp_path: Path) -> None:
    assert run(tmp_path, IO_SCRIPT) == (
        0,
        "to ada: Hello\nResult: {'status': 'greeted', 'name': 'ada'}\n",
        "",
    )


def test_the_cpu_program_needs_no_guard_and_prints_its_result_once(tmp_path: Path) -> None:
    assert run(tmp_path, CPU_SCRIPT) == (0, "Result: 333332833333500000\n", "")


@pytest.mark.parametrize(
    "start",
    ["if __name__ == '__main__':\n    asyncio.run(main())", "asyncio.Runner().run(main())"],
    ids=["guarded", "runner"],
)
def test_the_cpu_program_may_start_otherwise(tmp_path: Path, start: str) -> None:
    code, output, _ = run(tmp_path, CPU_SCRIPT.replace("asyncio.run(main())", start))
    assert (code, output) == (0, "Result: 333332833333500000\n")


def test_a_class_of_errors_of_the_program_is_known_to_retry_settings(tmp_path: Path) -> None:
    """The class is defined in the script itself, which runs under another name in the child."""
    script = CPU_SCRIPT.replace(
        "@app.task(cpu_bound=True)",
        "class Hopeless(Exception):\n    pass\n\n"
        "@app.task(cpu_bound=True, retry_delay=0, no_retry_on=Hopeless)",
    ).replace("return sum(i ** 2 for i in range(n))", "raise Hopeless(n)")
    script = script.replace('{result.result}"', '{result.error}, {result.retries} retries"')
    assert run(tmp_path, script) == (0, "Result: Hopeless: 1000000, 0 retries\n", "")
