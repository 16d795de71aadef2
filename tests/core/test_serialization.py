"""Arguments and results survive as bytes, the same bytes with either codec; what can't is named."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrra.exceptions import DecodingError, EncodingError, PayloadTooLargeError
from flowrra.serialization import (
    ERROR_LIMIT,
    PAYLOAD_LIMIT,
    clip,
    decode_arguments,
    decode_value,
    encode_arguments,
    encode_value,
    use_codec,
)


@pytest.fixture(params=["json", "msgspec"], autouse=True)
def codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs with each codec."""
    before = use_codec(request.param)
    yield request.param
    use_codec(before)


def refusal(value: object) -> str:
    """Why a value can't be encoded."""
    with pytest.raises(EncodingError) as caught:
        encode_value(value)
    return str(caught.value)


def test_arguments_have_this_form() -> None:
    data = encode_arguments((1, (2,)), {"x": "y", "$z": None}, what="task 't'")
    assert data == b'[[1,{"$tuple":[2]}],{"x":"y","$$z":null}]'
    assert encode_arguments((), {}, what="task 't'") == b"[[],{}]"


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"[[],[]]", b"[[],{},1]", b'[{"$tuple":[]},{}]', b"null", b'"ab"']
)
def test_what_is_no_arguments_is_refused(data: bytes) -> None:
    with pytest.raises(DecodingError, match="no encoded arguments: a list and an object were expected"):
        decode_arguments(data)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


@dataclass
class Parcel:
    weight: float


class Picture:
    pass


HERE = f"{__name__}."
PLAIN = "pass plain data, or a key by which the task can find it"
OPT_IN = "decorate its class with flowrra.serialization.serializable, or pass dataclasses.asdict(...)"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Colour.RED, f"an object of type {HERE}Colour; pass its .value"),
        (Level.LOW, f"an object of type {HERE}Level; pass its .value"),
        (Word.YES, f"an object of type {HERE}Word; pass its .value"),
        (
            Picture(),
            f"an object of type {HERE}Picture; {PLAIN}",
        ),
        (Picture, f"an object of type type; {PLAIN}"),
        (
            Parcel(1.5),
            f"an object of type {HERE}Parcel; {OPT_IN}",
        ),
        (bytearray(b"x"), "an object of type bytearray; pass bytes(...)"),
        (
            Path("/x"),
            f"an object of type {type(Path()).__module__}.{type(Path()).__qualname__}; pass str(...)",
        ),
        (deque([1]), "an object of type collections.deque; pass a list"),
        (range(3), "an object of type range; pass a list"),
        (1 + 2j, f"an object of type complex; {PLAIN}"),
        (math.nan, "the number nan; pass None or a string"),
        (math.inf, "the number inf; pass None or a string"),
        (-math.inf, "the number -inf; pass None or a string"),
        (Decimal("NaN"), "the number Decimal('NaN'); pass None or a string"),
        (Decimal("-Infinity"), "the number Decimal('-Infinity'); pass None or a string"),
        ("\ud800", "a string with half a surrogate pair, which is no valid Unicode"),
        ({1: 2}, "a key of type int; only strings can be keys"),
        ({None: 2}, "a key of type NoneType; only strings can be keys"),
        ({Word.YES: 2}, f"a key of type {HERE}Word; only strings can be keys"),
        (
            time(8, tzinfo=ZoneInfo("Europe/Berlin")),
            "a datetime.time whose time zone has no fixed offset; pass a datetime",
        ),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_what_cannot_be_encoded_says_why(value: object, reason: str) -> None:
    assert refusal(value) == f"the value can't be encoded: {reason}"
    assert refusal([value]) == f"the value can't be encoded at [0]: {reason}"


async def test_an_unawaited_call_says_so() -> None:
    call = asyncio.sleep(0)
    assert "await it first" in refusal(call)
    await call


def test_the_place_inside_is_named() -> None:
    value = {"options": [1, {"when": (0, {Picture()})}]}
    assert "at ['options'][1]['when'][1]{...}: an object" in refusal(value)
    with pytest.raises(EncodingError, match="the result of task 't' can't be encoded at"):
        encode_value(value, what="the result of task 't'")


@pytest.mark.parametrize(
    ("args", "kwargs", "names", "argument"),
    [
        ((Picture(),), {}, ("image",), "argument 'image'"),
        ((Picture(),), {}, (), "argument 1"),
        ((1, 2, Picture()), {}, ("image", "rest"), "argument 3"),
        ((1,), {"image": Picture()}, ("x",), "argument 'image'"),
        ((), {"options": {"when": [0, Picture()]}}, (), "argument 'options'['when'][1]"),
    ],
)
def test_the_argument_is_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...], argument: str
) -> None:
    with pytest.raises(EncodingError) as caught:
        encode_arguments(args, kwargs, what="task 'resize'", names=names)
    assert str(caught.value) == (
        f"{argument} of task 'resize' can't be encoded: an object of type {HERE}Picture; {PLAIN}"
    )


def nested(levels: int, innermost: Any = 0) -> Any:
    """Lists in lists."""
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("innermost", [0, date(2030, 1, 31)])
def test_nesting_has_a_limit(innermost: Any) -> None:
    """A hundred levels, whichever way a value goes."""
    value = nested(100, innermost)
    assert decode_value(encode_value(value)) == value
    for levels in (101, 100_000):
        assert "nested more than 100 levels deep, or contains itself" in refusal(nested(levels, innermost))


def test_a_hundred_tuples_in_each_other_come_back() -> None:
    value: Any = ()
    for _ in range(99):
        value = (value,)
    assert decode_value(encode_value(value)) == value


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["me"] = value
    assert "contains itself" in refusal(value)
    assert len(refusal(value)) < 400


def test_too_much_is_refused_with_its_size() -> None:
    fits = "x" * (PAYLOAD_LIMIT - 2)
    assert decode_value(encode_value(fits)) == fits
    with pytest.raises(PayloadTooLargeError, match="the value takes 1,048,577"):
        encode_value(fits + "x")
    with pytest.raises(PayloadTooLargeError, match="the arguments of task 't' takes 1,048,583"):
        encode_arguments((fits,), {}, what="task 't'")


def test_short_texts_are_not_clipped() -> None:
    for text in ("", "ValueError: no", "ü" * (ERROR_LIMIT // 2), "x" * ERROR_LIMIT):
        assert clip(text) is text or clip(text) == text


@given(text=st.text(st.characters()), times=st.integers(1, 50), limit=st.integers(64, 400))
def test_clipped_texts_fit_and_keep_both_ends(text: str, times: int, limit: int) -> None:
    """Also a text that is no valid Unicode becomes text that can be stored."""
    clipped = clip(text * times, limit)
    assert len(clipped.encode()) <= limit
    assert encode_value(clipped)


def test_a_long_text_says_how_much_is_missing() -> None:
    clipped = clip("a" * 20_000 + "z" * 10_000)
    assert clipped.startswith("aaaa")
    assert clipped.endswith("zzzz")
    assert "\n... 13,616 bytes left out ...\n" in clipped


def test_switching_codecs_names_the_one_before(codec: str) -> None:
    assert use_codec("json") == codec
    assert use_codec(codec) == "json"


def test_the_json_codec_needs_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters without the C encoder write the same."""
    monkeypatch.setattr("json.encoder.c_make_encoder", None)
    use_codec("json")
    assert encode_value({"ü": [1e16, None]}) == '{"ü":[1e+16,null]}'.encode()


def test_the_arguments_stay_as_they_are() -> None:
    args: tuple[Any, ...] = ([timedelta(1), {"$a": 1e16}],)
    encode_arguments(args, {}, what="task 't'")
    assert args == ([timedelta(1), {"$a": 1e16}],)
