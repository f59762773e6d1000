"""The local backend as a whole: opens, closes and connects its stores.

Who may own the state directory at all is decided before, by the kernel lock of `serve`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.storage.health import StoreHealth
from flowrunner.storage.local.codec import micros_of
from flowrunner.storage.local.database import open_reader, open_writer, reopen_writer
from flowrunner.storage.local.definitions import LocalDefinitions
from flowrunner.storage.local.disk import in_thread
from flowrunner.storage.local.executions import LocalExecutions
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.storage.local.journal import LocalJournal
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.slots import LocalSlots
from flowrunner.storage.local.writer import CommitObserver, Writer
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

DATABASE = "flowrunner.db"
"""Name of the database in the state directory."""

CHECK_LIMIT_S = 5.0
"""Longest look for damage at a start; a database of some million rows is read in that time."""

_READERS = 4
"""Connections that read: more than the cores of a small host, few enough for its memory."""

_PROBE = "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at"


class LocalStorage:
    """Meets `Storage` with a folder on a local disk; files and folders are the owner's alone."""

    def __init__(
        self,
        folder: Path,
        files: Files,
        clock: Clock,
        observe_commit: CommitObserver = lambda _: None,
    ) -> None:
        self._database = folder / DATABASE
        self._files = files
        self._clock = clock
        self._probing = asyncio.Lock()
        self._health = StoreHealth()
        self._writer = Writer(
            monotonic=clock.monotonic, observe=observe_commit, health=self._health
        )
        self._readers = Readers(partial(open_reader, self._database))
        self._flows = LocalFlows(folder, files)
        self._definitions = LocalDefinitions(folder, files)
        self._executions = LocalExecutions(self._writer, self._readers)
        self._journal = LocalJournal(self._writer, self._readers)
        self._slots = LocalSlots(self._writer, self._readers)

    @property
    def health(self) -> StoreHealth:
        """What the last write said."""
        return self._health

    @property
    def flows(self) -> LocalFlows:
        """The last good definitions."""
        return self._flows

    @property
    def definitions(self) -> LocalDefinitions:
        """Effective definitions by digest."""
        return self._definitions

    @property
    def executions(self) -> LocalExecutions:
        """The executions."""
        return self._executions

    @property
    def journal(self) -> LocalJournal:
        """Their attempts and nodes."""
        return self._journal

    @property
    def slots(self) -> LocalSlots:
        """The slot ledger."""
        return self._slots

    async def open(self) -> None:
        """Opens or creates the database; called once, from the loop that will use the store.

        Raises:
            StorageError: ``storage.newer``, ``storage.corrupt``, ``storage.read_only``, …
        """
        writing = await in_thread(self._connect)
        self._writer.start(writing, self._reopen)
        self._readers.start(_READERS)

    async def close(self) -> None:
        """Waits for queries and writes; the last connection folds the log into the database."""
        await self._readers.close()
        await self._writer.close()

    async def check(self) -> None:
        """Commits the time and reads it back over another connection."""
        async with self._probing:
            now = micros_of(self._clock.now())
            await self._writer.submit(partial(_write_probe, at=now))
            if await self._readers.run(_read_probe) != now:
                raise StorageError("the state does not keep what is written")

    def _connect(self) -> sqlite3.Connection:
        if self._files.stat(self._database) is None:
            # SQLite takes an empty file for a new database, and its mode for the files beside.
            self._files.replace_durably(self._database, b"", mode=0o600)
        return open_writer(self._database)

    def _reopen(self) -> sqlite3.Connection:
        """Opens another writing connection, in the writer's thread, after an I/O error."""
        connection = reopen_writer(
            self._database, limit_s=CHECK_LIMIT_S, monotonic=self._clock.monotonic
        )
        self._readers.renew()
        return connection


def _write_probe(connection: sqlite3.Connection, *, at: int) -> None:
    connection.execute(_PROBE, (at,))


def _read_probe(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT at FROM probe").fetchone()[0])
