"""Targets in absolute form, as proxies and some clients write them, mean what their path means.

`POST http://host/hooks/a HTTP/1.1` asks for `/hooks/a` of `host`, and its `Host` counts for
nothing: else it could name this machine to us and another one to whoever passed the request on.
Source: RFC 9112, section 3.2.2; RFC 9110, sections 4.2.1 and 4.2.4.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from http import HTTPStatus
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.problem import HttpError

_ABSOLUTE = re.compile(rb"https?://(?P<host>[^/]*)(?P<path>/.*)?", re.IGNORECASE)


class AbsoluteForm:
    """Gives a request in absolute form the path and the host that it names, for all links."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on.

        Raises:
            HttpError: ``http.malformed`` (400): the target names no host, or a user.
        """
        if scope["type"] == "http" and not scope["raw_path"].startswith(b"/"):
            _settle(scope)
        return self._app(scope, receive, send)


def _settle(scope: Scope) -> None:
    target = _ABSOLUTE.fullmatch(scope["raw_path"])
    if target is None:
        return  # the form of CONNECT, or of OPTIONS for all: there is nothing at such an address
    host, path = target["host"], target["path"] or b"/"
    if not host or b"@" in host:
        text = "a target in absolute form names a host, and no user"
        raise HttpError(
            HTTPStatus.BAD_REQUEST, text, code="http.malformed", headers={"connection": "close"}
        )
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope.update(
        raw_path=path, path=unquote(path.decode("ascii")), headers=[(b"host", host), *headers]
    )
