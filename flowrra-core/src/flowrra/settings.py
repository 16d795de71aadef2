"""What a setting may be, whoever gives it: code, an environment variable or a TOML file."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from flowrra.exceptions import ConfigError, near_matches
from flowrra.url import URL, redact

_WORDS: Final = {"true": True, "1": True, "yes": True, "on": True,
                 "false": False, "0": False, "no": False, "off": False}  # fmt: skip

#: Looks like an address without a scheme, and can't hold a password.
_BARE: Final = r"[\w.-]+:\d+(/\d*)?|localhost"


class Rule(NamedTuple):
    """What one setting may be. ``above`` is an open lower bound, ``minimum`` a closed one."""

    kind: type[int | float | bool | str]
    noun: str
    minimum: float | None = None
    above: float | None = None
    optional: bool = False

    @property
    def allowed(self) -> str:
        """The rule in words."""
        bound = f" of at least {self.minimum:g}" if self.minimum is not None else ""
        bound = f" above {self.above:g}" if self.above is not None else bound
        return f"{self.noun}{bound}{', or nothing' if self.optional else ''}"

    def check(self, value: object, name: str) -> Any:
        """Return *value* if the rule allows it.

        Raises:
            ConfigError: It doesn't; the message names *name*, the value and what is allowed.
        """
        if value is None and self.optional:
            return None
        if not self._fits(value):
            raise self.error(value, name)
        if self.kind is str:
            _check_url(str(value), name)
        return value

    def parse(self, text: str, name: str) -> Any:
        """Return the value that *text*, a variable of the environment, stands for.

        Raises:
            ConfigError: It stands for none that is allowed.
        """
        word = text.strip()
        if self.optional and word.lower() in ("none", "null"):
            return None
        try:
            value = _WORDS[word.lower()] if self.kind is bool else self.kind(word)
        except (ValueError, KeyError):
            raise self.error(text, name) from None
        if self.kind is not str and not self._fits(value):
            raise self.error(text, name)
        return self.check(value, name)

    def error(self, value: object, name: str) -> ConfigError:
        """Say that *value* isn't allowed for *name*."""
        if self.kind is str:
            return ConfigError(f"{name} is of type {type(value).__name__}; allowed: {self.allowed}")
        return ConfigError(f"{name} is {redact(repr(value))[:200]}; allowed: {self.allowed}")

    def _fits(self, value: object) -> bool:
        if self.kind is str:
            return isinstance(value, str)
        if self.kind is bool:
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else (int, float)):
            return False
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (self.minimum is None or value >= self.minimum) and (self.above is None or value > self.above)


def _check_url(text: str, name: str) -> None:
    """Put the setting's name before what is wrong with the URL."""
    try:
        URL.parse(text)
    except ConfigError as error:
        shown = f" is {text!r}: it" if re.fullmatch(_BARE, text) else ""
        raise ConfigError(f"{name}{shown} can't be used: {error}") from None


def whole(minimum: int, *, optional: bool = False) -> Mapping[str, Rule]:
    """Field metadata: a whole number."""
    return {"rule": Rule(int, "a whole number", minimum=minimum, optional=optional)}


def seconds(*, zero: bool = False) -> Mapping[str, Rule]:
    """Field metadata: a finite time, which may be zero if *zero*."""
    return {"rule": Rule(float, "a number of seconds", *((0, None) if zero else (None, 0)))}


def switch() -> Mapping[str, Rule]:
    """Field metadata: true or false."""
    return {"rule": Rule(bool, "true or false")}


def address(*, optional: bool = False) -> Mapping[str, Rule]:
    """Field metadata: a URL."""
    return {"rule": Rule(str, "a URL such as redis://host:6379/0", optional=optional)}


def unknown(name: str, known: Collection[str], where: str = "") -> ConfigError:
    """Say that there is no setting *name*, and which are near."""
    near = near_matches(name, known)
    advice = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(known)}"
    return ConfigError(f"{where}{name} is no setting; {advice}")
