"""The request id: by it an answer, a line of the log and a client's own records meet."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.context import add_header, header_of, set_request_id

_HEADER, _RAW_HEADER = "x-request-id", b"x-request-id"

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Takes the caller's id if it is well-formed, or makes one, and returns it.

    Args:
        new_id: Makes an id of letters, digits, dots, dashes and underscores.
    """

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on under its id."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        given = header_of(scope, _RAW_HEADER)
        request_id = given if given and _WELL_FORMED.fullmatch(given) else self._new_id()
        set_request_id(scope, request_id)
        add_header(scope, _HEADER, request_id)
        return self._app(scope, receive, send)
