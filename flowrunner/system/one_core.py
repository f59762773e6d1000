"""Threads that hand Python's lock to and fro share one core while they do so in quick turns.

The lock lets one of them work at a time. On cores of their own each turn is a message from core to
core and often the waking of one that sleeps: with several programs being started at a time the
threads that start them and the event loop spend a third of their processor time on that. On one
core a turn is a mere change of threads, and the other cores are left to the programs.

So it is for a burst alone. Linux cannot be told that a thread would like a core, only that it may
have no other, and a daemon bound to one for good could not leave it to others who want it, too.
Bound are the event loop and the threads that start programs; a program never is. A thread inherits
from who makes it: one of `executor` is freed at once, any other at the end of the burst.

Sources: sched_setaffinity(2), which a thread applies to itself with the number 0 and which its
children and threads inherit; sched_getcpu(3).
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

_LOG = logging.getLogger(__name__)

LOOK_S = 0.1
"""Seconds after which a burst that nobody has called one again is over."""


class Affinity(Protocol):
    """On which cores threads may run."""

    def here(self) -> int | None:
        """Returns the core on which the calling thread runs; None where that is not told."""

    def allowed(self) -> frozenset[int]:
        """Returns the cores on which the calling thread may run."""

    def allow(self, cores: frozenset[int], thread: int = 0) -> None:
        """Lets a thread run on these alone; 0 is the one that calls.

        Raises:
            OSError: The system refuses, or the thread has ended.
        """


class LinuxAffinity:
    """Meets `Affinity`."""

    def __init__(self) -> None:
        self._here = getattr(ctypes.PyDLL(None), "sched_getcpu", None)

    def here(self) -> int | None:
        """Asks the libc, which as a rule need not ask the kernel."""
        core = -1 if self._here is None else int(self._here())
        return core if core >= 0 else None

    def allowed(self) -> frozenset[int]:
        """Asks the kernel."""
        return frozenset(os.sched_getaffinity(0))

    def allow(self, cores: frozenset[int], thread: int = 0) -> None:
        """Tells the kernel, which moves the thread at once if it has to."""
        os.sched_setaffinity(thread, cores)


class OneCore:
    """Binds threads to the core of the event loop, for as long as a burst lasts.

    It gives up for good when the system refuses.
    """

    def __init__(self, affinity: Affinity | None = None) -> None:
        self._affinity = affinity or LinuxAffinity()
        self._own = threading.local()
        """Of each thread: the burst in which it was bound last, or 0 if it was freed since."""
        self._burst = 0
        """The number of the burst that lasts; 0 between bursts."""
        self._count = 0
        self._core: frozenset[int] = frozenset()
        self._all: frozenset[int] = frozenset()
        """Empty until the first burst: nobody was bound before."""
        self._is_needed = False
        self._is_refused = False

    def gather(self) -> None:
        """Begins a burst, or lets it last; called in the event loop, which it binds to its core."""
        self._is_needed = True
        if self._burst or self._is_refused:
            return
        core, cores = self._affinity.here(), self._affinity.allowed()
        if core is None or len(cores) < 2:  # noqa: PLR2004 - one core is shared anyway
            return
        self._core, self._all = frozenset({core}), cores
        if self._allow(self._core):
            self._count += 1
            self._burst = self._count
            self._look_later()

    def join(self) -> None:
        """Binds the calling thread in a burst, and frees it behind one; else it costs nothing."""
        burst = self._burst
        if self._all and getattr(self._own, "burst", None) != burst:
            self._own.burst = burst
            self._allow(self._core if burst else self._all)

    def executor(self) -> ThreadPoolExecutor:
        """Returns threads for an event loop which are free whatever it is when they begin."""
        return ThreadPoolExecutor(thread_name_prefix="asyncio", initializer=self._release)

    @contextmanager
    def spread(self) -> Iterator[None]:
        """Lets what the calling thread starts meanwhile run where it may.

        It goes by what the thread itself has done last: one that joins while the burst ends may be
        bound although nobody is any more.
        """
        burst = getattr(self._own, "burst", 0)
        if not burst:
            yield
            return
        self._allow(self._all)
        try:
            yield
        finally:
            if burst == self._burst:
                self._allow(self._core)
            else:
                self._own.burst = 0

    def scatter(self) -> None:
        """Ends a burst, for every thread."""
        if self._burst:
            self._burst = 0
            for thread in threading.enumerate():  # some have begun meanwhile, and inherited
                if thread.native_id is not None:
                    with suppress(OSError):  # it has ended
                        self._affinity.allow(self._all, thread.native_id)

    def _release(self) -> None:
        if self._all:
            self._allow(self._all)

    def _look_later(self) -> None:
        self._is_needed = False
        asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        if self._is_needed and not self._is_refused:
            self._look_later()
        else:
            self.scatter()

    def _allow(self, cores: frozenset[int]) -> bool:
        """Returns whether the system lets the calling thread be bound so."""
        try:
            self._affinity.allow(cores)
        except OSError as error:  # a filter of system calls, or these cores are gone
            if not self._is_refused:
                _LOG.info("process.cores_refused: %s", error.strerror or error)
            self._is_refused = True  # so the next look is the last
            return False
        return True
