"""Two ways to JSON text: the standard library's, and msgspec's where it is installed.

They agree byte for byte on what :mod:`flowrra.serialization` gives them: no blanks, UTF-8
without needless escapes, and floats as ``repr`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

#: Types whose values JSON holds as they are, and both codecs write alike.
_ATOMS: Final[frozenset[type]] = frozenset({str, int, bool, type(None)})


class Codec(NamedTuple):
    """One way to JSON text. Both functions raise ValueError, TypeError or RecursionError on misuse."""

    name: str
    encode: Callable[[object], bytes]
    decode: Callable[[bytes], Any]
    atoms: frozenset[type]  #: types that ``encode`` writes in the common form, or refuses
    real: Callable[[float], object]  #: what to hand to ``encode`` for a float of any size


def json_codec() -> Codec:
    """The codec of the standard library."""
    from json import JSONDecoder, JSONEncoder, encoder

    plain = JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
    decoder: Any = JSONDecoder(parse_constant=_refuse)
    scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
    chunks = _chunk_encoder(encoder, plain)

    def encode(value: object) -> bytes:
        return "".join(chunks(value, 0)).encode()

    def decode(data: bytes) -> Any:
        text = data.decode()
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("no JSON value") from None
        if end != len(text):
            raise ValueError("trailing characters")
        return value

    return Codec("json", encode, decode, _ATOMS | {float}, _same)


def _chunk_encoder(module: Any, plain: Any) -> Callable[[object, int], Any]:
    """The accelerator that JSONEncoder makes anew for each call, made once; or its slow way without one."""
    make, quote = getattr(module, "c_make_encoder", None), getattr(module, "c_encode_basestring", None)
    if make is None or quote is None:
        return lambda value, _: plain.iterencode(value)
    encoder: Callable[[object, int], Any] = make(
        None, plain.default, quote, None, ":", ",", False, False, False
    )
    return encoder


def msgspec_codec() -> Codec:
    """The codec of msgspec.

    Raises:
        ImportError: It isn't installed.
    """
    import msgspec

    def real(value: float) -> object:
        return msgspec.Raw(repr(value).encode())

    # Without float: msgspec writes 1e16 for 1e+16, and null for NaN.
    return Codec("msgspec", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode, _ATOMS, real)


def best_codec() -> Codec:
    """The one of msgspec if it is installed, else the standard library's."""
    try:
        return msgspec_codec()
    except ImportError:
        return json_codec()


def _same(value: float) -> object:
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not allowed")
