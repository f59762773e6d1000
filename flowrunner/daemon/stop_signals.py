"""Hears the signals that ask a process to end, so that it can end its work first.

For a process that executes one flow. What is done about a signal is the caller's business; the
daemon, which takes SIGHUP for something else, has its own.
"""

from __future__ import annotations

import asyncio
import signal

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP in the running loop, from now on and until the loop closes.

    A signal that the process was started to ignore is left ignored: so does nohup(1) with SIGHUP
    and a shell with the SIGINT of what it runs in the background. Source: POSIX, sigaction, and
    the shell's "Asynchronous Lists". Must be made in the main thread.
    """

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        self._first: signal.Signals | None = None
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._hear, number)

    @property
    def first(self) -> signal.Signals | None:
        """The signal that came first, or None while none has come."""
        return self._first

    async def wait(self) -> None:
        """Returns once a signal has come."""
        await self._heard.wait()

    def _hear(self, number: signal.Signals) -> None:
        self._first = self._first or number
        self._heard.set()
