"""Which server a URL names, how to log in there, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrra.exceptions import ConfigError
from flowrra.redis.addresses import Address
from flowrra.url import URL


def address(text: str) -> Address:
    return Address.of(URL.parse(text))


@pytest.mark.parametrize(
    ("text", "place", "database", "name"),
    [
        ("redis://", ("localhost", 6379), 0, "redis://localhost:6379/0"),
        ("redis://host", ("host", 6379), 0, "redis://host:6379/0"),
        ("redis://host:1234/5", ("host", 1234), 5, "redis://host:1234/5"),
        ("redis://host/?db=7", ("host", 6379), 7, "redis://host:6379/7"),
        ("redis://host/1?db=7", ("host", 6379), 7, "redis://host:6379/7"),
        ("redis://[::1]:6380/2", ("::1", 6380), 2, "redis://[::1]:6380/2"),
        ("redis://user:pw@host/3", ("host", 6379), 3, "redis://host:6379/3"),
        ("rediss://host", ("host", 6379), 0, "rediss://host:6379/0"),
        ("unix:///run/redis.sock", "/run/redis.sock", 0, "unix:///run/redis.sock?db=0"),
        ("unix://user:pw@/run/r.sock?db=4", "/run/r.sock", 4, "unix:///run/r.sock?db=4"),
    ],
)
def test_what_a_url_names(text: str, place: Any, database: int, name: str) -> None:
    found = address(text)

    assert (found.place, found.database, found.name) == (place, database, name)


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ("redis://host", None, None),
        ("redis://:p%40ss%2F@host", None, "p@ss/"),
        ("redis://us%3Aer:pw@host", "us:er", "pw"),
        ("unix://us:pw@/run/r.sock", "us", "pw"),
        ("unix:///run/r.sock?username=us&password=p%26w", "us", "p&w"),
    ],
)
def test_login(text: str, username: str | None, password: str | None) -> None:
    wire = address(text).wire()

    assert (wire.username, wire.password) == (username, password)


def test_certificate_options(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    wire: Any = address(
        f"rediss://host?ssl_ca_certs={tmp_path}/ca&ssl_certfile={tmp_path}/cert&ssl_keyfile={tmp_path}/key"
        "&ssl_check_hostname=false&ssl_cert_reqs=optional"
    ).wire()

    assert (wire.ca_certs, wire.certfile) == (f"{tmp_path}/ca", f"{tmp_path}/cert")
    assert (wire.keyfile, wire.check_hostname) == (f"{tmp_path}/key", False)
    assert wire.cert_reqs.name == "CERT_OPTIONAL"


def test_certificates_are_checked_without_being_asked_to() -> None:
    wire: Any = address("rediss://host").wire()

    assert wire.cert_reqs.name == "CERT_REQUIRED"
    assert wire.check_hostname is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("redis://host?dbb=1", "option 'dbb'; allowed: db"),
        ("redis://host?ssl_ca_certs=x", "option 'ssl_ca_certs'; allowed: db"),
        ("rediss://host?ssl_ca_certs=/no/such/file", "ssl_ca_certs names no file: '/no/such/file'"),
        ("rediss://host?ssl_cert_reqs=maybe", "ssl_cert_reqs='maybe'; allowed: required, optional, none"),
        ("rediss://host?ssl_check_hostname=perhaps", "ssl_check_hostname='perhaps'; allowed: true"),
        ("redis://host/one", "no usable database"),
        ("redis://host/-1", "no usable database"),
        ("redis://host/1/2", "no usable database"),
        ("redis://host?db=", "no usable database"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix://", "three slashes"),
        ("redis://one:1,two:2/0", "any one of its nodes"),
        ("memory://", "redis, rediss, unix"),
    ],
)
def test_what_is_refused_and_why(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address(text)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "redis://user:12/canary@host/0",
        "redis://user:12?canary@host/0",
        "redis://user:12?x=canary@host/0",
        "unix:///run/r.sock?password=canary&db=x",
        "redis://:canary@host?what=1",
    ],
)
def test_a_refusal_shows_no_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address(text)

    assert "canary" not in str(caught.value)


def test_other_nodes_have_the_same_login() -> None:
    entry = address("redis://user:canary@host/0")
    other = entry.at("10.0.0.2", 7001)

    assert other.name == "redis://10.0.0.2:7001/0"
    assert other.wire().password == "canary"
    assert "canary" not in repr(other)
