"""The one writer: a thread that takes all that waits and commits it together.

Under load many writes share a commit: the thread takes what has come during the last one, and
nobody has to wake it. While it rests, a write waits for company no longer than the turn of the
event loop that follows its own: so the end of a node and the begin of the next one, which that
turn starts, are one commit and not two.
Writes are kept in the order in which they were submitted: one is durable only when all before
it are, or were refused for their own fault. When the database fails, whatever was submitted before
that was told fails too, even if the database is well again by then: a begin must not be kept
whose caller took the end before it for written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from flowrunner.errors import StorageError
from flowrunner.storage.health import StoreHealth
from flowrunner.storage.local.batch import Operation, Outcome, failed_with
from flowrunner.storage.local.checkpoints import Checkpoints
from flowrunner.storage.local.session import Session, failure_of

T = TypeVar("T")

MOST_WAITING = 20_000
"""Writes that may wait; more are refused. At 20 µs each that is less than a second of work."""

MOST_IN_BATCH = 200
"""Writes in one commit, so that none waits for more than about 20 ms of others: a write takes 20
microseconds alone, and five times as long while the loop is busy."""

_MOST_A_TURN = 20
"""Writes whose end is told in one turn of the loop: what they set going may take it half a
millisecond each, such as an execution that begins."""


CommitObserver = Callable[[float], None]
"""Learns, in the writer's thread, how many seconds a batch took from its first statement."""


class _Waiting(NamedTuple):
    operation: Operation
    future: asyncio.Future[Any]
    told: int  # failures of the database that its caller knew of


class _Ended(NamedTuple):
    batch: Sequence[_Waiting]
    outcomes: Sequence[Outcome]
    is_failure: bool = False


class Writer:
    """Owns the writing connection and its thread; used from one event loop."""

    def __init__(
        self,
        *,
        most_waiting: int = MOST_WAITING,
        monotonic: Callable[[], float] = lambda: 0.0,
        observe: CommitObserver = lambda _: None,
        health: StoreHealth | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._health = health or StoreHealth()
        self._most_waiting = most_waiting
        self._monotonic = monotonic
        self._observe = observe
        self._gathered: deque[_Waiting] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_resting = False
        self._is_ringing = False
        self._is_closing = False
        self._ended: deque[_Ended] = deque()
        self._waiting = 0
        self._told = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(
        self, connection: sqlite3.Connection, renew: Callable[[], sqlite3.Connection]
    ) -> None:
        """Takes over the connection and begins to write; called once, in the loop.

        `renew` opens and verifies another connection in the thread, after one that failed.
        """
        self._loop = asyncio.get_running_loop()
        session = Session(connection, renew, self._monotonic, self._checkpoints)
        self._thread = threading.Thread(
            target=self._run, args=(session, self._loop), name="storage-writer", daemon=True
        )
        self._thread.start()

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Queues an operation at once; the future is done when it is durable.

        Cancelling the future does not take the write back. The future fails with
        `StorageError` when the writer is closed or `most_waiting` writes wait already.
        """
        if self._loop is None:
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            future.set_exception(StorageError("the store is not open"))
            return future
        future = self._loop.create_future()
        if self._waiting >= self._most_waiting:
            future.set_exception(StorageError(f"{self._waiting} writes wait for the disk already"))
            return future
        self._waiting += 1
        self._gathered.append(_Waiting(operation, future, self._told))
        if not self._is_ringing:
            self._is_ringing = True
            self._loop.call_soon(self._loop.call_soon, self._ring)
        return future

    async def close(self) -> None:
        """Writes what waits, then closes the connection; later writes are refused."""
        thread, self._thread, self._loop = self._thread, None, None
        if thread is not None:
            self._is_closing = True
            self._bell.put(None)
            await asyncio.to_thread(thread.join)

    def _ring(self) -> None:
        """Wakes the thread if it rests; else it looks for itself when it is done."""
        self._is_ringing = False
        if self._is_resting:
            self._is_resting = False
            self._bell.put(None)

    def _run(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        failures, last = 0, StorageError("no write has failed")
        while gathered := self._take():
            for start in range(0, len(gathered), MOST_IN_BATCH):
                batch = gathered[start : start + MOST_IN_BATCH]
                late = [each for each in batch if each.told < failures]
                if late:
                    refused = [failed_with(last) for _ in late]
                    loop.call_soon_threadsafe(self._deliver_late, late, refused)
                    batch = batch[len(late) :]
                if not batch:
                    continue
                began = self._monotonic()
                outcomes = session.run([each.operation for each in batch])
                took = self._monotonic() - began
                failure = failure_of(outcomes)
                if failure is None:
                    loop.call_soon_threadsafe(self._deliver, batch, outcomes)
                else:
                    failures, last = failures + 1, failure
                    loop.call_soon_threadsafe(self._deliver_failure, batch, outcomes)
                self._observe(took)
                session.rest()
        session.close()

    def _take(self) -> list[_Waiting]:
        """Returns what has been gathered, or waits for it; empty when the writer shall end."""
        while not (self._gathered or self._is_closing):
            self._is_resting = True
            # What came before the thread rested found it at work, and nobody rings for that.
            if not (self._gathered or self._is_closing):
                self._bell.get()
            self._is_resting = False
        return [self._gathered.popleft() for _ in range(len(self._gathered))]

    def _deliver_failure(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        """Tells of a failure all who had part in it in one turn: none of them may go on before."""
        self._tell_health(outcomes)
        self._queue_to_tell([_Ended(batch, outcomes, is_failure=True)])

    def _deliver_late(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        """Tells those of a failure who could not know of it, in one turn, too."""
        self._tell_health(outcomes)
        self._queue_to_tell([_Ended(batch, outcomes)])

    def _deliver(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        """Tells of a batch that is kept, some of it in each turn."""
        self._tell_health(outcomes)
        starts = range(0, len(batch), _MOST_A_TURN)
        pieces = [slice(start, start + _MOST_A_TURN) for start in starts]
        self._queue_to_tell(_Ended(batch[piece], outcomes[piece]) for piece in pieces)

    def _queue_to_tell(self, ended: Iterable[_Ended]) -> None:
        is_telling = bool(self._ended)
        self._ended.extend(ended)
        if self._ended and not is_telling:
            self._tell_next()

    def _tell_next(self) -> None:
        """Tells of what ended first, and in the next turn of what follows."""
        batch, outcomes, is_failure = self._ended.popleft()
        if is_failure:  # whoever is ready to run now does so before it counts as told
            asyncio.get_running_loop().call_soon(self._count_failure)
        self._waiting -= len(batch)
        for (_, future, _), (result, error, _) in zip(batch, outcomes, strict=True):
            if future.done():  # its waiter was cancelled
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
        if self._ended:
            asyncio.get_running_loop().call_soon(self._tell_next)

    def _count_failure(self) -> None:
        self._told += 1

    def _tell_health(self, outcomes: Sequence[Outcome]) -> None:
        failure = failure_of(outcomes)
        if failure is not None:
            self._health.failed(failure)
        elif any(outcome.error is None for outcome in outcomes):
            self._health.worked()
