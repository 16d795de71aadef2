"""How long a worker waits, and how much it takes on."""

from __future__ import annotations

from typing import Final

#: Settlements that may wait for a slow broker before the worker stops claiming.
BACKLOG: Final = 1_000

#: Tasks that are started in one turn of the loop. More of them alive at the same time cost the garbage
#: collector more than the turn does.
AT_ONCE: Final = 50

#: Seconds after which to look whether a call that was given up has left its slot.
LOOK_AGAIN: Final = 0.1

#: The longest sleep, in seconds, without asking the broker.
LONGEST_WAIT: Final = 5.0

#: Seconds that a claim under way may take at a stop.
CLAIM_WITHIN: Final = 2.0

#: Seconds that interrupted tasks get to end before they are handed back all the same.
HAND_BACK_AFTER: Final = 1.0

#: Seconds that the last settlements may take at a stop.
SETTLE_WITHIN: Final = 5.0
