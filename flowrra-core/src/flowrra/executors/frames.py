"""How an executor and its worker processes talk: frames of a JSON head and a body of bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, TypeAlias

Frame: TypeAlias = tuple[dict[str, Any], bytes]

_SIZES: Final = struct.Struct(">II")


def pack_frame(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    encoded = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_SIZES.pack(len(encoded), len(body)), encoded, body))


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking stream, or None at its end."""
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    head, body = _SIZES.unpack(sizes)
    content = stream.read(head + body)
    return None if len(content) < head + body else (json.loads(content[:head]), content[head:])


class FrameBuffer:
    """Finds the frames in bytes that arrive in pieces."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add *data* and yield the frames that are complete."""
        self._bytes += data
        while len(self._bytes) >= _SIZES.size:
            head, body = _SIZES.unpack_from(self._bytes)
            end = _SIZES.size + head + body
            if len(self._bytes) < end:
                return
            content = bytes(self._bytes[_SIZES.size : end])
            del self._bytes[:end]
            yield json.loads(content[:head]), content[head:]
