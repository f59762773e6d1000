"""How pieces of work and answers stand in a pipe: each behind its length."""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">I")
HEAD_BYTES = _LENGTH.size


def frame(data: bytes) -> bytes:
    """Returns data behind its length."""
    return _LENGTH.pack(len(data)) + data


def size_in(data: bytes | bytearray) -> int | None:
    """Returns the length that a frame begins with; None while that is not whole."""
    if len(data) < HEAD_BYTES:
        return None
    size: int = _LENGTH.unpack_from(data)[0]
    return size
