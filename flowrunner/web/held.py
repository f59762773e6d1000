"""Connections that are held: no more than a bound, counted from the moment they are accepted on.

A connection takes a file of the daemon before it has said anything, and while TLS shakes hands the
server does not know of it yet. Without a bound strangers who only connect would take all files that
the daemon may open, and no attempt could start. So the socket that listens counts. And no source
off this machine takes all places from the others.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

_LOG = logging.getLogger(__name__)

TURNED_AWAY = 64
"""Connections that are held beyond those that are served, so that they can be answered 503."""

SourceOf = Callable[[str], str | None]
"""Address of a peer → under what its connections are counted; None: they are not."""


class Door:
    """How many connections there are, and may be.

    Args:
        served: Whose requests are answered; half of them is the most of one source.
        most: Held at once.
        source_of: Tells sources apart; None: there is but one, and it may take all.
    """

    def __init__(self, served: int, most: int, source_of: SourceOf | None = None) -> None:
        self._served = served
        self._most = most
        self._most_of_one = max(served // 2, 1)
        self._source_of = source_of
        self._held = 0
        self._of_sources: dict[str, int] = {}
        self._said: set[str] = set()

    def enter(self, host: str) -> Place | None:
        """Counts a connection; None if there is no room for it.

        Args:
            host: The address of the peer; empty for a unix socket.
        """
        if self._held >= self._served:
            self._say("all", "http.too_many_connections most=%d", self._served)
        if self._held >= self._most:
            return None
        source = None if self._source_of is None else self._source_of(host)
        if source is not None:
            of_one = self._of_sources.get(source, 0)
            if of_one >= self._most_of_one:
                text = "http.too_many_connections source=%s most=%d"
                self._say("one", text, source, self._most_of_one)
                return None
            self._of_sources[source] = of_one + 1
        self._held += 1
        return Place(self, source)

    def leave(self, source: str | None) -> None:
        """Counts a connection that is over."""
        self._held -= 1
        if source is not None:
            self._of_sources[source] -= 1
            if not self._of_sources[source]:
                del self._of_sources[source]
        if self._held <= self._served // 4:
            self._said.clear()

    def _say(self, what: str, text: str, *facts: object) -> None:
        """Says it once: whoever floods the daemon must not flood its log."""
        if what not in self._said:
            _LOG.warning(text, *facts)
            self._said.add(what)


class Place(NamedTuple):
    """One connection, as its door counts it."""

    door: Door
    source: str | None


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
        place = self.door.enter(address[0] if isinstance(address, tuple) else "")
        if place is None:
            made.close()
            raise ConnectionAbortedError("too many connections")
        held = _Held(made.family, made.type, made.proto, fileno=made.detach())
        held.place = place
        return held, address


class _Held(socket.socket):
    """A connection that is counted until it is closed."""

    place: Place | None = None

    def close(self) -> None:
        """Closes it, once."""
        super().close()
        self._leave()

    def __del__(self) -> None:
        """Counts one that nobody has closed, too."""
        self._leave()

    def _leave(self) -> None:
        place, self.place = self.place, None
        if place is not None:
            place.door.leave(place.source)
