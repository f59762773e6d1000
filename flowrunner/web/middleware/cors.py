"""CORS: which web pages may read the API in a browser; none unless the settings name them.

Without credentials: a page sends its token by a header, and no cookie exists. Hooks are for
programs, so that they get none of it. Source: WHATWG Fetch, "HTTP CORS protocol".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.callers import AccessRules
from flowrunner.web.context import add_header
from flowrunner.web.names import HOOKS
from flowrunner.web.responses import text_response

_ANSWER = {"access-control-expose-headers": "retry-after, x-request-id"}
_PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "authorization, x-request-id",
    "access-control-max-age": "600",
}


class Cors:
    """Tells a browser that a page may read the answer.

    Args:
        rules: Those in force.
    """

    def __init__(self, app: ASGIApp, *, rules: Callable[[], AccessRules]) -> None:
        self._app = app
        self._rules = rules

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers the question that a browser asks first, and marks the answers to others."""
        allowed = self._rules().cors
        if scope["type"] != "http" or not allowed or scope["path"].startswith(HOOKS):
            return self._app(scope, receive, send)
        headers = Headers(scope=scope)
        add_header(scope, "vary", "origin")
        origin = headers.get("origin", "")
        if origin in allowed:
            add_header(scope, "access-control-allow-origin", origin)
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                answer = text_response("", status=HTTPStatus.NO_CONTENT)
                answer.headers.update(_PREFLIGHT)
                return answer(scope, receive, send)
            for name, value in _ANSWER.items():
                add_header(scope, name, value)
        return self._app(scope, receive, send)
