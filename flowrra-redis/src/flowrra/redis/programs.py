"""The scripts on queues."""

from __future__ import annotations

from typing import Final

from flowrra.redis.scripts import Script

#: The most tasks that one call of a script takes; Lua can't pass many more values to one command.
AT_ONCE: Final = 500


def _on_queues(name: str, *fragments: str) -> Script:
    return Script(name, "clock", "queue", *fragments, name)


ENQUEUE: Final = _on_queues("enqueue")
CLAIM: Final = _on_queues("claim")
RENEW: Final = _on_queues("renew")
SETTLE: Final = _on_queues("settle", "settling")
SETTLE_AND_KEEP: Final = _on_queues("settle_and_keep", "settling", "records", "history")
FIND: Final = _on_queues("find")
CANCEL: Final = _on_queues("cancel")
COUNTS: Final = _on_queues("counts")
PEEK: Final = _on_queues("peek", "order")
PURGE: Final = _on_queues("purge")
REQUEUE: Final = _on_queues("requeue")
RESUME: Final = _on_queues("resume")
