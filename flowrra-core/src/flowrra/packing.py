"""Values that JSON lacks become tagged JSON. The wire form is told in :mod:`flowrra.serialization`."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final
from uuid import UUID

from flowrra.exceptions import EncodingError
from flowrra.known_dataclasses import by_class

#: Deepest nesting of a value.
LEVELS: Final = 100

#: Longer integers are tagged: Python refuses long decimal numbers, from 641 digits on if told so.
_LONG_INT: Final = 1 << 2000


class _RefusedError(Exception):
    """A value can't be packed: why, and the way to it from inside out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path: list[str] = []

    def place(self) -> str:
        """The way to the value, from outside in."""
        path = "".join(reversed(self.path))
        return path if len(path) <= 200 else f"{path[:200]}..."


def pack(value: object, what: str, real: Callable[[float], object]) -> Any:
    """Return *value* as a codec can write it; *real* wraps floats for the codec.

    Raises:
        EncodingError: It can't be packed; *what* names it.
    """
    try:
        return _Packer(real).pack(value)
    except _RefusedError as refusal:
        place = f" at {refusal.place()}" if refusal.path else ""
        raise EncodingError(f"{what} can't be encoded{place}: {refusal.reason}") from None


def pack_arguments(
    args: Sequence[object],
    kwargs: Mapping[str, object],
    what: str,
    names: Sequence[str],
    real: Callable[[float], object],
) -> Any:
    """Return arguments as a codec can write them.

    Raises:
        EncodingError: One can't be packed; names it.
    """
    packer = _Packer(real)
    label = ""
    try:
        positional: list[Any] = []
        for index, value in enumerate(args):
            label = repr(names[index]) if index < len(names) else str(index + 1)
            positional.append(packer.pack(value))
        keyword: dict[str, Any] = {}
        for key, value in kwargs.items():
            label = repr(key)
            keyword[packer.key(key)] = packer.pack(value)
    except _RefusedError as refusal:
        argument = f"argument {label}{refusal.place()} of {what}"
        raise EncodingError(f"{argument} can't be encoded: {refusal.reason}") from None
    return [positional, keyword]


class _Packer:
    """Turns values into what a codec can write."""

    def __init__(self, real: Callable[[float], object]) -> None:
        self._real = real
        self._level = 0

    def pack(self, value: object) -> Any:
        """Return *value* in JSON's types."""
        if value is None or value is True or value is False:
            return value
        method = _PACKERS.get(type(value)) or self._method(value)
        return method(self, value)

    def key(self, key: object) -> str:
        """Return a dictionary's key, escaped if it looks like a tag."""
        if not isinstance(key, str) or isinstance(key, Enum):
            raise _RefusedError(f"a key of type {_name(type(key))}; only strings can be keys")
        key = self.text(key)
        return f"${key}" if key.startswith("$") else key

    def text(self, value: str) -> str:
        """Return a string, if it is valid Unicode."""
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _RefusedError("a string with half a surrogate pair, which is no valid Unicode") from None
        return str.__str__(value)

    def whole(self, value: int) -> Any:
        """Return an integer; a long one as hexadecimal."""
        value = int.__int__(value)
        return value if abs(value) < _LONG_INT else {"$int": hex(value)}

    def real(self, value: float) -> object:
        """Return a float as the codec wants it."""
        if not isfinite(value):
            raise _RefusedError(f"the number {value}; pass None or a string")
        return self._real(float.__float__(value))

    def array(self, items: Iterable[Any], *, numbered: bool = True) -> list[Any]:
        """Return items as a list."""
        self._descend()
        packed: list[Any] = []
        for index, item in enumerate(items):
            try:
                packed.append(self.pack(item))
            except _RefusedError as refusal:
                refusal.path.append(f"[{index}]" if numbered else "{...}")
                raise
        self._level -= 1
        return packed

    def mapping(self, items: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a dictionary, its keys escaped."""
        self._descend()
        packed: dict[str, Any] = {}
        for key, item in items.items():
            name = self.key(key)
            try:
                packed[name] = self.pack(item)
            except _RefusedError as refusal:
                refusal.path.append(f"[{key!r:.60}]")
                raise
        self._level -= 1
        return packed

    def dataclass(self, value: Any) -> Any:
        """Return a registered dataclass by name and fields."""
        name, fields = by_class[type(value)]
        return {"$dataclass": [name, self.mapping({field: getattr(value, field) for field in fields})]}

    def offset(self, value: datetime | time) -> Any:
        """Return *value* if its ISO form tells the offset of its zone."""
        if value.tzinfo is not None and value.utcoffset() is None:
            raise _RefusedError(
                f"a {_name(type(value))} whose time zone has no fixed offset; pass a datetime"
            )
        return value

    def decimal(self, value: Decimal) -> Any:
        """Return a decimal number as text."""
        if not value.is_finite():
            raise _RefusedError(f"the number Decimal({str(value)!r}); pass None or a string")
        return {"$decimal": Decimal.__str__(value)}

    def _descend(self) -> None:
        self._level += 1
        if self._level > LEVELS:
            raise _RefusedError(f"it is nested more than {LEVELS} levels deep, or contains itself")

    def _method(self, value: object) -> Callable[[_Packer, Any], Any]:
        """The packing of a type that isn't in the table itself."""
        kind = type(value)
        if kind in by_class:
            return _Packer.dataclass
        if not isinstance(value, Enum) and not is_dataclass(kind):
            for base in kind.__mro__:
                if base in _PACKERS:
                    return _PACKERS[base]
        raise _RefusedError(f"an object of type {_name(kind)}; {_advice(value)}")


def _name(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _advice(value: object) -> str:
    """What to pass instead."""
    if isinstance(value, Enum):
        return "pass its .value"
    if is_dataclass(type(value)):
        return "decorate its class with flowrra.serialization.serializable, or pass dataclasses.asdict(...)"
    if isinstance(value, (bytearray, memoryview)):
        return "pass bytes(...)"
    if isinstance(value, os.PathLike):
        return "pass str(...)"
    if isinstance(value, Awaitable):
        return "await it first"
    if isinstance(value, Iterable):
        return "pass a list"
    return "pass plain data, or a key by which the task can find it"


_PACKERS: Final[Mapping[type[Any], Callable[[_Packer, Any], Any]]] = {
    str: _Packer.text,
    int: _Packer.whole,
    float: _Packer.real,
    list: _Packer.array,
    dict: _Packer.mapping,
    tuple: lambda packer, value: {"$tuple": packer.array(value)},
    set: lambda packer, value: {"$set": packer.array(value, numbered=False)},
    frozenset: lambda packer, value: {"$frozenset": packer.array(value, numbered=False)},
    bytes: lambda _, value: {"$bytes": base64.b64encode(value).decode()},
    datetime: lambda packer, value: {"$datetime": datetime.isoformat(packer.offset(value))},
    date: lambda _, value: {"$date": date.isoformat(value)},
    time: lambda packer, value: {"$time": time.isoformat(packer.offset(value))},
    timedelta: lambda _, value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    UUID: lambda _, value: {"$uuid": str(value)},
    Decimal: _Packer.decimal,
}
