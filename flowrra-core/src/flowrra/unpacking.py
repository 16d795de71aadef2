"""Tagged JSON becomes values again. The wire form is told in :mod:`flowrra.serialization`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

from flowrra.exceptions import DecodingError
from flowrra.known_dataclasses import by_name

_type: Final = cast("Callable[[object], type[object]]", type)


def unpack(value: Any) -> Any:
    """Return what was packed, given what a codec read.

    Raises:
        DecodingError: A tag is unknown, or what it holds is wrong.
    """
    kind = _type(value)
    if kind is list:
        return [unpack(item) for item in value]
    if kind is not dict:
        return value
    packed: dict[str, Any] = value
    for key in packed:
        if key.startswith("$") and not key.startswith("$$"):
            return _unpack_tagged(packed)
    return {key[1:] if key.startswith("$$") else key: unpack(item) for key, item in packed.items()}


def _unpack_tagged(packed: dict[str, Any]) -> Any:
    """Return the value that a tag stands for."""
    tag, content = next(iter(packed.items()))
    kind, reader = _READERS.get(tag, (object, None))
    if reader is None or len(packed) != 1:
        raise DecodingError(f"unknown tag {tag!r:.80}; a newer version of Flowrra may have written it")
    if type(content) is not kind:
        raise DecodingError(f"tag {tag!r} holds {type(content).__name__} where {kind.__name__} was expected")
    try:
        return reader(content)
    except (ValueError, TypeError, ArithmeticError) as error:
        if isinstance(error, DecodingError):
            raise
        raise DecodingError(f"tag {tag!r} holds what can't be read: {error}") from None


def _read_timedelta(content: list[Any]) -> timedelta:
    days, seconds, microseconds = content
    if not type(days) is type(seconds) is type(microseconds) is int:
        raise ValueError("three integers were expected")
    return timedelta(days, seconds, microseconds)


def _read_decimal(content: str) -> Decimal:
    value = Decimal(content)
    if not value.is_finite():
        raise ValueError(f"{content} is no finite number")
    return value


def _read_dataclass(content: list[Any]) -> Any:
    name, fields = content
    cls = by_name.get(name)
    if cls is None:
        raise DecodingError(f"no dataclass {name!r:.200} is registered; import the module that defines it")
    if type(fields) is not dict:
        raise ValueError("an object with the fields was expected")
    try:
        return cls(**cast("dict[str, Any]", unpack(fields)))
    except DecodingError:
        raise
    except Exception as error:
        raise DecodingError(f"the dataclass {name!r} refuses its stored fields: {error}") from error


_READERS: Final[Mapping[str, tuple[type[Any], Callable[[Any], Any]]]] = {
    "$tuple": (list, lambda content: tuple(unpack(content))),
    "$set": (list, lambda content: set(unpack(content))),
    "$frozenset": (list, lambda content: frozenset(unpack(content))),
    "$bytes": (str, lambda content: base64.b64decode(content, validate=True)),
    "$datetime": (str, datetime.fromisoformat),
    "$date": (str, date.fromisoformat),
    "$time": (str, time.fromisoformat),
    "$timedelta": (list, _read_timedelta),
    "$uuid": (str, UUID),
    "$decimal": (str, _read_decimal),
    "$int": (str, lambda content: int(content, 16)),
    "$dataclass": (list, _read_dataclass),
}
