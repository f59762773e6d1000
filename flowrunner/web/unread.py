"""Requests that no link of the chain has seen: their answer, their number, and a few lines of log.

They come before `server.rate_limit` is asked, so whoever sends many of them is held up by nobody.
All are counted; of each kind the first of a minute have a line, the others one together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.web.middleware.head_limit import HEAD_BYTES, head_error
from flowrunner.web.problem import HttpError, problem_of, problem_response

_LOG = logging.getLogger(__name__)

UNREAD_LINES = 10
"""Lines of a kind in a period."""
_PERIOD_S = 60.0

Kind: TypeAlias = Literal["malformed", "too_slow"]
"""It is no HTTP, or its head did not come in time."""


@dataclass(slots=True)
class _Period:
    """How many of a kind have come since it began, and what ends it."""

    end: asyncio.TimerHandle
    seen: int = 0


class Unread:
    """Hears of such requests; in the event loop.

    Args:
        count: Counts one.
        most: Lines of a kind in a period.
        period_s: Seconds from the first of a kind to the line about the others.
    """

    def __init__(
        self,
        count: Callable[[Kind], None],
        *,
        most: int = UNREAD_LINES,
        period_s: float = _PERIOD_S,
    ) -> None:
        self._count = count
        self._most = most
        self._period_s = period_s
        self._periods: dict[Kind, _Period] = {}

    def malformed(self, peer: str, answer: str) -> None:
        """Notes one that cannot be read; without its text, which may quote what was sent."""
        self._note("malformed", "http.malformed peer=%s answer=%s", peer, answer)

    def too_slow(self, peer: str) -> None:
        """Notes one whose head did not come in time."""
        self._note("too_slow", "http.too_slow peer=%s", peer)

    def close(self) -> None:
        """Says what is still to be said."""
        for kind in tuple(self._periods):
            self._end(kind)

    def _note(self, kind: Kind, text: str, *facts: str) -> None:
        self._count(kind)
        period = self._periods.get(kind)
        if period is None:
            loop = asyncio.get_running_loop()
            period = _Period(loop.call_later(self._period_s, self._end, kind))
            self._periods[kind] = period
        period.seen += 1
        if period.seen <= self._most:
            _LOG.info(text, *facts)

    def _end(self, kind: Kind) -> None:
        period = self._periods.pop(kind)
        period.end.cancel()
        others = period.seen - self._most
        if others > 0:
            _LOG.info("http.%s others=%d seconds=%d", kind, others, self._period_s)


def refusal_of(status: int, message: str) -> bytes:
    """Returns the whole answer to a request that cannot be read."""
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        error = head_error(f"the head of a request may have {HEAD_BYTES} bytes")
    else:
        error = HttpError(HTTPStatus.BAD_REQUEST, message, code="http.malformed")
    response = problem_response(problem_of(error))
    response.headers["connection"] = "close"
    head = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"", bytes(response.body)])
