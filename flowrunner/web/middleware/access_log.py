"""The access log: one line per request, without what may hold a secret.

Neither the query string nor a header is written. The peer of a unix socket is written with its
user and process, so the log also says who gave which command. A read that succeeds is written
at DEBUG: probes, scrapers and `flowrunner flows` ask all the time, and would hide the executions.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.system.clock import Clock
from flowrunner.web.context import (
    Origin,
    Refusal,
    answer_of,
    begin_refusal,
    peer_text,
    request_id_of,
    set_origin,
    token_of,
)
from flowrunner.web.names import HOOKS
from flowrunner.web.problem import CLIENT_LEFT, TOO_OFTEN, problem_of

_LOG = logging.getLogger(__name__)

_LINE = "http.request method=%s path=%s status=%d duration_ms=%.1f peer=%s request_id=%s%s%s%s"
_PLAIN = re.compile(r"[A-Za-z0-9/._-]*")
"""A path that means itself when it is quoted."""
_LONGEST_PATH = 200
_LONGEST_METHOD = 20
_READS = frozenset({"GET", "HEAD"})


class AccessLog:
    """Writes the line when the request has ended, however it ended.

    Args:
        clock: Measures.
        origin_of: Tells where a request comes from; kept for the links further in.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, origin_of: Callable[[Scope], Origin]) -> None:
        self._app = app
        self._clock = clock
        self._origin_of = origin_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and writes its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = self._clock.monotonic(), int(CLIENT_LEFT)
        refusal = begin_refusal(scope)
        set_origin(scope, self._origin_of(scope))
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            raise
        except Exception as error:
            problem = problem_of(error)
            status, refusal.code = problem.status, problem.code
            raise
        finally:
            duration_s = self._clock.monotonic() - began
            _write(scope, answer_of(scope).status or status, duration_s, refusal)


def _write(scope: Scope, status: int, duration_s: float, refusal: Refusal) -> None:
    """Writes the line; the record says itself where it was made, which the stack need not tell."""
    level = _level(scope, status, refusal.code)
    if not _LOG.isEnabledFor(level):
        return
    path, token = scope["path"], token_of(scope)
    facts = (
        scope["method"][:_LONGEST_METHOD],
        # Quoted: a line break stays within its line.
        (path if _PLAIN.fullmatch(path) else quote(path))[:_LONGEST_PATH],
        status,
        duration_s * 1000,
        peer_text(scope),
        request_id_of(scope),
        token and f" token={token}",
        refusal.code and f" code={refusal.code}",
        refusal.cause and f" cause={refusal.cause}",
    )
    _LOG.handle(_LOG.makeRecord(_LOG.name, level, __file__, 0, _LINE, facts, None))


def _level(scope: Scope, status: int, code: str) -> int:
    if code == TOO_OFTEN:
        return logging.DEBUG  # whoever floods the daemon must not flood its log: it is counted
    is_read = scope["method"] in _READS and not scope["path"].startswith(HOOKS)
    return logging.DEBUG if is_read and status < HTTPStatus.BAD_REQUEST else logging.INFO
