"""Reads one pipe of a child process in the event loop, without ever blocking it.

asyncio's own subprocess streams wait for the end of a pipe that a grandchild may hold for
hours (cpython#119710). Here the owner decides when reading ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 64 * 1024
"""Bytes per read: the default capacity of a pipe. Source: pipe(7)."""

LAST_READ = 1024 * 1024
"""Bytes taken at most when reading ends: the largest capacity of a pipe. Source: pipe(7)."""

CONGESTION_RETRY_S = 0.05


class PipeReader:
    """Feeds what arrives on a pipe to a callable until end of file or `finish`.

    Owns the descriptor and closes it. While `is_congested()` is true it does not read, so the
    writing process waits on the full pipe instead of filling our memory.

    Args:
        fd: The read end, non-blocking.
        feed: Called with each chunk, at most `CHUNK` bytes.
        is_congested: Asked before each read.
        on_end: Called exactly once, after the descriptor is closed.
    """

    def __init__(
        self,
        fd: int,
        *,
        feed: Callable[[bytes], None],
        is_congested: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        self._fd = fd
        self._feed = feed
        self._is_congested = is_congested
        self._on_end = on_end
        self._open = True
        self._retry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def finish(self) -> None:
        """Takes what is in the pipe by now, congested or not, and closes it. Idempotent.

        What the process wrote before it ended is in the pipe, so none of it is lost; somebody
        who goes on writing cannot keep us here for more than `LAST_READ` bytes.
        """
        taken = 0
        while self._open and taken < LAST_READ:
            data = self._take()
            if data is None:
                break
            taken += len(data)
        self._close()

    def _read(self) -> None:
        if self._is_congested():
            self._loop.remove_reader(self._fd)
            self._retry = self._loop.call_later(CONGESTION_RETRY_S, self._resume)
        else:
            self._take()

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._fd, self._read)

    def _take(self) -> bytes | None:
        """Reads and feeds one chunk; None when nothing is there now, closes at end of file."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return None
        if data:
            self._feed(data)
        else:
            self._close()
        return data

    def _close(self) -> None:
        if not self._open:
            return
        self._open = False
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._on_end()
