"""The tables of the local store in memory, whose writes and queries take a turn of the loop each.

For tests of the order in which a store asks for them; what is durable when is for the real writer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from flowrunner.errors import StorageError
from flowrunner.storage.local.batch import run_batch
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.writer import Writer

T = TypeVar("T")


class InlineWriter(Writer):
    """Carries out each write in the next turn, in the order of the calls.

    Attributes:
        done: How many were carried out.
        fault: What the next writes fail with; None: nothing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection
        self.done = 0
        self.fault: StorageError | None = None

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        loop.call_soon(self._carry_out, operation, future)
        return future

    def _carry_out(
        self, operation: Callable[[sqlite3.Connection], T], future: asyncio.Future[T]
    ) -> None:
        if self.fault is not None:
            future.set_exception(self.fault)
            return
        (outcome,) = run_batch(self._connection, [operation])
        self.done += 1
        if future.cancelled():
            return
        if outcome.error is not None:
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome.result)


class InlineReaders(Readers):
    """Answers each query in the next turn."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(lambda: connection)
        self._inline = connection

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        return query(self._inline)


class InlineDatabase:
    """An empty database of the newest version."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in (each for migration in MIGRATIONS for each in migration):
            self.connection.execute(statement)
        self.writer = InlineWriter(self.connection)
        self.readers = InlineReaders(self.connection)
