"""Threads for short blocking work of an event loop, where the way there and back counts.

`ThreadPoolExecutor` behind `run_in_executor` takes a second future, a condition and two more turns
of the loop for each piece of work, which is twice the processor time of what stands here.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class InThread(Protocol):
    """Runs blocking work outside the loop, as `asyncio.to_thread` does."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Returns what the work returns, or raises what it raises."""


class _Job(NamedTuple):
    """Work for a thread; the loop `receive`s its result, unless nobody waits for it any more."""

    work: Callable[[], Any]
    receive: Callable[[Any], Any]
    unclaimed: Callable[[Any], None]
    future: asyncio.Future[Any]


def _nothing() -> None:
    pass


class Threads:
    """A few threads, started as they are needed; used from one event loop at a time.

    Args:
        most: How many pieces of work may be under way at once.
        name: How the names of the threads begin.
        before: Called in the thread before each piece of work; must not raise.

    Attributes:
        under_way: How many pieces of work are queued or in a thread.
    """

    def __init__(self, most: int, name: str, before: Callable[[], None] = _nothing) -> None:
        self._most = most
        self._name = name
        self._before = before
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.under_way = 0
        self._is_closed = False

    def run(self, work: Callable[[], T], /) -> asyncio.Future[T]:
        """Queues work, which never begins if its future is cancelled before its turn."""
        return self.make(work, _same, _forget)

    def make(
        self, work: Callable[[], T], receive: Callable[[T], U], unclaimed: Callable[[T], None]
    ) -> asyncio.Future[U]:
        """Queues work whose result must not get lost.

        Args:
            work: Runs in a thread.
            receive: Makes what the future holds of its result; called in the loop.
            unclaimed: Gets the result, in a thread, if the future was cancelled meanwhile.
        """
        future: asyncio.Future[U] = asyncio.get_running_loop().create_future()
        self.under_way += 1
        if self.under_way > len(self._threads) < self._most:
            self._start_thread()
        self._jobs.put(_Job(work, receive, unclaimed, future))
        return future

    def close(self) -> None:
        """Waits for all that was queued, and ends the threads; blocks."""
        threads = list(self._threads)
        self.dismiss()
        for thread in threads:
            thread.join()

    def dismiss(self) -> None:
        """Ends the threads, each when all that was queued is done; waits for none."""
        self._is_closed = True
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._before()
            _carry_out(job, self._deliver)
            del job  # while it waits for the next one it must keep nothing alive

    def _deliver(self, job: _Job, result: Any, error: BaseException | None) -> None:
        """Ends a job; in the loop."""
        self.under_way -= 1
        future = job.future
        if error is not None:
            if not future.cancelled():
                future.set_exception(error)
        elif not future.cancelled():
            try:
                future.set_result(job.receive(result))
            except Exception as fault:  # noqa: BLE001 - who waits shall hear of it
                future.set_exception(fault)
        elif self._is_closed:
            job.unclaimed(result)
        else:
            self.run(partial(job.unclaimed, result))


def _carry_out(job: _Job, deliver: Callable[[_Job, Any, BaseException | None], None]) -> None:
    """Runs in a thread."""
    result: Any = None
    error: BaseException | None = None
    if job.future.cancelled():
        error = asyncio.CancelledError()
    else:
        try:
            result = job.work()
        except BaseException as raised:  # noqa: BLE001 - belongs to who waits, not to the thread
            error = raised
    try:
        job.future.get_loop().call_soon_threadsafe(deliver, job, result, error)
    except RuntimeError:  # the loop is closed
        if error is None:
            job.unclaimed(result)


def _same(result: T) -> T:
    return result


def _forget(_: object) -> None:
    pass
