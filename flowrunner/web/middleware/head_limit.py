"""The limit on heads: how long a request's line and headers may be together, and how many.

The server bounds a head that does not end. One that arrives whole in a single read, as a later
request of a connection may, would pass there: it is counted here. Source: RFC 6585, section 5.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.problem import HttpError

HEAD_BYTES = 16_384
"""Largest head of a request."""

HEAD_FIELDS = 100
"""Most headers of a request. Source: Apache httpd, `LimitRequestFields`."""

_FIELD_MARKS = len(": \r\n")


class HeadLimit:
    """Refuses heads that are too long or have too many headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; raises `HttpError` (``http.head_too_large``)."""
        if scope["type"] == "http":
            _check(scope)
        await self._app(scope, receive, send)


def head_error(message: str) -> HttpError:
    """Returns the refusal of a head (431, ``http.head_too_large``)."""
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return HttpError(status, message, code="http.head_too_large")


def _check(scope: Scope) -> None:
    headers = scope["headers"]
    if len(headers) > HEAD_FIELDS:
        raise head_error(f"a request may have {HEAD_FIELDS} headers")
    fields = sum(len(name) + len(value) + _FIELD_MARKS for name, value in headers)
    size = fields + len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
    if size > HEAD_BYTES:
        raise head_error(f"the head of a request may have {HEAD_BYTES} bytes")
