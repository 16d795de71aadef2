"""From ``module:app``, as it is typed, to the application."""

from __future__ import annotations

import re
import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from flowrra.app import Flowrra
from flowrra.task import Task


class TargetError(click.ClickException):
    """An application that can't be found or made; says why, and what to type instead."""

    exit_code = 2


def load_app(target: str) -> Flowrra:
    """The application that *target* names.

    It reads ``module:attribute``, ``module:factory()``, ``path/to/file.py:attribute``, or a module
    alone that has one application. The current folder is searched first.

    Raises:
        TargetError: There is none; names what is there.
    """
    name, _, attribute = target.partition(":")
    module = _import(_module_name(name), target)
    if not attribute:
        return _only_app(module)
    path, called = (attribute.removesuffix("()"), True) if attribute.endswith("()") else (attribute, False)
    found = _attribute(module, path)
    if called:
        found = _call(found, f"{module.__name__}:{attribute}")
    if isinstance(found, Flowrra):
        return found
    raise TargetError(_no_app(module, path, found))


def _module_name(name: str) -> str:
    """A module's name; for the path of a file, after making it importable."""
    if not name.endswith(".py"):
        return name
    file = Path(name).resolve()
    if not file.is_file():
        raise TargetError(f"there is no file {name}")
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return ".".join(parts)


def _import(name: str, target: str) -> ModuleType:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise TargetError(f"{target!r} names no module; write module:app, as in tasks:app for tasks.py")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise TargetError(_no_module(error.name)) from None
        raise TargetError(
            f"module {name!r} needs {error.name!r}, which isn't installed here\n{_frames(error)}"
        ) from None
    except (Exception, SystemExit) as error:
        raise TargetError(f"module {name!r} can't be imported\n{_frames(error)}") from None


def _frames(error: BaseException) -> str:
    """The traceback from the imported module on, without our frames and the import system's."""
    ours = ("<frozen importlib", __file__, import_module.__code__.co_filename)
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(ours)
    ]
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip()


def _no_module(name: str) -> str:
    near = get_close_matches(name, [file.stem for file in Path.cwd().glob("*.py")], n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else "run this in the folder that holds it."
    return f"no module named {name!r} in {Path.cwd()}, nor installed: {advice}"


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise TargetError(_no_attribute(module, path)) from None
    return found


def _no_attribute(module: ModuleType, path: str) -> str:
    advice = f"its applications: {', '.join(names)}" if (names := _apps(module)) else ""
    near = get_close_matches(path, list(vars(module)), n=1)
    advice = advice or (f"did you mean {near[0]}?" if near else "it has no application: app = Flowrra()")
    return f"module {module.__name__!r} has no {path!r}; {advice}"


def _call(factory: Any, what: str) -> Any:
    try:
        return factory()
    except Exception as error:
        raise TargetError(f"{what} failed\n{_frames(error)}") from None


def _no_app(module: ModuleType, path: str, found: object) -> str:
    name, kind = f"{module.__name__}:{path}", type(found).__name__
    if callable(found) and not isinstance(found, Task) and not isinstance(found, type):
        return f"{name} is a function; if it makes the application, write {name}()"
    names = _apps(module)
    advice = f"; its applications: {', '.join(names)}" if names else ""
    return f"{name} is no application but of type {kind}{advice}"


def _apps(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Flowrra)]


def _only_app(module: ModuleType) -> Flowrra:
    names = _apps(module)
    distinct = {id(app): app for name in names if isinstance(app := getattr(module, name), Flowrra)}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not distinct:
        raise TargetError(f"module {module.__name__!r} has no application; define one: app = Flowrra()")
    choices = ", ".join(f"{module.__name__}:{name}" for name in names)
    raise TargetError(f"module {module.__name__!r} has several applications; choose one: {choices}")
