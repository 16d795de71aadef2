"""The version of the distributions, and of the contracts that plugins fulfil."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.2.0"

#: The version of the contracts in :mod:`flowrra.protocols`. A third party's package checks it;
#: it changes with any of them.
SPI_VERSION: Final = 1
