"""URLs that name a broker, backend or store, and keeping their passwords out of sight."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flowrra.exceptions import ConfigError

HIDDEN: Final = "***"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*"
_SENSITIVE: Final = r"(?i)([?&](?:password|passwd|pass|pwd|secret|token|auth)=)([^\s&#]+)"


@dataclass(frozen=True, slots=True, repr=False)
class URL:
    """A URL, taken apart once. ``str`` and ``repr`` hide its password; ``text`` is the URL as given."""

    text: str
    scheme: str
    user: str | None = None
    password: str | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    @classmethod
    def parse(cls, text: str) -> URL:
        """Take *text* apart, percent-decoded. A list of hosts (``a:1,b:2``) stays together in ``host``.

        Raises:
            ConfigError: *text* is no URL. The message repeats nothing that may be a password.
        """
        from urllib.parse import parse_qsl, unquote

        scheme = scheme_of(text)
        rest, _, query = text[len(scheme) + 3 :].partition("#")[0].partition("?")
        authority, slash, path = rest.partition("/")
        userinfo, _, address = authority.rpartition("@")
        user, _, password = userinfo.partition(":")
        host, port = _split_address(address, scheme)
        return cls(
            text,
            scheme,
            unquote(user) or None,
            unquote(password) or None,
            unquote(host) or None,
            port,
            unquote(slash + path),
            dict(parse_qsl(query, keep_blank_values=True)),
        )

    def __str__(self) -> str:
        return redact(self.text)

    def __repr__(self) -> str:
        return f"URL({redact(self.text)!r})"


def scheme_of(text: str) -> str:
    """The lower-case scheme of a URL.

    Raises:
        ConfigError: *text* has none, or holds blanks or control characters.
    """
    scheme, separator, _ = text.partition("://")
    if not separator or not re.fullmatch(_SCHEME, scheme):
        raise ConfigError("a URL must begin with its scheme, as in redis://host:6379/0")
    if any(char <= " " or char == "\x7f" for char in text):
        raise ConfigError(f"the {scheme}:// URL holds blanks or control characters; percent-encode them")
    return scheme.lower()


def _split_address(address: str, scheme: str) -> tuple[str, int | None]:
    """Split ``host:port``; an IPv6 host loses its brackets."""
    if "," in address:
        return address, None
    host, bracket, tail = address.partition("]")
    if bracket:
        host, port = host.removeprefix("["), tail.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ConfigError(
            f"the {scheme}:// URL has no usable port: a number from 1 to 65535 is allowed; "
            "special characters in a password must be percent-encoded (/ is %2F)"
        )
    return host, int(port)


def redact(text: str) -> str:
    """Return *text* with the password of every URL in it hidden. Hides rather too much than too little."""
    if "://" not in text:
        return text
    return re.sub(r"\S+", lambda match: _redact_word(match[0]), text)


def _redact_word(word: str) -> str:
    """Hide what stands between the first colon after ``://`` and the last ``@``, and secret parameters."""
    head, separator, rest = word.partition("://")
    if not separator:
        return word
    userinfo, at, address = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if colon:
        rest = f"{user}:{HIDDEN}{at}{address}"
    return head + separator + re.sub(_SENSITIVE, _redact_parameter, rest)


def _redact_parameter(match: re.Match[str]) -> str:
    """Hide a parameter's value but not the quotes and brackets that close the text around it."""
    value = match[2]
    return match[1] + HIDDEN + value[len(value.rstrip("'\")]},")) :]
