"""The body limit: nobody makes the daemon hold more of a request than the settings allow.

A body that says its length is refused before it is read, any other when it grows too long. The
server reads and drops the rest of a refused body, so that the sender gets to see the 413.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.web.problem import HttpError

_MOST_DIGITS = 18
"""Digits of a length that are looked at: Python refuses to read thousands of them."""


class BodyLimit:
    """Refuses bodies over a size.

    Args:
        max_bytes: The largest body that passes.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, its body counted; raises `HttpError` (``http.too_large``)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal():
            self._check(int(announced[:_MOST_DIGITS]))
        read = 0

        async def count() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                self._check(read)
            return message

        await self._app(scope, count, send)

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is larger than {self._max_bytes} bytes (server.max_body)",
                code="http.too_large",
            )
