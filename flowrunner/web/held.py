"""Connections that are held: no more than a bound, counted from the moment they are accepted on.

A connection takes a file of the daemon before it has said anything, and while TLS shakes hands the
server does not know of it yet. Without a bound strangers who only connect would take all files that
the daemon may open, and no attempt could start. So the socket that listens counts.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

_LOG = logging.getLogger(__name__)

TURNED_AWAY = 64
"""Connections that are held beyond those that are served, so that they can be answered 503."""


class Door:
    """How many connections there are, and may be.

    Args:
        served: Whose requests are answered.
        most: Held at once.
    """

    def __init__(self, served: int, most: int) -> None:
        self._served = served
        self._most = most
        self._held = 0
        self._has_said = False

    def enter(self) -> bool:
        """Counts a connection; False if there is no room for it."""
        if self._held >= self._served and not self._has_said:
            # Once: whoever floods the daemon must not flood its log.
            _LOG.warning("http.too_many_connections most=%d", self._served)
            self._has_said = True
        if self._held >= self._most:
            return False
        self._held += 1
        return True

    def leave(self) -> None:
        """Counts one that is over."""
        self._held -= 1
        if self._held <= self._served // 2:
            self._has_said = False


class Listener(socket.socket):
    """A socket that listens, and accepts as many connections as its door lets in.

    Attributes:
        door: None lets everybody in; set by the server.
    """

    door: Door | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Returns a connection and its address.

        Raises:
            ConnectionAbortedError: There was no room; the connection is cut.
        """
        made, address = super().accept()
        if self.door is None:
            return made, address
        if not self.door.enter():
            made.close()
            raise ConnectionAbortedError("too many connections")
        held = _Held(made.family, made.type, made.proto, fileno=made.detach())
        held.door = self.door
        return held, address


class _Held(socket.socket):
    """A connection that is counted until it is closed."""

    door: Door | None = None

    def close(self) -> None:
        """Closes it, once."""
        super().close()
        self._leave()

    def __del__(self) -> None:
        """Counts one that nobody has closed, too."""
        self._leave()

    def _leave(self) -> None:
        door, self.door = self.door, None
        if door is not None:
            door.leave()
