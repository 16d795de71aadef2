"""What a claim costs where few tasks wait and where many do, through the broker's public protocol.

Two servers, so that neither sees the other's tasks, and claims on both in turn. What was claimed is
released at once into its old place, so that the same number waits for the next claim.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from time import perf_counter
from typing import Any

CLAIMED = 100
BATCH = 1_000
QUEUE, LANE = "default", "io"
BODY = b"x" * 100

config: Any = import_module("flowrra.config")
message: Any = import_module("flowrra.message")


async def main() -> None:
    """Arguments: two URLs, how many tasks wait on the second server, and how many claims to time."""
    few, many = await _filled(sys.argv[1], CLAIMED), await _filled(sys.argv[2], int(sys.argv[3]))
    found: dict[str, list[float]] = {"few": [], "many": []}
    for broker in (few, many):
        await _claim(broker)
    for _ in range(int(sys.argv[4])):
        found["few"].append(await _claim(few))
        found["many"].append(await _claim(many))
    for broker in (few, many):
        await broker.close()
    print(json.dumps(found))


async def _filled(url: str, waiting: int) -> Any:
    """A broker on whose server so many tasks wait."""
    clock = import_module("flowrra.clock").SystemClock()
    broker: Any = import_module("flowrra.redis").broker(config.BrokerConfig(url=url), clock)
    await broker.open()
    for start in range(0, waiting, BATCH):
        messages = [_message() for _ in range(min(BATCH, waiting - start))]
        await broker.enqueue(messages, 0.0)
    return broker


def _message() -> Any:
    return message.Message(
        id=message.new_id(), task="noop", queue=QUEUE, lane=LANE, priority=0, body=BODY, headers={}
    )


async def _claim(broker: Any) -> float:
    """Seconds of one claim."""
    start = perf_counter()
    claim = await broker.claim([QUEUE], {LANE: CLAIMED}, 30.0, "benchmark")
    seconds = perf_counter() - start
    if len(claim.deliveries) != CLAIMED:
        raise SystemExit(f"a claim of {CLAIMED} gave {len(claim.deliveries)}")
    release = message.Verdict.RELEASE
    settled = await broker.settle([message.Settlement(each.receipt, release) for each in claim.deliveries])
    if not all(settled):
        raise SystemExit("a release was refused")
    return seconds


if __name__ == "__main__":
    asyncio.run(main())
