"""The limit on heads: how long they may be, how many headers they may have, and no two meanings.

The server bounds a head that does not end. One that arrives whole in a single read, as a later
request of a connection may, would pass there: it is counted here. A head that says the end of its
body in two ways is refused, because a proxy may have believed the other one, and hidden a request
in the body of this one. Source: RFC 6585, section 5; RFC 9112, sections 2.3 and 6.3; RFC 9110,
section 15.6.6.
"""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus
from itertools import chain

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.problem import HttpError

HEAD_BYTES = 16_384
"""Largest head of a request."""

HEAD_FIELDS = 100
"""Most headers of a request. Source: Apache httpd, `LimitRequestFields`."""

_LAST = {"connection": "close"}
_FIELD_MARKS = len(": \r\n")


class HeadLimit:
    """Refuses heads that are too long, have too many headers, or can be read in two ways."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on.

        Raises:
            HttpError: ``http.head_too_large`` (431), ``http.malformed`` (400), ``http.version``
                (505).
        """
        if scope["type"] == "http":
            _check(scope)
        return self._app(scope, receive, send)


def head_error(message: str) -> HttpError:
    """Returns the refusal of a head (431, ``http.head_too_large``)."""
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return HttpError(status, message, code="http.head_too_large")


def _check(scope: Scope) -> None:
    headers = scope["headers"]
    if not scope["http_version"].startswith("1."):
        text = "this server speaks HTTP/1.1"
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        raise HttpError(status, text, code="http.version", headers=_LAST)
    names = [name for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        text = "a request has a Content-Length or a Transfer-Encoding, not both"
        raise HttpError(HTTPStatus.BAD_REQUEST, text, code="http.malformed", headers=_LAST)
    if len(headers) > HEAD_FIELDS:
        raise head_error(f"a request may have {HEAD_FIELDS} headers")
    fields = sum(map(len, chain.from_iterable(headers))) + len(headers) * _FIELD_MARKS
    size = fields + len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
    if size > HEAD_BYTES:
        raise head_error(f"the head of a request may have {HEAD_BYTES} bytes")
