"""What goes wrong at a Redis server, as Flowrra's errors."""

from __future__ import annotations

import re
import ssl
from errno import ECONNREFUSED
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from flowrra.exceptions import FlowrraError, PermanentError, TransientError
from flowrra.url import redact

#: What a connection fails with: redis-py's errors, and time-outs, which are OSErrors.
BROKEN: Final = (RedisError, OSError)

#: redis-py takes the code out of the text of the errors that it knows.
_CLASSES: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (NoPermissionError, "NOPERM"),
    (NoScriptError, "NOSCRIPT"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (TryAgainError, "TRYAGAIN"),
    (MovedError, "MOVED"),
)
#: The code stands first, or, where a script failed on Redis 6.2, behind a dash.
_CODE: Final = re.compile(r"(?:^|@user_script.*?: -)([A-Z]{3,})\b")

#: Refusals that pass by themselves, mostly within seconds: worth asking again at once.
PASSING: Final = frozenset({"READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "BUSY", "NOSCRIPT"})

_TRANSIENT: Final = {
    "OOM": "is at its maxmemory and stored nothing: give it more memory, or let workers empty its queues",
    "READONLY": "is a read-only replica: use the URL of the primary; after a failover, wait for the new one",
    "MASTERDOWN": "is a replica that has lost its primary: bring the primary back, or fail over",
    "CLUSTERDOWN": "is a cluster that lacks some of its slots: see its CLUSTER INFO",
    "TRYAGAIN": "is moving the keys that were asked for to another node: try again",
    "MOVED": "belongs to a cluster whose nodes don't agree where a key is: see its CLUSTER NODES",
    "BUSY": "is busy with a script of somebody's: see its SLOWLOG, or end the script with SCRIPT KILL",
    "NOSCRIPT": "forgets every script as soon as it is loaded: find out who runs SCRIPT FLUSH all the time",
    "MISCONF": "refuses writes because it can't save them to disk: see its log",
    "NOREPLICAS": "refuses writes because too few replicas follow it: see its min-replicas-to-write",
}


def code(error: ResponseError) -> str:
    """The word that a refusal begins with, such as ``NOPERM``; empty without one."""
    for known, name in _CLASSES:
        if isinstance(error, known):
            return name
    found = _CODE.search(str(error))
    return found[1] if found else ""


def refusal(error: ResponseError, command: object, server: str) -> FlowrraError:
    """Flowrra's error for a reply that says no to *command*."""
    kind = code(error)
    if kind in _TRANSIENT:
        return TransientError(f"Redis at {server} {_TRANSIENT[kind]} ({_said(error)})")
    if kind == "NOPERM":
        return PermanentError(
            f"Redis at {server} doesn't allow this user to run {command} ({_said(error)}); "
            "grant it with ACL SETUSER, or use another user"
        )
    return PermanentError(f"Redis at {server} refuses {command}: {_said(error)}")


def final(error: BaseException, server: str) -> PermanentError | None:
    """The error to raise at once if no later try can mend this failure to connect."""
    origin = _origin(error)
    if isinstance(origin, BusyLoadingError):
        return None
    if isinstance(origin, AuthenticationError):
        return PermanentError(
            f"Redis at {server} refuses the login ({_said(origin)}): "
            "check the URL's user and password; special characters must be percent-encoded"
        )
    if isinstance(origin, ssl.SSLError) and not isinstance(origin, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return PermanentError(
            f"no TLS connection to Redis at {server}: {origin.reason or origin}; check that the server "
            "speaks TLS, and the URL's ssl_ca_certs, ssl_certfile and ssl_keyfile"
        )
    if isinstance(origin, InvalidResponse):
        return PermanentError(f"what answers at {server} is no Redis server; check host and port")
    if isinstance(origin, ResponseError):
        return PermanentError(
            f"Redis at {server} refuses the connection ({_said(origin)}): "
            "check the URL's database and user; a cluster has database 0 only"
        )
    return None


def told(error: BaseException) -> str:
    """What a failed connection says, in few words."""
    origin = _origin(error)
    if isinstance(origin, TimeoutError):
        return "it gave no answer"
    if f"[Errno {ECONNREFUSED}]" in str(origin):
        return "it refused the connection"
    strerror = origin.strerror if isinstance(origin, OSError) else None
    return redact(strerror or _said(origin)).rstrip(".")


def _said(error: BaseException) -> str:
    """An error's text, but for the arguments that a server repeats of a command which it doesn't know: a
    password is one of them."""
    return redact(str(error).partition(", with args beginning with")[0])


def _origin(error: BaseException) -> BaseException:
    """What redis-py made its ConnectionError from."""
    if isinstance(error.__cause__, BROKEN):
        return error.__cause__
    inner = None if error.__suppress_context__ else error.__context__
    return inner if isinstance(inner, OSError) and isinstance(error, RedisError) else error
