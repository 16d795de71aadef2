"""Who takes part, with which settings, and what each promises."""

from __future__ import annotations

from dataclasses import dataclass

_ADAPTERS = "benchmarks.redis.adapters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One row of the report."""

    name: str
    adapter: str  #: the module under ``adapters``
    #: How its worker starts, after ``python -m``; ``{slots}`` is the concurrency, ``{few}`` at most 8 of it.
    worker: str
    #: The same for tasks that sleep, where another setting suits them.
    sleeper: str = ""
    environment: str  #: the requirements file, and the virtual environment made from it
    wheels: tuple[str, ...] = ()  #: folders of this repository that are installed there too
    uvloop_producer: bool = False
    batch: str | None = None  #: how it submits many; None where it has nothing but one by one
    settings: str
    #: What becomes of a running task when its worker is killed, with these settings.
    guarantee: str
    at_least_once: bool = True  #: whether the guarantee is at-least-once
    drained: int  #: no-ops of one drain: what takes it a second or two
    slept: int  #: sleeps of one drain
    asked: int = 1_000  #: results of one latency run


_OURS = ("flowrra-core", "flowrra-redis")
_HELD = "run again within lease + 1 s, the lease being 30 s"

ENTRANTS = (
    Entrant(
        name="flowrra",
        adapter="flowrra_redis",
        worker=f"{_ADAPTERS}.flowrra_redis",
        environment="redis-flowrra",
        wheels=_OURS,
        batch="submit_many of 1,000",
        settings="defaults, num_workers as the concurrency; standard loop, json",
        guarantee=_HELD,
        drained=40_000,
        slept=10_000,
    ),
    Entrant(
        name="flowrra-uvloop",
        adapter="flowrra_redis",
        worker=f"benchmarks.redis.on_uvloop {_ADAPTERS}.flowrra_redis",
        environment="redis-flowrra-uvloop",
        wheels=_OURS,
        uvloop_producer=True,
        batch="submit_many of 1,000",
        settings="the same with uvloop and msgspec installed, uvloop in both processes",
        guarantee=_HELD,
        drained=40_000,
        slept=10_000,
    ),
    Entrant(
        name="flowrra-0.1.8",
        adapter="flowrra_published",
        worker=f"{_ADAPTERS}.flowrra_published",
        environment="redis-flowrra-0.1.8",
        batch="gather of 100",
        settings="io_workers as the concurrency, max_connections=400",
        guarantee="lost; its result stays running for ever",
        at_least_once=False,
        drained=6_000,
        slept=6_000,
        asked=150,
    ),
    Entrant(
        name="taskiq",
        adapter="taskiq_stream",
        worker=f"taskiq worker {_ADAPTERS}.taskiq_stream:broker --workers 1 --max-async-tasks {{slots}} "
        "--max-prefetch {slots} --log-level WARNING",
        environment="redis-taskiq",
        batch="gather of 100",
        settings="RedisStreamBroker, RedisAsyncResultBackend; worker on uvloop; result asked for every 1 ms "
        "(default 200)",
        guarantee="run again once it was idle for 10 min and new work comes in",
        drained=5_000,
        slept=5_000,
    ),
    Entrant(
        name="arq",
        adapter="arq_redis",
        worker=f"benchmarks.redis.on_uvloop arq {_ADAPTERS}.arq_redis.Worker "
        f"--custom-log-dict {_ADAPTERS}.arq_redis.QUIET",
        environment="redis-arq",
        batch="gather of 100",
        settings="max_jobs as the concurrency, poll_delay=0.01 (default 0.5); worker on uvloop; result asked "
        "for every 1 ms (default 500)",
        guarantee="run again after about 310 s (job_timeout 300 s + 10)",
        drained=6_000,
        slept=5_000,
    ),
    Entrant(
        name="SAQ",
        adapter="saq_redis",
        worker=f"benchmarks.redis.on_uvloop saq {_ADAPTERS}.saq_redis.settings",
        environment="redis-saq",
        batch="gather of 100",
        settings="retries=3 (default 1), queue swept before the worker starts; worker on "
        "uvloop; result asked for every 1 ms (default 500)",
        guarantee="run again by the sweep (every 60 s) after its timeout of 10 s",
        drained=5_000,
        slept=5_000,
    ),
    Entrant(
        name="streaq",
        adapter="streaq_redis",
        worker=f"streaq run {_ADAPTERS}.streaq_redis:worker",
        environment="redis-streaq",
        batch="enqueue_many of 1,000",
        settings="concurrency and prefetch; worker on uvloop",
        guarantee="run again after about 65 s (idle_timeout 60 s)",
        drained=4_000,
        slept=4_000,
        asked=30,
    ),
    Entrant(
        name="dramatiq",
        adapter="dramatiq_redis",
        worker=f"dramatiq {_ADAPTERS}.dramatiq_redis:broker --processes 1 --threads {{few}}",
        sleeper=f"dramatiq {_ADAPTERS}.dramatiq_redis:broker --processes 1 --threads {{slots}}",
        environment="redis-dramatiq",
        settings="Results; 1 process, at most 8 threads (its default) for no-ops, the concurrency for sleeps",
        guarantee="run again after 1 to 4 min (heartbeat_timeout 60 s, maintenance by chance)",
        drained=5_000,
        slept=5_000,
    ),
    Entrant(
        name="Celery",
        adapter="celery_redis",
        worker=f"celery -A {_ADAPTERS}.celery_redis:app worker -P solo "
        "--prefetch-multiplier {slots} -l WARNING",
        sleeper=f"celery -A {_ADAPTERS}.celery_redis:app worker -P threads -c {{slots}} "
        "--prefetch-multiplier 1 -l WARNING",
        environment="redis-celery",
        settings="Redis for messages and results; solo pool for no-ops, threads for sleeps",
        guarantee="lost: acknowledged before it runs",
        at_least_once=False,
        drained=2_500,
        slept=2_000,
    ),
    Entrant(
        name="RQ",
        adapter="rq_redis",
        worker="rq.cli worker --worker-class rq.SimpleWorker --quiet --url {url}",
        environment="redis-rq",
        batch="enqueue_many of 1,000",
        settings="SimpleWorker (no fork per task), Retry(max=3) (default none); one task at a time",
        guarantee="run again after about 4 min (maintenance), with Retry only",
        drained=1_000,
        slept=150,
        asked=300,
    ),
)

#: What asyncio itself takes for the tasks that sleep.
BARE = Entrant(
    name="bare asyncio",
    adapter="bare",
    worker=f"{_ADAPTERS}.bare",
    environment="bare",
    settings="a loop per slot, no queue",
    guarantee="none",
    at_least_once=False,
    drained=0,
    slept=10_000,
)

#: Distributions that do the work; the others in an environment are what they need.
WORKING = (
    "flowrra", "flowrra-core", "flowrra-redis", "taskiq", "taskiq-redis", "arq", "saq", "streaq", "coredis",
    "dramatiq", "celery", "kombu", "rq", "redis", "hiredis", "uvloop", "msgspec", "pydantic",
)  # fmt: skip
