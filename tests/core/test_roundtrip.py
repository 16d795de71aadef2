"""Any value comes back, and both codecs write the same bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowrra.serialization import decode_arguments, decode_value, encode_arguments, encode_value, use_codec

_KEYS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["$", "$$", "$date", "$tuple", '"$']
)


def _is_clear(moment: datetime) -> bool:
    """Whether the clock shows it once: a time that it shows twice equals none of another zone (PEP 495)."""
    return moment.replace(fold=0).utcoffset() == moment.replace(fold=1).utcoffset()


_HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _KEYS
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones()).filter(_is_clear)
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
_VALUES = st.recursive(
    _HASHABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=10,
)


@given(value=_VALUES)
def test_any_value_comes_back_and_both_codecs_agree(value: Any) -> None:
    before = use_codec("json")
    try:
        written = []
        for name in ("json", "msgspec"):
            use_codec(name)
            written.append(encode_value(value))
            assert decode_value(written[0]) == value
        assert written[0] == written[1]
    finally:
        use_codec(before)


@given(args=st.lists(_VALUES, max_size=3).map(tuple), kwargs=st.dictionaries(_KEYS, _VALUES, max_size=3))
def test_any_arguments_come_back(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert decode_arguments(encode_arguments(args, kwargs, what="task 't'")) == (args, kwargs)
