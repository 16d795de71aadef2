"""What the first readme and the page of core concepts promise of Redis, example by example."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from servers import RedisServer

from flowrra import (
    BackendConfig,
    BrokerConfig,
    Config,
    ExecutorConfig,
    Flowrra,
    TaskResult,
    TaskStatus,
)
from flowrra.exceptions import TransientError

PASSWORD = "pass/wörd?@:#"

#: The application of the distributed sections; a worker process and a producer import it.
TASKS = """
import asyncio, os
from flowrra import Flowrra

app = Flowrra.from_urls(broker=os.environ["QUEUE"], backend=os.environ["RESULTS"])

@app.task()
async def process_job(job_id: int) -> str:
    return f"Processed job {job_id} in {os.getpid()}"

@app.task(cpu_bound=True)
def my_cpu_task(n: int) -> list[int]:
    return [os.getpid(), os.getppid(), sum(i ** 2 for i in range(n))]

@app.task(max_retries=2, retry_delay=0.01)
async def flaky() -> None:
    raise ConnectionError("always down")
"""


def compute_heavy(n: int) -> int:
    """Stands at module level, as a CPU-bound task has to."""
    return sum(i**2 for i in range(n))


async def processed(app: Flowrra) -> TaskResult:
    """Send one task through *app* and return what it kept."""

    @app.task()
    async def twice(n: int) -> int:
        return n * 2

    async with app:
        return await app.wait_for_result(await app.submit(twice, 21), timeout=10.0)


@pytest.fixture
def project(tmp_path: Path, redis_url: str) -> dict[str, Any]:
    """Where ``tasks.py`` is, as the arguments of a process: tasks in database 0, results in database 1."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return {
        "cwd": tmp_path,
        "env": os.environ | {"QUEUE": at_database(redis_url, 0), "RESULTS": at_database(redis_url, 1)},
        "text": True,
    }


@pytest.fixture
def start_worker(project: dict[str, Any]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start worker processes; they drain in the end, and none may fail."""
    workers: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "flowrra", "worker", "tasks:app", *options]
        workers.append(subprocess.Popen(command, stderr=subprocess.PIPE, **project))
        return workers[-1]

    yield start
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    told = [ended(worker) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers), told


def ended(worker: subprocess.Popen[str]) -> str:
    """What a worker said that was told to end; it is killed if it doesn't."""
    try:
        return worker.communicate(timeout=20)[1]
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.communicate()[1]


def at_database(url: str, number: int) -> str:
    """The same server's database of that number."""
    return f"{url.partition('?')[0].rpartition('/')[0]}/{number}"


def produce(program: str, project: dict[str, Any]) -> list[str]:
    """Run a producer that prints, in a process of its own."""
    text = f"""
import asyncio
from tasks import *

async def main():
    await app.start(workers=False)
    try:
{program}
    finally:
        await app.stop()

asyncio.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", text]
    done = subprocess.run(command, capture_output=True, check=False, timeout=40, **project)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


async def test_cpu_bound_tasks_with_a_redis_backend(redis_url: str) -> None:
    """A backend's URL alone: the result is on Redis, the queue is not."""
    app = Flowrra.from_urls(backend=redis_url)
    task = app.task(cpu_bound=True, max_retries=3, retry_delay=1.0)(compute_heavy)
    async with app:
        task_id = await app.submit(task, 1000)
        result = await app.wait_for_result(task_id, timeout=30.0)
    assert (result.status, result.result) == (TaskStatus.SUCCESS, 332833500)

    reader = Flowrra.from_urls(backend=redis_url)
    await reader.start(workers=False)
    kept = await reader.get_result(task_id)
    await reader.stop()
    assert kept is not None
    assert kept.result == 332833500


async def test_cpu_bound_tasks_are_plain_functions(redis_url: str) -> None:
    """As the readme says; one at another place than module level can't reach the other process."""
    app = Flowrra.from_urls(backend=redis_url)
    with pytest.raises(TypeError, match="async"):

        @app.task(cpu_bound=True)
        async def wrong() -> None: ...


async def test_queue_and_results_in_two_databases(
    project: dict[str, Any], start_worker: Any, redis_url: str
) -> None:
    """A producer submits in one process, a worker runs in another; each database has its own."""
    worker = start_worker()
    [done, cpu] = produce(
        """
        first = await app.submit(process_job, 7)
        second = await app.submit(my_cpu_task, 1000)
        print((await app.wait_for_result(first, timeout=30)).result)
        print(*(await app.wait_for_result(second, timeout=30)).result)
""",
        project,
    )
    assert done == f"Processed job 7 in {worker.pid}"
    process, parent, total = map(int, cpu.split())
    assert (process != worker.pid, parent, total) == (True, worker.pid, 332833500)

    with redis.Redis.from_url(at_database(redis_url, 1)) as results:
        keys: Any = results.keys()
        kinds = {key.decode().split(":")[1] for key in keys}
    assert {"r", "{runs}"} <= kinds
    assert "queues" not in kinds
    with redis.Redis.from_url(redis_url) as queue:
        assert not queue.keys("flowrra:r:*")


async def test_many_workers_share_the_queue(project: dict[str, Any], start_worker: Any) -> None:
    """``RedisBackend`` supports multiple workers: each task runs once, whichever takes it."""
    workers = {start_worker("--concurrency", "1").pid for _ in range(2)}
    lines = produce(
        """
        handles = await app.submit_many(process_job.signature(n) for n in range(200))
        for handle in handles:
            print(await handle.result(timeout=30))
""",
        project,
    )
    jobs = [line.split() for line in lines]
    assert [int(words[2]) for words in jobs] == list(range(200))
    assert {int(words[4]) for words in jobs} <= workers


async def test_failures_and_retries_travel(project: dict[str, Any], start_worker: Any) -> None:
    """The producer reads what the worker met: status, error and the number of retries."""
    start_worker()
    [line] = produce(
        """
        result = await app.wait_for_result(await app.submit(flaky), timeout=30)
        print(result.status.value, result.retries, result.error)
""",
        project,
    )
    assert line == "failed 2 ConnectionError: always down"


async def test_results_outlive_who_made_them(project: dict[str, Any], start_worker: Any) -> None:
    """Persistent results: the producer asks again when worker and first producer are gone."""
    worker = start_worker()
    [task_id] = produce(
        """
        task_id = await app.submit(process_job, 1)
        await app.wait_for_result(task_id, timeout=30)
        print(task_id)
""",
        project,
    )
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    [line] = produce(f"        print((await app.get_result({task_id!r})).result)", project)
    assert line.startswith("Processed job 1")


async def test_tasks_wait_on_redis_for_a_worker(project: dict[str, Any], start_worker: Any) -> None:
    """Submitted before any worker is there, by a process that has ended, in order of priority."""
    ids = produce(
        """
        for number in (10, 5, 1):
            print(await app.submit(process_job, number, priority=number))
""",
        project,
    )
    start_worker("--concurrency", "1")
    lines = produce(
        f"""
        for task_id in {ids!r}:
            result = await app.wait_for_result(task_id, timeout=30)
            print(result.started_at.timestamp(), result.priority)
""",
        project,
    )
    started = sorted((float(line.split()[0]), int(line.split()[1])) for line in lines)
    assert [priority for _, priority in started] == [1, 5, 10]


async def test_configuration_by_objects(redis_url: str) -> None:
    """Every setting of the example."""
    results = at_database(redis_url, 1)
    config = Config(
        broker=BrokerConfig(url=redis_url, max_connections=50, socket_timeout=5.0),
        backend=BackendConfig(url=results, ttl=3600, max_connections=50),
        executor=ExecutorConfig(
            num_workers=10, cpu_workers=4, max_queue_size=1000, max_retries=3, retry_delay=1.0
        ),
    )
    result = await processed(Flowrra(config=config))
    assert result.result == 42

    with redis.Redis.from_url(results) as client:
        left: Any = client.ttl(f"flowrra:r:{{{result.task_id}}}")
    assert 0 < left <= 3600


async def test_configuration_by_environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_BROKER_URL", redis_url)
    monkeypatch.setenv("FLOWRRA_BACKEND_URL", at_database(redis_url, 1))
    assert (await processed(Flowrra(config=Config.from_env()))).result == 42


async def test_a_result_that_is_not_there(redis_url: str) -> None:
    """Unknown: None. Waiting: a result with its status, as for every known id."""
    app = Flowrra.from_urls(broker=redis_url, backend=at_database(redis_url, 1))

    @app.task()
    async def one() -> int:
        return 1

    await app.start(workers=False)
    task_id = await app.submit(one)
    early = await app.get_result(task_id)
    assert early is not None
    assert (early.status, early.result) == (TaskStatus.PENDING, None)
    assert await app.get_result("nobody") is None
    await app.stop()


async def test_connection_with_a_password() -> None:
    """``redis://:password@host/0``; special characters are percent-encoded."""
    with RedisServer(requirepass=PASSWORD) as server:
        url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
        app = Flowrra.from_urls(broker=f"{url}/0", backend=f"{url}/1")
        assert (await processed(app)).result == 42


async def test_connection_with_a_user_name() -> None:
    """``redis://username:password@host/0``"""
    with RedisServer() as server:
        with server.client() as client:
            client.acl_setuser(
                "ada",
                enabled=True,
                passwords=[f"+{PASSWORD}"],
                keys=["*"],
                channels=["*"],
                categories=["+@all"],
            )
            client.acl_setuser("default", enabled=False)
        url = f"redis://ada:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/0"
        result = await processed(Flowrra.from_urls(broker=url, backend=url))
    assert result.result == 42


async def test_connection_over_tls() -> None:
    """``rediss://host/0``, with the authority that signed the server's certificate."""
    with RedisServer(tls=True) as server:
        app = Flowrra.from_urls(broker=server.url(), backend=server.url(database=1))
        assert (await processed(app)).result == 42


async def test_connection_over_a_unix_socket() -> None:
    """``unix:///tmp/redis.sock``"""
    with RedisServer(unix=True) as server:
        app = Flowrra.from_urls(broker=f"unix://{server.socket}", backend=server.unix_url(1))
        assert (await processed(app)).result == 42


async def test_from_urls_connects_to_nothing() -> None:
    """An application may be made where Redis isn't up; the first call says what is wrong."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        app = Flowrra(Config(broker=BrokerConfig(url=url, socket_timeout=0.2)))
        with pytest.raises(TransientError, match="can't be reached: it refused the connection"):
            await app.start(workers=False)
