"""Arguments and results as bytes: JSON, with tags for the types that JSON lacks.

Arguments are ``[[positional...],{"name":keyword}]``, a value stands for itself. A value of another
type is an object with one key that begins with ``$``: ``{"$datetime":"2030-01-31T08:00:00+01:00"}``.
The tags are ``$datetime``, ``$date``, ``$time``, ``$timedelta`` (days, seconds, microseconds),
``$uuid``, ``$decimal``, ``$bytes`` (base64), ``$tuple``, ``$set``, ``$frozenset``, ``$int`` (hexadecimal,
for numbers of hundreds of digits) and ``$dataclass`` (name and fields). A dictionary's own key that begins
with ``$`` gets another ``$`` in front.

Named tuples become tuples, and values of a type derived from one above become that type. A time zone
is kept as its offset. Enum members, other keys than strings, NaN and infinities are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from flowrra.codecs import Codec, best_codec, json_codec, msgspec_codec
from flowrra.exceptions import DecodingError, PayloadTooLargeError
from flowrra.known_dataclasses import serializable

#: Bytes that encoded arguments, or a result, may take.
PAYLOAD_LIMIT: Final = 1024 * 1024

#: Bytes that the text of an error or a traceback may take.
ERROR_LIMIT: Final = 16 * 1024

#: Stands in all encoded data that holds a tag or an escaped key.
_MARK: Final = b'"$'

#: Levels of nesting that the quick check goes down.
_QUICK_LEVELS: Final = 16

#: ``type`` with a signature that doesn't narrow: what is inside a list or dictionary is anything.
_type: Final = cast("Callable[[object], type[object]]", type)

#: Whole numbers up to here are the same text in both codecs.
_SHORT: Final = 1 << 53

_STRING: Final = frozenset({str})
#: None until the first use: msgspec takes a while to import.
_codec: Codec | None = None


def use_codec(name: str) -> str:
    """Switch this process to the codec ``json`` or ``msgspec`` and return the name of the one before.

    Both read and write the same bytes; this is for tests and comparisons.
    """
    global _codec  # noqa: PLW0603  (a parameter would cost every call)
    before = _chosen().name
    _codec = {"json": json_codec, "msgspec": msgspec_codec}[name]()
    return before


def _chosen() -> Codec:
    """The codec in use, chosen now if this is the first use."""
    global _codec  # noqa: PLW0603
    _codec = _codec or best_codec()
    return _codec


def encode_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], *, what: str, names: Sequence[str] = ()
) -> bytes:
    """Encode a call's arguments. *what* is the call (``task 'resize'``) and *names* are its
    positional parameters, for errors.

    Raises:
        EncodingError: An argument can't be encoded; names it, and the place inside it.
        PayloadTooLargeError: Together they take more than 1 MiB.
    """
    codec = _codec or _chosen()
    data = None
    if _is_plain(codec.atoms, args) and (not kwargs or _is_plain(codec.atoms, kwargs.values())):
        data = _quick(codec, (args, kwargs))
    if data is None:
        from flowrra.packing import pack_arguments

        data = codec.encode(pack_arguments(args, kwargs, what, names, codec.real))
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadTooLargeError(f"the arguments of {what}", len(data), PAYLOAD_LIMIT)
    return data


def encode_value(value: object, *, what: str = "the value") -> bytes:
    """Encode one value. *what* is the value's name, for errors.

    Raises:
        EncodingError: It can't be encoded; names the place inside it.
        PayloadTooLargeError: It takes more than 1 MiB.
    """
    if value is None:
        return b"null"
    if type(value) is int and -_SHORT < value < _SHORT:
        return b"%d" % value
    codec = _codec or _chosen()
    data = _quick(codec, value) if _is_plain(codec.atoms, (value,)) else None
    if data is None:
        from flowrra.packing import pack

        data = codec.encode(pack(value, what, codec.real))
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadTooLargeError(what, len(data), PAYLOAD_LIMIT)
    return data


def decode_arguments(data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode what ``encode_arguments`` made.

    Raises:
        DecodingError: The bytes are damaged, or from a newer version.
    """
    value = decode_value(data)
    if _type(value) is list and len(value) == 2:
        args, kwargs = value
        if _type(args) is list and _type(kwargs) is dict:
            return tuple(args), kwargs
    raise DecodingError("the bytes are no encoded arguments: a list and an object were expected")


def decode_value(data: bytes) -> Any:
    """Decode what ``encode_value`` made.

    Raises:
        DecodingError: The bytes are damaged, or from a newer version.
    """
    if len(data) > PAYLOAD_LIMIT:
        raise DecodingError(f"{len(data):,} bytes are more than the limit of {PAYLOAD_LIMIT:,}")
    try:
        value = (_codec or _chosen()).decode(data)
        return _unpacked(value) if _MARK in data else value
    except DecodingError:
        raise
    except ValueError as error:
        raise DecodingError(f"the bytes are not JSON as Flowrra writes it: {error}") from None
    except RecursionError:
        raise DecodingError("the bytes hold values that are nested too deeply") from None


def clip(text: str, limit: int = ERROR_LIMIT) -> str:
    """Return *text* in at most *limit* bytes of valid UTF-8; a longer one loses its middle."""
    if len(text) <= limit and text.isascii():
        return text
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    note = f"\n... {len(data) - limit:,} bytes left out ...\n"
    head = (limit - len(note)) // 4
    tail = limit - len(note) - head
    return data[:head].decode("utf-8", "ignore") + note + data[-tail:].decode("utf-8", "ignore")


def _unpacked(value: Any) -> Any:
    """Unpack what holds tags. Most processes never see one, and start sooner without what they need."""
    from flowrra.unpacking import unpack

    return unpack(value)


def _quick(codec: Codec, value: object) -> bytes | None:
    """Encode what is plain; None for what needs a tag all the same or fails: packing finds out why."""
    try:
        data = codec.encode(value)
    except (ValueError, TypeError):
        return None
    return None if _MARK in data else data


def _is_plain(atoms: frozenset[type], items: Iterable[Any], levels: int = _QUICK_LEVELS) -> bool:
    """Whether the codec writes all items as they are. May say no to what it could write."""
    for item in items:
        kind = _type(item)
        if kind in atoms:
            continue
        if kind is float:
            if item != 0 and not 1e-4 <= abs(item) < 1e16:
                return False
        elif kind is dict:
            if not levels or not _STRING.issuperset(map(_type, item)):
                return False
            if not _is_plain(atoms, item.values(), levels - 1):
                return False
        elif kind is not list or not levels or not _is_plain(atoms, item, levels - 1):
            return False
    return True


__all__ = [
    "ERROR_LIMIT", "PAYLOAD_LIMIT", "clip", "decode_arguments", "decode_value", "encode_arguments",
    "encode_value", "serializable", "use_codec",
]  # fmt: skip
