"""Dataclasses whose values may travel as arguments and results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")

#: Name and constructor fields of each registered class.
by_class: Final[dict[type[Any], tuple[str, tuple[str, ...]]]] = {}
by_name: Final[dict[str, type[Any]]] = {}


@overload
def serializable(cls: type[T], /) -> type[T]: ...
@overload
def serializable(*, name: str | None = None) -> Callable[[type[T]], type[T]]: ...
def serializable(cls: type[T] | None = None, /, *, name: str | None = None) -> Any:
    """Let values of a dataclass travel as arguments and results. A class decorator.

    The class is known by *name*, by default its module and qualified name, in every process that
    imports it; it is made anew from the fields of its ``__init__``.

    Raises:
        TypeError: It is no dataclass.
        ValueError: Another class has that name.
    """
    if cls is None:
        return partial(_register, name=name)
    return _register(cls, name)


def _register(cls: type[T], /, name: str | None) -> type[T]:
    name = name or f"{cls.__module__}.{cls.__qualname__}"
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{name} is no dataclass; put @serializable above @dataclass")
    other = by_name.get(name, cls)
    if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(
            f"the name {name!r} is taken by another class; choose another: @serializable(name=...)"
        )
    by_class[cls] = name, tuple(field.name for field in dataclasses.fields(cls) if field.init)
    by_name[name] = cls
    return cls
