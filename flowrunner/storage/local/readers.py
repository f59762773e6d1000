"""A pool of connections that only read, each in a thread: no query holds the loop or the writer.

A connection is opened at its first use and goes back to the pool after each query. One that saw
an I/O error is closed instead, since it may remember pages that the disk does not have.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from flowrunner.errors import StorageError
from flowrunner.storage.local.translate import damaged, is_untrustworthy, storage_error
from flowrunner.system.gathering import Gathering
from flowrunner.system.threads import Threads

T = TypeVar("T")


class _Reader(NamedTuple):
    connection: sqlite3.Connection
    generation: int


class Readers:
    """Runs queries, at most so many at once; the others wait their turn in no thread.

    Args:
        connect: Opens a connection that cannot write; called in a thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: queue.SimpleQueue[_Reader] = queue.SimpleQueue()
        self._threads: Threads | None = None
        self._generation = 0
        self._gathering: Gathering[Any] = Gathering(self._in_thread)

    def start(self, most: int) -> None:
        """Begins to take queries, at most `most` at once; called once."""
        self._threads = Threads(most, "storage-reader")

    def renew(self) -> None:
        """Has every connection of now closed at its next turn. Safe from any thread."""
        self._generation += 1

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what the query returns; it sees everything that was durable before the call.

        A query that has begun is not stopped by cancellation, only its result is dropped.

        Raises:
            StorageError: What SQLite says, or ``storage.corrupt`` for a row without sense.
        """
        return await self._in_thread(partial(self._query, query))

    async def run_soon(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """As `run`, for a query that takes microseconds and comes often: with others that wait."""
        found: T = await self._gathering.run(partial(self._query, query))
        return found

    async def close(self) -> None:
        """Waits for the queries under way and closes the connections."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.close)
            while not self._idle.empty():
                self._idle.get().connection.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            raise StorageError("the store is not open")
        return await self._threads.run(work)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        reader = self._take()
        is_usable = True
        try:
            return query(reader.connection)
        except sqlite3.Error as error:
            is_usable = not is_untrustworthy(error)
            raise storage_error(error) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise damaged("a record in the database", error) from error
        finally:
            if is_usable:
                self._idle.put(reader)
            else:
                reader.connection.close()

    def _take(self) -> _Reader:
        """Returns a connection: no more are made than queries run at once."""
        while True:
            generation = self._generation
            try:
                reader = self._idle.get_nowait()
            except queue.Empty:
                return _Reader(self._connect(), generation)
            if reader.generation == generation:
                return reader
            reader.connection.close()
