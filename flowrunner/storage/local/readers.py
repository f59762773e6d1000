"""A few connections that only read, each in a thread: no query holds the loop or the writer."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flowrunner.errors import StorageError
from flowrunner.storage.local.translate import damaged, storage_error

T = TypeVar("T")


class Readers:
    """Runs queries, as many at once as there are connections; the others wait their turn."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None

    def start(self, connections: Sequence[sqlite3.Connection]) -> None:
        """Takes over the connections; called once."""
        for connection in connections:
            self._idle.put(connection)
        self._pool = ThreadPoolExecutor(len(connections), thread_name_prefix="storage-reader")

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what the query returns; it sees everything that was durable before the call.

        A query that has begun is not stopped by cancellation, only its result is dropped.

        Raises:
            StorageError: What SQLite says, or ``storage.corrupt`` for a row without sense.
        """
        if self._pool is None:
            raise StorageError("the store is not open")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._query, query)

    async def close(self) -> None:
        """Waits for the queries under way and closes the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)
            while not self._idle.empty():
                self._idle.get().close()

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.get()
        try:
            return query(connection)
        except sqlite3.Error as error:
            raise storage_error(error) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise damaged("a record in the database", error) from error
        finally:
            self._idle.put(connection)
