"""Closing without a reset: the answer arrives, whatever the client still sends.

A socket that is closed with unread bytes resets its connection, and a reset throws away the answer
that was on its way. So a connection whose request was not read to its end is closed by half: our
side is shut, and what still comes is read and dropped, for a bounded time and amount. Source:
RFC 9112, section 9.6; nginx, `lingering_close`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_S = 5.0
"""Seconds that are given to a client that still sends."""

_JOINED_BYTES = 64 * 1024
"""What is written is sent without waiting for more once it is so much."""

LINGER_BYTES = 64 * 1024**2
"""Bytes that are dropped for it: the largest body that the settings can allow."""


class LingeringTransport(asyncio.Transport):
    """A transport whose `close` waits for the client where closing at once would be a reset.

    Args:
        transport: The connection.
        loop: Keeps the time.
        has_unread: Whether more of the request is to come; asked at `close`.
        timeout_s: How long bytes are dropped after `close`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        has_unread: Callable[[], bool],
        timeout_s: float,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._has_unread = has_unread
        self._timeout_s = timeout_s
        self._left = LINGER_BYTES
        self._end: asyncio.TimerHandle | None = None
        self._unsent: list[bytes | bytearray | memoryview[Any]] = []
        self._unsent_bytes = 0

    @property
    def is_lingering(self) -> bool:
        """Whether it was closed and still drops what comes."""
        return self._end is not None

    def drop(self, size: int) -> None:
        """Counts bytes that came while it lingers; cuts the connection when they are too many."""
        self._left -= size
        if self._left < 0:
            self.abort()

    def close(self) -> None:
        """Closes once what is written has been sent; a second time it lingers no longer."""
        self._send()
        if self.is_lingering or self._transport.is_closing() or not self._has_unread():
            self.stop()
            self._transport.close()
            return
        self._end = self._loop.call_later(self._timeout_s, self._transport.abort)
        if self._transport.can_write_eof():  # TLS cannot: there the length of the answer tells
            self._transport.write_eof()
        self._transport.resume_reading()

    def stop(self) -> None:
        """Forgets the time at which the connection is cut; for one that is gone."""
        if self._end is not None:
            self._end.cancel()

    def is_closing(self) -> bool:
        """Returns whether nothing can be written any more."""
        return self.is_lingering or self._transport.is_closing()

    def abort(self) -> None:
        """Cuts the connection."""
        self._transport.abort()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Sends bytes together with those of the same turn, unless it lingers."""
        if self.is_lingering or not data:
            return
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= _JOINED_BYTES:
            self._send()

    def write_now(self, data: bytes) -> None:
        """Sends bytes behind what waits, without waiting for the end of the turn."""
        if not self.is_lingering:
            self._send()
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Leaves further bytes with the system."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Takes further bytes."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what the connection knows of itself."""
        return self._transport.get_extra_info(name, default)

    def _send(self) -> None:
        if self._unsent:
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_bytes = 0
            self._transport.write(data)
