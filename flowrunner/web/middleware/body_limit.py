"""The body limit: nobody makes the daemon hold more of a request than the settings allow.

A body that says its length is refused before it is read, any other when it grows too long. All
bodies together have a bound, too: who proves nothing can send as many as there are connections, and
each is kept until it is whole, since what is signed is all of it. The server reads and drops the
rest of a refused body, so that the sender gets to see the answer.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.web.context import header_of
from flowrunner.web.problem import BUSY, RETRY_AFTER_S, HttpError

FREE_BYTES = 64 * 1024
"""Of each body that are not counted: as much as the server reads ahead for each connection."""

ROOM_BYTES = 64 * 1024**2
"""For what bodies that are being received have beyond that, all together, at least."""

_MOST_DIGITS = 18
"""Digits of a length that are looked at: Python refuses to read thousands of them."""


class BodyRoom:
    """Room for all large bodies that are being received.

    Args:
        max_bytes: Of the largest body that passes; there is room for some of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max(ROOM_BYTES, 4 * max_bytes)

    def take(self, size: int) -> bool:
        """Takes so many bytes; False, and nothing taken, if there are not so many left."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Returns bytes that were taken."""
        self._left += size


class BodyLimit:
    """Refuses bodies over a size, and those for which there is no room.

    Args:
        max_bytes: The largest body that passes.
        room: For all bodies.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, room: BodyRoom) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, its body counted.

        Raises:
            HttpError: ``http.too_large`` (413), ``http.busy`` (503).
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = header_of(scope, b"content-length")
        if announced.isdecimal():
            self._check(int(announced[:_MOST_DIGITS]))
        read = taken = 0

        async def count() -> Message:
            nonlocal read, taken
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                self._check(read)
                kept = max(read - FREE_BYTES, 0) if message.get("more_body") else 0
                if kept != taken:
                    taken = self._moved(taken, kept)
            return message

        try:
            await self._app(scope, count, send)
        finally:
            if taken:
                self._room.give_back(taken)

    def _moved(self, taken: int, kept: int) -> int:
        """Returns how much of the room a body has now; it is whole when it keeps nothing."""
        if kept <= taken:
            self._room.give_back(taken - kept)
        elif not self._room.take(kept - taken):
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too many large bodies are being received at once",
                code=BUSY,
                headers={"retry-after": str(RETRY_AFTER_S)},
            )
        return kept

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is larger than {self._max_bytes} bytes (server.max_body)",
                code="http.too_large",
            )
