"""URLs are taken apart once, and their passwords stay out of sight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrra.exceptions import ConfigError
from flowrra.url import URL, redact


def test_every_part_is_read_and_decoded() -> None:
    url = URL.parse("Redis://us%40er:p%2Fw@example.org:6380/2?timeout=5&name=a%20b")
    assert url.scheme == "redis"
    assert (url.user, url.password) == ("us@er", "p/w")
    assert (url.host, url.port, url.path) == ("example.org", 6380, "/2")
    assert url.query == {"timeout": "5", "name": "a b"}


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("memory://", None, None, ""),
        ("sqlite:///var/flowrra.db", None, None, "/var/flowrra.db"),
        ("unix://:pw@/run/redis.sock?db=1", None, None, "/run/redis.sock"),
        ("redis://[::1]:6379/0", "::1", 6379, "/0"),
        ("redis://[::1]", "::1", None, ""),
        ("redis+sentinel://a:1,b:2/main", "a:1,b:2", None, "/main"),
    ],
)
def test_unusual_addresses(text: str, host: str | None, port: int | None, path: str) -> None:
    url = URL.parse(text)
    assert (url.host, url.port, url.path) == (host, port, path)


def test_a_url_shows_no_password_but_keeps_its_text() -> None:
    url = URL.parse("redis://joe:hunter2@host/0?password=hunter2")
    assert str(url) == "redis://joe:***@host/0?password=***"
    assert repr(url) == "URL('redis://joe:***@host/0?password=***')"
    assert url.text == "redis://joe:hunter2@host/0?password=hunter2"


PORT = (
    "the redis:// URL has no usable port: a number from 1 to 65535 is allowed; "
    "special characters in a password must be percent-encoded (/ is %2F)"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a URL must begin with its scheme, as in redis://host:6379/0"),
        ("hunter2@host", "a URL must begin with its scheme, as in redis://host:6379/0"),
        ("://hunter2@host", "a URL must begin with its scheme, as in redis://host:6379/0"),
        (
            "redis://:hunter2 @host",
            "the redis:// URL holds blanks or control characters; percent-encode them",
        ),
        (
            "redis://:hunter2/x@host",
            PORT,
        ),
    ],
)
def test_a_malformed_url_is_an_error_that_repeats_no_password(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        URL.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "²", "99999999"])
def test_ports_are_numbers_from_1_to_65535(port: str) -> None:
    with pytest.raises(ConfigError, match="1 to 65535"):
        URL.parse(f"redis://host:{port}/0")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no URL: a:b@c", "no URL: a:b@c"),
        ("can't reach redis://host:6379/0", "can't reach redis://host:6379/0"),
        ("at 'redis://:pw@h/0' and (amqp://u:pw@h)", "at 'redis://:***@h/0' and (amqp://u:***@h)"),
        ("unix://:pw@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("redis://u:p/w:x@y@h", "redis://u:***@h"),
        ("('redis://h/?db=1&Password=pw')", "('redis://h/?db=1&Password=***')"),
        ("http://h/?token=pw&x=1", "http://h/?token=***&x=1"),
        ("redis://user@h", "redis://user@h"),
    ],
)
def test_redact_hides_the_passwords_in_a_text(text: str, shown: str) -> None:
    assert redact(text) == shown


_WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1)


@given(before=st.text(), password=_WORD, after=st.text())
def test_no_password_passes_redact(before: str, password: str, after: str) -> None:
    """Whatever stands around the URL and whatever the password is made of."""
    secret = f"<{password}>"
    assert secret not in redact(f"{before} redis://user:{secret}@host/0 {after.replace(secret, '')}").replace(
        before, ""
    )
