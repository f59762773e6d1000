"""The rows of the local backend without its threads and its disk, for stories on virtual time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from itertools import chain
from typing import TypeVar, cast

from flowrunner.errors import StorageError
from flowrunner.storage.local.executions import LocalExecutions
from flowrunner.storage.local.journal import LocalJournal
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.slots import LocalSlots
from flowrunner.storage.local.writer import Writer
from flowrunner.storage.memory import MemoryExecutions, MemoryStorage
from flowrunner.storage.memory_journal import MemoryJournal
from flowrunner.storage.memory_slots import MemorySlots

T = TypeVar("T")


class _Connection:
    """Does at once, in the loop, what the writer's and the readers' threads do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._connection.execute("SAVEPOINT one")
        try:
            future.set_result(operation(self._connection))
        except StorageError as error:
            self._connection.execute("ROLLBACK TO one")
            future.set_exception(error)
        self._connection.execute("RELEASE one")
        return future

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        return query(self._connection)


class LocalRows(MemoryStorage):
    """Executions, their journal and slots as rows of SQLite; all else as the memory backend."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = sqlite3.connect(":memory:", isolation_level=None)
        self._opened.execute("PRAGMA foreign_keys = ON")
        for statement in chain.from_iterable(MIGRATIONS):
            self._opened.execute(statement)
        writer = cast(Writer, _Connection(self._opened))
        readers = cast(Readers, _Connection(self._opened))
        self._executions = cast(MemoryExecutions, LocalExecutions(writer, readers))
        self._journal = cast(MemoryJournal, LocalJournal(writer, readers))
        self._slots = cast(MemorySlots, LocalSlots(writer, readers))

    async def close(self) -> None:
        """Ends the connection."""
        self._opened.close()
