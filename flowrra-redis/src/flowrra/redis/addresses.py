"""From a URL to connections."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flowrra.exceptions import ConfigError
from flowrra.redis.wire import TCPWire, TLSWire, UnixWire, Wire
from flowrra.url import URL

_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "redis": ("db",),
    "rediss": ("db", *_TLS_FILES, "ssl_check_hostname", "ssl_cert_reqs"),
    "unix": ("db", "username", "password"),
}
_WIRES: Final[Mapping[str, type[Wire]]] = {"redis": TCPWire, "rediss": TLSWire, "unix": UnixWire}
_SWITCH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_ENCODE: Final = "special characters in a password must be percent-encoded (/ is %2F)"


@dataclass(frozen=True)
class Address:
    """Where a server is and how to log in there. Shows no password."""

    scheme: str
    place: tuple[str, int] | str  #: host and port, or a socket's path
    database: int
    options: Mapping[str, Any] = field(repr=False, hash=False)

    @classmethod
    def of(cls, url: URL) -> Address:
        """The address that a ``redis://``, ``rediss://`` or ``unix://`` URL names.

        Raises:
            ConfigError: An option is unknown, or its value isn't allowed. Shows no password.
        """
        if url.scheme not in _WIRES:
            raise ConfigError(f"{url.scheme}:// is no Redis URL; allowed: {', '.join(_WIRES)}")
        for name in url.query:
            if name not in _OPTIONS[url.scheme]:
                raise _unknown_option(name, url.scheme)
        options: dict[str, Any] = {
            "username": url.user or url.query.get("username"),
            "password": url.password or url.query.get("password"),
            **_tls_options(url.query),
        }
        return cls(url.scheme, _place(url), _database(url), options)

    @property
    def name(self) -> str:
        """The URL without its login and options, for messages."""
        if isinstance(self.place, str):
            return f"unix://{self.place}?db={self.database}"
        host, port = self.place
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{port}/{self.database}"

    @property
    def login(self) -> tuple[str | None, str | None]:
        """User and password."""
        return self.options["username"], self.options["password"]

    def at(self, host: str, port: int) -> Address:
        """The same login at another node of the cluster."""
        scheme = "redis" if self.scheme == "unix" else self.scheme
        return replace(self, scheme=scheme, place=(host, port))

    def wire(self) -> Wire:
        """A new connection, not yet connected."""
        if isinstance(self.place, str):
            where: dict[str, Any] = {"path": self.place}
        else:
            where = {"host": self.place[0], "port": self.place[1]}
        return _WIRES[self.scheme](
            **where,
            **self.options,
            db=self.database,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            decode_responses=False,
        )


def _place(url: URL) -> tuple[str, int] | str:
    if url.scheme == "unix":
        if url.host or not url.path.strip("/"):
            raise ConfigError(
                "a unix:// URL names the socket's whole path after three slashes, as in unix:///run/redis.sock"
            )
        return url.path
    if url.host and "," in url.host:
        raise ConfigError(f"a {url.scheme}:// URL names one host; for a cluster, any one of its nodes")
    return url.host or "localhost", url.port or 6379


def _database(url: URL) -> int:
    in_path = "" if url.scheme == "unix" else url.path.strip("/")
    text = url.query.get("db", in_path or "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        # The text isn't repeated: it may be the rest of a password that holds a slash.
        raise ConfigError(
            f"the {url.scheme}:// URL has no usable database: a number from 0 on is allowed, "
            f"as in redis://host/0 or ?db=0; {_ENCODE}"
        )
    return int(text)


def _unknown_option(name: str, scheme: str) -> ConfigError:
    # What isn't a plain word may be the rest of a password that holds a question mark.
    shown = repr(name) if name.isidentifier() else "that is no plain word"
    allowed = ", ".join(_OPTIONS[scheme])
    return ConfigError(f"the {scheme}:// URL has an option {shown}; allowed: {allowed}; {_ENCODE}")


def _tls_options(query: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name in _TLS_FILES:
        if name in query:
            if not os.path.isfile(query[name]):  # noqa: PTH113 - asks once, while nothing runs yet
                raise ConfigError(f"the rediss:// URL's {name} names no file: {query[name]!r}")
            options[name] = query[name]
    if "ssl_check_hostname" in query:
        options["ssl_check_hostname"] = _choice(query, "ssl_check_hostname", _SWITCH)
    if "ssl_cert_reqs" in query:
        levels = {level: level for level in ("required", "optional", "none")}
        options["ssl_cert_reqs"] = _choice(query, "ssl_cert_reqs", levels)
    return options


def _choice(query: Mapping[str, str], name: str, allowed: Mapping[str, Any]) -> Any:
    value = query[name].lower()
    if value not in allowed:
        raise ConfigError(f"the rediss:// URL has {name}={value!r}; allowed: {', '.join(allowed)}")
    return allowed[value]
