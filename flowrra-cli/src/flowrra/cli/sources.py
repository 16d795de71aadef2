"""Where each setting came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flowrra.config import SECTIONS, Config
from flowrra.url import redact


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force; passwords are hidden."""

    name: str  #: section and field
    value: str
    source: str  #: a variable, a file, or ``default``


def sources(environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Every setting of ``Config.load()``. Sections that nothing sets are absent, except the executor's.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    variables = os.environ if environ is None else environ
    config = Config.load(environ=variables)
    file, table = _file()
    rows: list[Setting] = []
    for section in SECTIONS:
        settings = getattr(config, section)
        for each in fields(settings) if settings is not None else ():
            source = _source(section, each.name, variables, file, table)
            rows.append(Setting(f"{section}.{each.name}", redact(str(getattr(settings, each.name))), source))
    return rows


def _source(
    section: str, name: str, variables: Mapping[str, str], file: Path | None, table: Mapping[str, Any]
) -> str:
    variable = f"FLOWRRA_{section.upper()}_{name.upper()}"
    if variables.get(variable, "").strip():
        return variable
    return str(file) if name in table.get(section, {}) else "default"


def _file() -> tuple[Path | None, Mapping[str, Any]]:
    """The file that ``Config.load`` reads, and its ``[tool.flowrra]``."""
    here = Path.cwd()
    files = (folder / "pyproject.toml" for folder in (here, *here.parents))
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        return None, {}
    return file, tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("flowrra", {})
