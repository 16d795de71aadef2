"""Finding a task's function in a worker process, by import path or by running the script that defines it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from flowrra.executors.stopping import loading, stop_here_if_loading

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

#: The name under which a worker process runs a script, so that ``if __name__ == "__main__":`` is false.
SCRIPT: Final = "__mp_main__"

#: Where a script without such a guard would start its own event loop.
_ENTRANCES: Final = (
    ("Runner", "run"), ("BaseEventLoop", "run_until_complete"), ("BaseEventLoop", "run_forever"),
)  # fmt: skip


def find_function(path: str, file: str | None, *, is_main: bool) -> Any:
    """What ``module:qualified.name`` names.

    Args:
        file: The module's source, where its name doesn't find it.
        is_main: Whether it is the program that was started: it ends where it would run an event loop.

    Raises:
        LookupError: There is no such module, script or name; says what to do.
    """
    module_name, _, qualname = path.partition(":")
    with _loops_stopped() if is_main else nullcontext():
        found: Any = _module(module_name, file)
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LookupError(
                f"{file or module_name} has no {qualname!r} when a worker process loads it; define the task "
                "at module level, before the first asyncio.run and outside of `if __name__ == '__main__':`"
            ) from None
    return found


def _module(name: str, file: str | None) -> ModuleType:
    loaded = sys.modules.get(SCRIPT if name == "__main__" else name)
    if loaded is not None:
        return loaded
    if name == "__main__":
        return _run_script(file)
    spec = _find(name) or (spec_from_file_location(name, file) if file else None)
    if spec is None or spec.loader is None:
        raise LookupError(f"a worker process finds no module {name!r}; is its folder on sys.path?")
    module = module_from_spec(spec)
    _execute(module, (name,), partial(spec.loader.exec_module, module))
    _attach(module)
    return module


def _find(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            return None
        raise


def _attach(module: ModuleType) -> None:
    """Make a submodule an attribute of its package, as an import does."""
    package, _, name = module.__name__.rpartition(".")
    if package in sys.modules:
        setattr(sys.modules[package], name, module)


def _run_script(file: str | None) -> ModuleType:
    """Run a script as a module that is not ``__main__``."""
    if file is None or not Path(file).is_file():
        raise LookupError(
            "tasks that are defined interactively or by python -c can't run in a worker process: "
            "move the function into a file"
        )
    module = ModuleType(SCRIPT)
    module.__file__ = file
    code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
    _execute(module, (SCRIPT, "__main__"), partial(exec, code, vars(module)))
    return module


def _execute(module: ModuleType, names: tuple[str, ...], run: Callable[[], object]) -> None:
    """Execute a module that keeps what it has defined if it stops early."""
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(dict.fromkeys(names, module))
    try:
        with loading():
            run()
    except SystemExit as ended:
        _forget_frames(ended)
    except BaseException:
        for name, other in before.items():
            sys.modules.pop(name) if other is None else sys.modules.update({name: other})
        raise


def _forget_frames(ended: SystemExit) -> None:
    """Drop what a stopped script was about to await, without a warning that it wasn't."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine '.*' was never awaited")
        ended.__context__ = ended.__traceback__ = None


@contextmanager
def _loops_stopped() -> Generator[None]:
    """Stop the script where it starts an event loop."""
    import asyncio

    places = [(getattr(asyncio, owner), name) for owner, name in _ENTRANCES]
    originals = [getattr(owner, name) for owner, name in places]
    for owner, name in places:
        setattr(owner, name, _stop)
    try:
        yield
    finally:
        for (owner, name), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def _stop(_owner: object, *arguments: object, **_options: object) -> None:
    for argument in arguments:
        if isinstance(argument, Coroutine):
            argument.close()
    stop_here_if_loading()
