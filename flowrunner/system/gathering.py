"""Short blocking work of many, in a thread, in as few pieces as it takes.

The way to a thread and back costs an event loop more than a hash or a look into an index does, and
each thread that works takes the interpreter from the loop. So what comes up in one turn of the
loop, or while the thread has some already, goes there together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from flowrunner.system.threads import InThread

T = TypeVar("T")

MOST_TOGETHER = 100
"""Pieces of work that go in one, so that the first of them is not kept long by the last."""


PATIENCE_S = 0.05
"""Seconds after which work no longer waits for the piece before it, which may hang on one disk."""


class _Outcome(NamedTuple):
    """What some work returned, or raised."""

    result: Any = None
    error: BaseException | None = None


class Gathering(Generic[T]):
    """Runs work one after the other, what waits together at once; used from one event loop.

    Args:
        in_thread: Runs it outside the loop.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._waiting: list[tuple[Callable[[], T], asyncio.Future[T]]] = []
        self._is_due = False
        self._under_way = 0
        self._patience: asyncio.TimerHandle | None = None

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Returns a future of what the work returns or raises; cancelled, it drops that alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, future))
        if not (self._is_due or self._under_way):
            self._is_due = True
            loop.call_soon(self._hand_over)
        elif not self._is_due:
            self._be_patient()
        return future

    def _hand_over(self) -> None:
        self._is_due = False
        self._under_way += 1
        gathered = self._waiting[:MOST_TOGETHER]
        del self._waiting[:MOST_TOGETHER]
        works = [work for work, _ in gathered]
        done = asyncio.ensure_future(self._in_thread(partial(_carried_out, works)))
        done.add_done_callback(partial(self._deliver, [future for _, future in gathered]))
        if self._waiting:
            self._be_patient()

    def _be_patient(self) -> None:
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE_S, self._wait_no_longer)

    def _wait_no_longer(self) -> None:
        self._patience = None
        if self._waiting:
            self._hand_over()

    def _deliver(
        self, futures: Sequence[asyncio.Future[T]], done: asyncio.Future[list[_Outcome]]
    ) -> None:
        self._under_way -= 1
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._waiting:
            self._hand_over()
        for future, outcome in zip(futures, _outcomes(done, len(futures)), strict=True):
            if future.done():  # its waiter was cancelled
                continue
            if outcome.error is None:
                future.set_result(outcome.result)
            else:
                future.set_exception(outcome.error)


def _carried_out(works: Sequence[Callable[[], Any]]) -> list[_Outcome]:
    """Runs in the thread."""
    return [_outcome(work) for work in works]


def _outcome(work: Callable[[], Any]) -> _Outcome:
    try:
        return _Outcome(work())
    except BaseException as error:  # noqa: BLE001 - belongs to who waits, not to the others
        return _Outcome(error=error)


def _outcomes(done: asyncio.Future[list[_Outcome]], count: int) -> list[_Outcome]:
    """Returns what came of so many, also where no thread took them."""
    if done.cancelled():
        return [_Outcome(error=asyncio.CancelledError())] * count
    error = done.exception()
    return done.result() if error is None else [_Outcome(error=error)] * count
