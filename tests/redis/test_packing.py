"""What is stored comes back as it was, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrra.exceptions import DecodingError
from flowrra.message import FORMAT, Message, Record
from flowrra.redis import messages
from flowrra.redis.messages import pack_message, unpack_message
from flowrra.redis.records import pack_record, unpack_record
from flowrra.status import TaskStatus
from flowrra.testing.factories import make_message, make_record

TEXT = st.text(st.characters(), max_size=20)
#: Also what can't be written as UTF-8: errors may quote file names.
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
NAME = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
BYTES = st.binary(max_size=50) | st.sampled_from([b"\n", b"\n\n[1]", b"1:2\n", bytes(range(256))])
TIME = st.floats(0, 1e10)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


MESSAGES = st.builds(
    Message,
    id=NAME, task=NAME, queue=NAME, lane=NAME, priority=st.integers(-512, 511), body=BYTES,
    headers=st.dictionaries(TEXT, TEXT, max_size=3), delay=st.just(0.0) | TIME, eta=optional(TIME),
    expires=optional(TIME), timeout=optional(TIME), unique_key=optional(NAME),
    max_retries=optional(st.integers(0, 2**40)), retry_delay=optional(TIME), schedule=optional(NAME),
    fire_time=optional(TIME), retry_of=optional(NAME), version=st.just(FORMAT),
)  # fmt: skip
RECORDS = st.builds(
    Record,
    message=MESSAGES | st.builds(make_message, NAME),
    status=st.sampled_from([TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED]),
    fence=st.integers(0, 2**53), submitted_at=TIME, finished_at=TIME, started_at=optional(TIME),
    value=optional(BYTES), error=optional(ANY_TEXT), traceback=optional(ANY_TEXT), worker=optional(ANY_TEXT),
    retries=st.integers(0, 2**32 - 1), state=BYTES, log=optional(ANY_TEXT), progress=optional(BYTES),
    dead_reason=optional(ANY_TEXT),
)  # fmt: skip


@given(MESSAGES)
def test_a_message_comes_back(message: Message) -> None:
    assert unpack_message(message.id, message.queue, pack_message(message)) == message


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    assert unpack_record(record.message.id, pack_record(record)) == record


def test_a_usual_message_takes_little_more_than_its_body() -> None:
    message = make_message(body=b"x" * 100)
    assert pack_message(message) == b'[1,"work","io",0]\n' + message.body


def test_messages_do_not_share_what_a_task_may_change() -> None:
    message = make_message()
    one, two = (unpack_message(message.id, message.queue, pack_message(message)) for _ in range(2))
    assert one.headers is not two.headers


def test_more_kinds_of_messages_than_are_remembered() -> None:
    """The oldest are forgotten: memory stays bounded, and every message comes back."""
    for number in range(2 * messages._CACHED):
        message = make_message("id", task=f"task-{number}")
        assert unpack_message("id", message.queue, pack_message(message)) == message
    assert len(messages._heads) <= messages._CACHED
    assert len(messages._fields) <= messages._CACHED


def test_a_newer_format_tells_its_version() -> None:
    """So that a worker leaves the task to one that knows it."""
    head = json.dumps([FORMAT + 1, "work", "io", 3, {"timeout": 2.5, "colour": "red"}, "more"])
    message = unpack_message("id", "mail", head.encode() + b"\nbody\n")
    assert (message.version, message.task, message.queue, message.timeout) == (
        FORMAT + 1,
        "work",
        "mail",
        2.5,
    )
    assert message.body == b"body\n"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"null\n", b"[1]\n", b'{"v":1}\n', b"\xff\xfe\n", b'[1,"work","io",0,{"colour":1}]\n',
     b'["1","work","io",0]\n', b'[1,"work","io",0,7]\n'],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodingError, match=r"task 'an-id' in queue 'mail'"):
        unpack_message("an-id", "mail", data)


def test_what_is_no_record_is_refused() -> None:
    """Cut off anywhere, longer than it should be, or of another form."""
    for record in (make_record(1.0), make_record(1.0, error="ValueError: no", status=TaskStatus.FAILED)):
        stored = pack_record(record)
        form = stored.index(b"\n") + 1
        strange = stored[:form] + b"\x09" + stored[form + 1 :]
        for data in (*(stored[:end] for end in range(len(stored))), stored + b"!", strange, b"x" + stored):
            with pytest.raises(DecodingError, match="the result of task 'an-id'"):
                unpack_record("an-id", data)
