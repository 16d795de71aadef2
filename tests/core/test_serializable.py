"""Dataclasses travel if they opt in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest

from flowrra.exceptions import DecodingError, EncodingError
from flowrra.serialization import decode_arguments, decode_value, encode_arguments, encode_value, serializable

HERE = f"{__name__}."


class Picture:
    """No dataclass."""


@dataclass
class Parcel:
    """A dataclass."""

    weight: float


def test_an_opted_in_dataclass_comes_back() -> None:
    @serializable(name="test.Order")
    @dataclass(frozen=True)
    class Order:
        at: date
        items: tuple[str, ...] = ()
        total: int = field(init=False, default=0)

    order = Order(date(2030, 1, 31), ("a", "b"))
    data = encode_value({"order": order})
    assert data == (
        b'{"order":{"$dataclass":["test.Order",{"at":{"$date":"2030-01-31"},"items":{"$tuple":["a","b"]}}]}}'
    )
    assert decode_value(data) == {"order": order}
    assert decode_arguments(encode_arguments((order,), {}, what="task 't'")) == ((order,), {})


def test_a_dataclass_is_known_by_module_and_name() -> None:
    @serializable
    @dataclass
    class Pair:
        left: int

    assert f'"{HERE}{Pair.__qualname__}"'.encode() in encode_value(Pair(1))
    assert decode_value(encode_value([Pair(1)])) == [Pair(1)]


def test_stored_fields_that_a_dataclass_refuses_are_a_decoding_error() -> None:
    @serializable(name="test.Strict")
    @dataclass
    class Strict:
        size: int

        def __post_init__(self) -> None:
            if self.size < 0:
                raise OSError("too small")

    for fields, reason in (("-1", "too small"), ('1,"colour":2', "unexpected keyword argument 'colour'")):
        with pytest.raises(DecodingError, match=f"the dataclass 'test.Strict' refuses .*{reason}"):
            decode_value(f'{{"$dataclass":["test.Strict",{{"size":{fields}}}]}}'.encode())


def test_only_dataclasses_of_different_names_can_opt_in() -> None:
    with pytest.raises(TypeError, match="is no dataclass; put @serializable above @dataclass"):
        serializable(Picture)
    serializable(name="test.Taken")(Parcel)

    @dataclass
    class Other:
        pass

    with pytest.raises(ValueError, match="is taken by another class"):
        serializable(name="test.Taken")(Other)


def test_a_dataclass_derived_from_an_opted_in_one_is_refused() -> None:
    @serializable(name="test.Base")
    @dataclass
    class Base:
        pass

    @dataclass
    class Derived(Base):
        more: int = 1

    with pytest.raises(EncodingError, match="Derived; decorate its class"):
        encode_value(Derived())
