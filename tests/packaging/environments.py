"""Virtual environments to install wheels into, as users do."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run *command* and return what it prints; its complaint becomes the test's."""
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def uv(self, *arguments: str | Path) -> None:
        """Run ``uv pip`` on it, outside the repository, whose settings are for developers."""
        command, *rest = arguments
        run(
            sys.executable, "-m", "uv", "pip", command, "--quiet", "--python", self.python, *rest,
            cwd=self.folder,
        )  # fmt: skip

    def pip(self, *arguments: str | Path) -> None:
        """Run its own pip."""
        run(self.python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments, cwd=self.folder)

    def ask(self, program: str) -> Any:
        """What *program*, run in it, says with its last expression's JSON on standard output."""
        return json.loads(run(self.python, "-I", "-c", program, cwd=self.folder))

    def fail(self, *arguments: str) -> tuple[int, str]:
        """Run its interpreter and return the exit code and what it complains of."""
        done = subprocess.run(
            [str(self.python), *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    def distributions(self) -> set[str]:
        """The names of what is installed."""
        program = (
            "import importlib.metadata as m, json;"
            "print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"
        )
        return set(self.ask(program))
