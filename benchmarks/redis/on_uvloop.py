"""``python -m benchmarks.redis.on_uvloop MODULE ...``: run a module as the main one, on uvloop."""

from __future__ import annotations

import asyncio
import runpy
import sys
from importlib import import_module
from typing import Any

if __name__ == "__main__":
    uvloop: Any = import_module("uvloop")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
