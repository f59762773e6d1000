"""The cursor of logs as one opaque word: how far each log file was read.

It is packed, because a request's head has room for 16 KiB and an execution can have thousands of
nodes. It comes back from outside, so it is read as carefully as any other input.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import pairwise

from flowrunner.errors import ValidationError
from flowrunner.model.ids import Json
from flowrunner.service.views import LogCursor
from flowrunner.web.query import invalid

_LARGEST = 4 * 1024 * 1024
"""Bytes of an unpacked cursor: 10,000 files with room to spare."""

_LARGEST_OFFSET = 2**40
"""Bytes; far beyond any log, and within what every file system can seek to."""

_UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError, zlib.error)
"""What a text that is no cursor may cause."""

_NUMBERS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_FILE_NAME = re.compile(r"[a-z][A-Za-z0-9_.-]{0,254}")


def pack_cursor(cursor: LogCursor) -> str:
    """Writes a cursor as letters, digits, dashes and underscores."""
    content: list[Json] = [list(cursor.done), dict(cursor.offsets)]
    if cursor.items or cursor.tries:
        content += [dict(cursor.items), dict(cursor.tries)]
    packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode())
    return urlsafe_b64encode(packed).decode().rstrip("=")


def unpack_cursor(text: str) -> LogCursor:
    """Reads what `pack_cursor` wrote; raises `ValidationError` (``request.parameter``)."""
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        content = json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
        done, offsets, items, tries = content if len(content) > 2 else (*content, {}, {})  # noqa: PLR2004 - without items
        if (
            all(map(_is_number, done))
            and all(map(_is_entry, offsets.items()))
            and all(map(_are_ranges, items.items()))
            and all(map(_is_try, tries.items()))
        ):
            ranges = {position: tuple(borders) for position, borders in items.items()}
            return LogCursor(done=tuple(done), offsets=offsets, items=ranges, tries=tries)
    except _UNREADABLE as error:
        raise _bad() from error
    raise _bad()


def _is_entry(entry: tuple[Json, Json]) -> bool:
    name, offset = entry
    return bool(_FILE_NAME.fullmatch(name)) and _is_number(offset)


def _are_ranges(entry: tuple[Json, Json]) -> bool:
    """Whether the borders of the ranges rise, two for each."""
    position, borders = entry
    are_ranges = len(borders) % 2 == 0 and all(a < b for a, b in pairwise(borders))
    return bool(_NUMBERS.fullmatch(position)) and all(map(_is_number, borders)) and are_ranges


def _is_try(entry: tuple[Json, Json]) -> bool:
    name, number = entry
    return bool(_NUMBERS.fullmatch(name)) and _is_number(number)


def _is_number(value: Json) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_OFFSET


def _bad() -> ValidationError:
    return invalid("cursor", "must be the next_cursor of the answer before")
