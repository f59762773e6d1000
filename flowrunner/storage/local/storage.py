"""The local backend as a whole: opens, closes and connects its stores.

Who may own the state directory at all is decided before, by the kernel lock of `serve`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import datetime
from functools import partial
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.storage.health import Restored, StoreHealth
from flowrunner.storage.local import backups
from flowrunner.storage.local.checkpoints import Checkpoints
from flowrunner.storage.local.codec import micros_of
from flowrunner.storage.local.database import (
    check_quickly,
    leave_log,
    open_checkpointer,
    open_reader,
    open_writer,
    reopen_writer,
)
from flowrunner.storage.local.definition_files import take_over
from flowrunner.storage.local.definitions import LocalDefinitions
from flowrunner.storage.local.deliveries import LocalDeliveries
from flowrunner.storage.local.disk import in_thread
from flowrunner.storage.local.events import LocalEvents
from flowrunner.storage.local.executions import LocalExecutions
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.storage.local.journal import LocalJournal
from flowrunner.storage.local.marks import LocalMarks
from flowrunner.storage.local.pauses import LocalPauses
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.restore import (
    DROP_NOTE,
    READ_NOTE,
    Swap,
    finish_swap,
    restored_of,
    swap,
)
from flowrunner.storage.local.slots import LocalSlots
from flowrunner.storage.local.writer import CommitObserver, Writer
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

_log = logging.getLogger(__name__)

DATABASE = "flowrunner.db"
"""Name of the database in the state directory."""

CHECK_LIMIT_S = 5.0
"""Longest look for damage after an unclean stop or an I/O error, in seconds."""

CHECK_CLOSED_LIMIT_S = 1.0
"""Longest look for damage at a start after a clean stop, in seconds."""

_READERS = 4
"""Connections that read: more than the cores of a small host, few enough for its memory."""

_PROBE = "INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at"


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What an operator may choose.

    Attributes:
        backups_kept: How many backups stay in the state directory; at least 1.
        accept_state_loss: Whether to go on empty when the database is damaged and there is no
            good backup.
    """

    backups_kept: int = 3
    accept_state_loss: bool = False


class LocalStorage:
    """Meets `Storage` with a folder on a local disk; files and folders are the owner's alone."""

    def __init__(
        self,
        folder: Path,
        files: Files,
        clock: Clock,
        observe_commit: CommitObserver = lambda _: None,
        options: LocalOptions = LocalOptions(),  # noqa: B008 - frozen
    ) -> None:
        self._options = options
        self._backups = folder / backups.FOLDER
        self._copying = asyncio.Lock()
        self._database = folder / DATABASE
        self._log = folder / f"{DATABASE}-wal"
        self._files = files
        self._clock = clock
        self._probing = asyncio.Lock()
        self._health = StoreHealth()
        self._checkpoints = Checkpoints(partial(open_checkpointer, self._database), self._log_bytes)
        self._writer = Writer(
            monotonic=clock.monotonic,
            observe=observe_commit,
            health=self._health,
            checkpoints=self._checkpoints,
        )
        self._readers = Readers(partial(open_reader, self._database))
        self._flows = LocalFlows(folder, files, clock)
        self._definitions = LocalDefinitions(self._writer, self._readers)
        self._executions = LocalExecutions(self._writer, self._readers)
        self._journal = LocalJournal(self._writer, self._readers)
        self._slots = LocalSlots(self._writer, self._readers)
        self._pauses = LocalPauses(self._writer, self._readers)
        self._events = LocalEvents(self._writer, self._readers)
        self._marks = LocalMarks(self._writer, self._readers)
        self._deliveries = LocalDeliveries(self._writer, self._readers)

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

    @property
    def pauses(self) -> LocalPauses:
        """The flows that are paused."""
        return self._pauses

    @property
    def events(self) -> LocalEvents:
        """What happened to flows."""
        return self._events

    @property
    def deliveries(self) -> LocalDeliveries:
        """What became of deliveries."""
        return self._deliveries

    @property
    def marks(self) -> LocalMarks:
        """The marks."""
        return self._marks

    async def open(self) -> None:
        """Opens or creates the database; called once, from the loop that will use the store.

        After an unclean stop it is looked at for damage. A damaged one is set aside when there
        is a good backup to go on from, or when the loss was accepted.

        Raises:
            StorageError: ``storage.newer``, ``storage.corrupt``, ``storage.read_only``, …
        """
        writing = await in_thread(self._connect)
        self._writer.start(leave_log(writing), self._reopen)
        self._checkpoints.start()
        self._readers.start(_READERS)

    async def close(self) -> None:
        """Waits for queries and writes; the last connection folds the log into the database."""
        await self._readers.close()
        await asyncio.to_thread(self._checkpoints.close)
        await self._writer.close()

    async def backup(self, target: Path | None = None) -> Path:
        """Copies the database in small steps; backups are made one at a time."""
        async with self._copying:
            path = target or backups.backup_path(self._backups, self._clock.now())
            await in_thread(partial(backups.backup_database, self._database, path))
            if target is None:
                kept = self._options.backups_kept
                await in_thread(partial(backups.keep_newest, self._backups, kept))
            return path

    async def last_backup(self) -> datetime | None:
        """Returns the moment in the name of the newest backup."""
        found = await in_thread(partial(backups.backups_in, self._backups))
        return found[0][0] if found else None

    async def restored(self) -> Restored | None:
        """Returns the note in the database."""
        return await self._readers.run(_read_note)

    async def acknowledge_restored(self) -> None:
        """Removes the note."""
        await self._writer.submit(_drop_note)

    async def check(self) -> None:
        """Commits the time and reads it back over another connection."""
        async with self._probing:
            now = micros_of(self._clock.now())
            await self._writer.submit(partial(_write_probe, at=now))
            if await self._readers.run(_read_probe) != now:
                raise StorageError("the state does not keep what is written")

    def _log_bytes(self) -> int:
        log = self._files.stat(self._log)
        return 0 if log is None else log.size

    def _connect(self) -> sqlite3.Connection:
        connection = self._connect_soundly()
        try:
            take_over(connection, self._database.parent, self._files)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_soundly(self) -> sqlite3.Connection:
        finish_swap(self._database)
        if self._files.stat(self._database) is None:
            # SQLite takes an empty file for a new database, and its mode for the files beside.
            self._files.replace_durably(self._database, b"", mode=0o600)
        try:
            return self._open_checked()
        except StorageError as error:
            if error.code != "storage.corrupt":
                raise
            self._replace_damaged(error)
        return open_writer(self._database)

    def _open_checked(self) -> sqlite3.Connection:
        """Opens the database after a look for damage, a longer one if it was not closed."""
        was_closed = not self._log_bytes()  # who only reads leaves an empty one
        limit_s = CHECK_CLOSED_LIMIT_S if was_closed else CHECK_LIMIT_S
        check_quickly(self._database, limit_s=limit_s, monotonic=self._clock.monotonic)
        return open_writer(self._database)

    def _replace_damaged(self, error: StorageError) -> None:
        """Sets a damaged database aside for a backup or, if that was accepted, an empty one.

        Raises:
            StorageError: ``storage.corrupt``: there is nothing to go on from; nothing changed.
        """
        origin = backups.newest_good(self._backups)
        if origin is None and not self._options.accept_state_loss:
            state = self._database.parent
            raise StorageError(
                f"{error.message}, and there is no good backup in {self._backups}. Put one back "
                f"with `flowrunner restore FILE --state {state}`, or lose the history with "
                "`flowrunner serve --accept-state-loss`; the damaged file is kept either way",
                code=error.code,
            ) from error
        exchange = Swap(database=self._database, origin=origin, at=self._clock.now())
        swap(exchange)
        _log.error(
            "store.replaced origin=%s quarantined=%s: %s",
            origin or "-",
            exchange.quarantined,
            error.message,
        )

    def _reopen(self) -> sqlite3.Connection:
        """Opens another writing connection, in the writer's thread, after an I/O error."""
        connection = reopen_writer(
            self._database, limit_s=CHECK_LIMIT_S, monotonic=self._clock.monotonic
        )
        self._readers.renew()
        return leave_log(connection)


def _read_note(connection: sqlite3.Connection) -> Restored | None:
    return restored_of(connection.execute(READ_NOTE).fetchone())


def _drop_note(connection: sqlite3.Connection) -> None:
    connection.execute(DROP_NOTE)


def _write_probe(connection: sqlite3.Connection, *, at: int) -> None:
    connection.execute(_PROBE, (at,))


def _read_probe(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT at FROM probe").fetchone()[0])
