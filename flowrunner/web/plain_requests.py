"""A request that can be read in one way only, seen at a glance: how deliveries usually come.

Most of what a delivery costs over HTTP is a general parser that goes through every turn a request
may take. What is recognised here takes none of them: one POST of HTTP/1.1, whole in one read, of
an ordinary path, with fields of printable ASCII and one length that is the length of what came.
All else is left to the general parser, which alone judges what is malformed: no request is refused
here. That both read the same is held by a property test (`tests/property/test_plain_requests.py`).
Source: RFC 9112, sections 2.2, 3.2.1, 5 and 6.2.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME, _TEXT = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++", rb"[!-~][ -~]*+(?<! )"
_HEAD = re.compile(
    rb"POST (/[!-~]*+) HTTP/1\.1\r\n((?:%b: %b\r\n)++)\r\n" % (_NAME, _TEXT),
)
_DIGITS = re.compile(rb"[1-9][0-9]{0,17}")

_TURNS = frozenset({b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
"""Fields by which a request takes another way through a connection."""


class PlainRequest(NamedTuple):
    """A request with its whole body.

    Attributes:
        target: Path and query, as sent.
        headers: With lower-case names, in their order.
        closes: Whether the connection is to be closed behind the answer.
    """

    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    closes: bool


def read_plain(data: bytes) -> PlainRequest | None:
    """Returns the request that some bytes are, from the first to the last; None for all else."""
    head = _HEAD.match(data)
    if head is None:
        return None
    fields = [line.partition(b": ") for line in head[2][:-2].split(b"\r\n")]
    headers = [(name.lower(), value) for name, _, value in fields]
    names = [name for name, _ in headers]
    if not _TURNS.isdisjoint(names) or names.count(b"host") != 1:
        return None
    length, body = _only(b"content-length", headers), data[head.end() :]
    if length is None or not _DIGITS.fullmatch(length) or int(length) != len(body):
        return None
    wish = _only(b"connection", headers, b"keep-alive")
    if wish not in (b"keep-alive", b"close"):
        return None
    return PlainRequest(head[1], headers, body, closes=wish == b"close")


def _only(
    wanted: bytes, headers: list[tuple[bytes, bytes]], other: bytes | None = None
) -> bytes | None:
    """Returns what a field says that is there once, `other` without one, None for several."""
    found = [value for name, value in headers if name == wanted]
    if not found:
        return other
    return found[0] if len(found) == 1 else None
