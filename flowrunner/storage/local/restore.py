"""Puts another database in the place of one that is lost, without losing the lost one.

The new one is made ready beside the old, then two renames swap them: a crash in between is
finished by the next start. The old one is set aside under a time stamp and never deleted.

What the new one does not know may have happened: so nothing it holds is run again (unfinished
executions end as `failed (interrupted)`), and its schedules begin at now. Both, with the note
that tells of it, are part of what is swapped in.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.storage.health import Restored
from flowrunner.storage.local.backups import verify
from flowrunner.storage.local.codec import micros_of, moment_of, text_of
from flowrunner.storage.local.database import open_writer
from flowrunner.storage.local.translate import storage_error
from flowrunner.system.durable import sync_folder

_BESIDE = ("-wal", "-shm")

_FAILURE = text_of(
    [
        "state_restored",
        "the state was restored from before its end: whether it went on is not known",
        {},
    ]
)

_END_NODES = """INSERT OR IGNORE INTO nodes
(execution, node, state, reason, outputs, error, started_at, ended_at)
SELECT execution, node, 'failed', 'interrupted', 'null', ?, started_at, ?
FROM attempts WHERE state = 'running'"""
_END_ATTEMPTS = """UPDATE attempts
SET state = 'failed', reason = 'interrupted', error = ?, ended_at = ? WHERE state = 'running'"""
_END_EXECUTIONS = """UPDATE executions
SET state = 'failed', reason = 'interrupted', error = ?, ended_at = ?
WHERE state IN ('queued', 'running')"""
_NOTE = "INSERT OR REPLACE INTO restored (id, at, origin, quarantined) VALUES (1, ?, ?, ?)"

READ_NOTE = "SELECT at, origin, quarantined FROM restored"
DROP_NOTE = "DELETE FROM restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The files of one exchange.

    Attributes:
        database: The place.
        origin: The backup that takes it; None for an empty database.
        at: The moment: stamps the file that is set aside.
    """

    database: Path
    origin: Path | None
    at: datetime

    @property
    def quarantined(self) -> Path:
        """Where the present database goes."""
        stamp = self.at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return self.database.with_name(f"{self.database.name}.quarantined-{stamp}")


def swap(exchange: Swap) -> None:
    """Sets the present database aside, if there is one, and puts the other in its place.

    Raises:
        StorageError: ``storage.corrupt`` or ``storage.newer``: the origin is not fit; nothing
            has changed. Else what SQLite or the disk says.
    """
    ready = _ready_path(exchange.database)
    try:
        if exchange.origin is not None:
            verify(exchange.origin)
        ready.unlink(missing_ok=True)
        if exchange.origin is not None:
            shutil.copyfile(exchange.origin, ready)
        else:
            ready.touch(mode=0o600)
        ready.chmod(0o600)
        _prepare(ready, exchange)
        _sync_file(ready)
        _set_aside(exchange)
        finish_swap(exchange.database)
    except (OSError, sqlite3.Error) as error:
        raise storage_error(error) from error


def finish_swap(database: Path) -> None:
    """Completes an exchange that a crash cut short, or drops one that had not begun."""
    ready = _ready_path(database)
    if not ready.exists():
        return
    if database.exists():
        ready.unlink()
    else:
        ready.replace(database)
    sync_folder(database.parent)


def restored_of(row: tuple[int, str, str] | None) -> Restored | None:
    """Returns the note of an exchange from its row."""
    if row is None:
        return None
    return Restored(at=moment_of(row[0]), origin=row[1], quarantined=row[2])


def _ready_path(database: Path) -> Path:
    return database.with_name(f"{database.name}.restoring")


def _prepare(path: Path, exchange: Swap) -> None:
    """Brings the database to this version and makes it forget what must not go on."""
    at = micros_of(exchange.at)
    had_one = exchange.database.exists()
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_END_NODES, (_FAILURE, at))
        connection.execute(_END_ATTEMPTS, (_FAILURE, at))
        connection.execute(_END_EXECUTIONS, (_FAILURE, at))
        connection.execute("DELETE FROM cursors")
        origin = str(exchange.origin) if exchange.origin else ""
        quarantined = str(exchange.quarantined) if had_one else ""
        connection.execute(_NOTE, (at, origin, quarantined))
        connection.execute("COMMIT")


def _set_aside(exchange: Swap) -> None:
    database, aside = exchange.database, exchange.quarantined
    for suffix in (*_BESIDE, ""):  # the database last: while it stands, nothing has begun
        part = database.with_name(database.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    sync_folder(database.parent)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
