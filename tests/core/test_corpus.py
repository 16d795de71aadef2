"""Values and the bytes that stand for them, whichever codec writes and reads them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrra.exceptions import DecodingError
from flowrra.serialization import decode_arguments, decode_value, encode_value, use_codec


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int


class Name(str):
    """A string of a class of its own."""

    __slots__ = ()


class Number(int):
    """An integer of a class of its own."""


class Real(float):
    """A float of a class of its own."""


class Moment(datetime):
    """A datetime of a class of its own."""


_BERLIN = datetime(2030, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
_DIGITS = "1234567890" * 60

#: Values that come back equal and of the same type.
EXACT: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-1, "-1"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (2**64 - 1, "18446744073709551615"),
    (2**64, "18446744073709551616"),
    (-(2**63) - 1, "-9223372036854775809"),
    (10**40, "1" + 40 * "0"),
    (int(_DIGITS), _DIGITS),
    (-(1 << 16000), '{"$int":"-0x1' + 4000 * "0" + '"}'),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (1.0, "1.0"),
    (0.1, "0.1"),
    (1e15, "1000000000000000.0"),
    (9999999999999998.0, "9999999999999998.0"),
    (1e16, "1e+16"),
    (-1.2345678901234568e17, "-1.2345678901234568e+17"),
    (1e300, "1e+300"),
    (0.0001, "0.0001"),
    (0.00001, "1e-05"),
    (1.5e-7, "1.5e-07"),
    (5e-324, "5e-324"),
    ("", '""'),
    ("plain", '"plain"'),
    ("größer 😀 \u2028 \x7f \x80", '"größer 😀 \u2028 \x7f \x80"'),
    ('"/\\\b\f\n\r\t\x0b\x00\x1f<&>', '"\\"/\\\\\\b\\f\\n\\r\\t\\u000b\\u0000\\u001f<&>"'),
    ("$5.00", '"$5.00"'),
    ([], "[]"),
    ({}, "{}"),
    ([1, [2.5, ["x", None]]], '[1,[2.5,["x",null]]]'),
    ({"a": {"b": []}, "": 1}, '{"a":{"b":[]},"":1}'),
    ({"$": 1, "$$": 2, "$x": 3, "x$": 4}, '{"$$":1,"$$$":2,"$$x":3,"x$":4}'),
    ({"$datetime": "2030-01-31"}, '{"$$datetime":"2030-01-31"}'),
    ({"a\n$": 1, '"$': 2}, '{"a\\n$":1,"\\"$":2}'),
    ((), '{"$tuple":[]}'),
    ((1, (2, [3])), '{"$tuple":[1,{"$tuple":[2,[3]]}]}'),
    ({7}, '{"$set":[7]}'),
    (frozenset({(1,)}), '{"$frozenset":[{"$tuple":[1]}]}'),
    (b"", '{"$bytes":""}'),
    (b"\x00\xff", '{"$bytes":"AP8="}'),
    (date(2030, 1, 31), '{"$date":"2030-01-31"}'),
    (datetime(2030, 1, 31, 8), '{"$datetime":"2030-01-31T08:00:00"}'),  # noqa: DTZ001
    (datetime(1, 1, 1, 0, 0, 0, 1), '{"$datetime":"0001-01-01T00:00:00.000001"}'),  # noqa: DTZ001
    (datetime(2030, 1, 1, tzinfo=UTC), '{"$datetime":"2030-01-01T00:00:00+00:00"}'),
    (time(23, 59, 59, 999999), '{"$time":"23:59:59.999999"}'),
    (time(8, tzinfo=timezone(timedelta(hours=-3.5))), '{"$time":"08:00:00-03:30"}'),
    (timedelta(0), '{"$timedelta":[0,0,0]}'),
    (timedelta(microseconds=-1), '{"$timedelta":[-1,86399,999999]}'),
    (timedelta.max, '{"$timedelta":[999999999,86399,999999]}'),
    (UUID(int=1), '{"$uuid":"00000000-0000-0000-0000-000000000001"}'),
    (Decimal("1.10"), '{"$decimal":"1.10"}'),
    (Decimal("-0E-7"), '{"$decimal":"-0E-7"}'),
    ([1e16, {"at": date(2030, 1, 1), "$": 1e-7}], '[1e+16,{"at":{"$date":"2030-01-01"},"$$":1e-07}]'),
]

#: Values that come back as the plain type from which theirs is derived.
PLAINER: list[tuple[Any, Any, str]] = [
    (Point(1, 2), (1, 2), '{"$tuple":[1,2]}'),
    (Name("x"), "x", '"x"'),
    (Number(3), 3, "3"),
    (Real(0.5), 0.5, "0.5"),
    (OrderedDict(a=1), {"a": 1}, '{"a":1}'),
    (Counter("aa"), {"a": 2}, '{"a":2}'),
    ({Name("k"): Name("v")}, {"k": "v"}, '{"k":"v"}'),
    (Moment(2030, 1, 31), datetime(2030, 1, 31), '{"$datetime":"2030-01-31T00:00:00"}'),  # noqa: DTZ001
    (_BERLIN, datetime(2030, 7, 1, 10, tzinfo=UTC), '{"$datetime":"2030-07-01T12:00:00+02:00"}'),
]

#: Bytes that are not what Flowrra writes, and a part of the error.
HOSTILE: list[tuple[bytes, str]] = [
    (b"", "not JSON"),
    (b"[1,]", "not JSON"),
    (b"[1]x", "not JSON"),
    (b"{'a':1}", "not JSON"),
    (b"NaN", "not JSON"),
    (b"[-Infinity]", "not JSON"),
    (b'"\xff"', "not JSON"),
    (b'"\xed\xa0\x80"', "not JSON"),
    (b'"\x01"', "not JSON"),
    (b"\xef\xbb\xbf1", "not JSON"),
    (b"9" * 5000, "not JSON"),
    (b"[" * 100_000, "nested too deeply"),
    (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    (b'{"$tuple":[' * 50_000 + b"]}" * 50_000, "nested too deeply"),
    (b" " * 1024 * 1024 + b"1", "1,048,577 bytes are more than the limit of 1,048,576"),
    (b'{"$money":"1 EUR"}', "unknown tag '$money'; a newer version of Flowrra may have written it"),
    (b'{"$date":"2030-01-31","x":1}', "unknown tag '$date'"),
    (b'{"x":1,"$date":"2030-01-31"}', "unknown tag"),
    (b'{"$date":20300131}', "tag '$date' holds int where str was expected"),
    (b'{"$date":"tomorrow"}', "tag '$date' holds what can't be read: Invalid isoformat string: 'tomorrow'"),
    (b'{"$datetime":""}', "tag '$datetime' holds what can't be read"),
    (b'{"$time":"25:00"}', "tag '$time' holds what can't be read"),
    (b'{"$timedelta":[1,2]}', "tag '$timedelta' holds what can't be read"),
    (b'{"$timedelta":[1,2,true]}', "three integers were expected"),
    (b'{"$timedelta":[1000000000,0,0]}', "tag '$timedelta' holds what can't be read"),
    (b'{"$uuid":"1"}', "tag '$uuid' holds what can't be read"),
    (b'{"$decimal":"one"}', "tag '$decimal' holds what can't be read"),
    (b'{"$decimal":"NaN"}', "tag '$decimal' holds what can't be read"),
    (b'{"$bytes":"*"}', "tag '$bytes' holds what can't be read"),
    (b'{"$int":"0xg"}', "tag '$int' holds what can't be read"),
    (b'{"$set":[[1]]}', "tag '$set' holds what can't be read: unhashable type: 'list'"),
    (b'{"$frozenset":{}}', "tag '$frozenset' holds dict where list was expected"),
    (b'{"$tuple":[{"$no":1}]}', "unknown tag '$no'"),
    (
        b'{"$dataclass":["os.system",{}]}',
        "no dataclass 'os.system' is registered; import the module that defines it",
    ),
    (b'{"$dataclass":[[],{}]}', "tag '$dataclass' holds what can't be read"),
    (b'{"$dataclass":[]}', "tag '$dataclass' holds what can't be read"),
]


@pytest.fixture(params=["json", "msgspec"], autouse=True)
def codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs with each codec."""
    before = use_codec(request.param)
    yield request.param
    use_codec(before)


@pytest.mark.parametrize(("value", "text"), EXACT, ids=[text[:40] for _, text in EXACT])
def test_values_become_these_bytes_and_come_back(value: Any, text: str) -> None:
    assert encode_value(value) == text.encode()
    back = decode_value(text.encode())
    assert (back, type(back)) == (value, type(value))
    assert encode_value(back) == text.encode()


@pytest.mark.parametrize(("value", "plain", "text"), PLAINER)
def test_values_of_derived_types_become_plain(value: Any, plain: Any, text: str) -> None:
    assert encode_value(value) == text.encode()
    back = decode_value(text.encode())
    assert (back, type(back)) == (plain, type(plain))


@pytest.mark.parametrize(("data", "reason"), HOSTILE, ids=[repr(data[:40]) for data, _ in HOSTILE])
def test_bytes_of_others_are_a_decoding_error(data: bytes, reason: str) -> None:
    with pytest.raises(DecodingError) as caught:
        decode_value(data)
    assert reason in str(caught.value)


@given(data=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    """No other error than DecodingError, whatever arrives."""
    for decode in (decode_value, decode_arguments):
        try:
            decode(data)
        except DecodingError:
            pass


_TAGS = sorted({text.split('"')[1] for _, text in EXACT if text.startswith('{"$')})


_CONTENTS = st.none() | st.text() | st.integers() | st.lists(st.integers() | st.text())


@given(tag=st.sampled_from(_TAGS), content=_CONTENTS)
def test_any_content_of_a_tag_is_decoded_or_refused(tag: str, content: object) -> None:
    text = encode_value(content).decode()
    try:
        decode_value(f'{{"{tag}":{text}}}'.encode())
    except DecodingError:
        pass
