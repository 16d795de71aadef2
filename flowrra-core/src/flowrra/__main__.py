"""``python -m flowrra``: the command line, if it is installed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

#: Where ``flowrra-cli`` keeps it. The core never imports it by name.
_COMMAND_LINE: Final = "flowrra.cli.main"


def main() -> None:
    """Run the command line, or say how to get it."""
    try:
        command_line = import_module(_COMMAND_LINE)
    except ModuleNotFoundError as error:
        if error.name is None or not _COMMAND_LINE.startswith(error.name):
            raise
        sys.exit("flowrra has no command line here. Try: pip install flowrra-cli")
    command_line.main(called="python -m flowrra")


if __name__ == "__main__":
    main()
