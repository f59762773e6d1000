"""Copies of the database: made while it is written to, verified, and only then given their name.

The copy is of one moment: it is read under one snapshot, in small steps with a sync and a pause
after each, so that neither the copying nor the flushing of it keeps a commit waiting. The files
of the registry are not in it: they are made anew from the flows.

Source: https://www.sqlite.org/backup.html.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.storage.local.database import open_read_only
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.translate import damaged, storage_error
from flowrunner.system.durable import sync_folder

FOLDER = "backup"
"""Where backups stand in the state directory."""

STEP_PAGES = 256
"""Pages of 4 KiB copied in one step: some milliseconds."""

STEP_PAUSE_S = 0.01
"""Rest of the disk after each step."""

_NAME = "flowrunner-%Y%m%dT%H%M%S.%fZ.db"
_UNFINISHED = ".unfinished"


def backup_database(
    database: Path, target: Path, *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Copies a database, open or not, to a new file that is whole, verified and on disk.

    Args:
        database: What is copied; others may write to it meanwhile.
        target: A file that does not exist yet; its folder is made.
        pause: Waits between the steps.

    Raises:
        StorageError: ``storage.conflict`` when the target exists, ``storage.corrupt`` when the
            copy is damaged, else what SQLite or the disk says; nothing is left behind.
    """
    unfinished = target.with_name(target.name + _UNFINISHED)
    try:
        if target.exists():
            raise StorageError(f"{target} exists already", code="storage.conflict")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove(unfinished)
        try:
            _copy(database, unfinished, pause)
            verify(unfinished)
            unfinished.replace(target)
            sync_folder(target.parent)
        finally:
            _remove(unfinished)
    except (sqlite3.Error, OSError) as error:
        raise storage_error(error) from error


def backup_path(folder: Path, at: datetime) -> Path:
    """Returns where the backup of a moment stands."""
    return folder / at.astimezone(UTC).strftime(_NAME)


def backups_in(folder: Path) -> list[tuple[datetime, Path]]:
    """Returns the backups with their moments, newest first; other files are left out."""
    found = []
    for path in folder.glob("flowrunner-*.db"):
        try:
            made_at = datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)
        except ValueError:
            continue
        found.append((made_at, path))
    return sorted(found, reverse=True)


def keep_newest(folder: Path, number: int) -> None:
    """Removes all backups but the newest ones; raises `OSError`."""
    for _, path in backups_in(folder)[number:]:
        path.unlink(missing_ok=True)


def newest_good(folder: Path) -> Path | None:
    """Returns the newest backup that passes verification now, or None."""
    for _, path in backups_in(folder):
        try:
            verify(path)
        except StorageError:
            continue
        return path
    return None


def verify(path: Path) -> int:
    """Reads all of a database that nobody writes to, and returns its schema version.

    Raises:
        StorageError: ``storage.corrupt`` for a damaged file or none of ours,
            ``storage.newer`` for a version that this code does not know.
    """
    try:
        with closing(open_read_only(path)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            findings = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        raise damaged(f"the database {path}", error) from error
    if findings != ["ok"]:
        raise damaged(f"the database {path} ({str(findings[0]).splitlines()[0]})")
    if version == 0:
        raise damaged(f"the database {path} has no schema of ours and")
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path} was written by a newer FlowRunner (schema version {version})",
            code="storage.newer",
        )
    return version


def _copy(database: Path, target: Path, pause: Callable[[float], None]) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    with closing(open_read_only(database)) as source, closing(_blank(target)) as copy:
        file = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        try:

            def after_step(_status: int, _remaining: int, _total: int) -> None:
                os.fdatasync(file)
                pause(STEP_PAUSE_S)

            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # takes the snapshot
            source.backup(copy, pages=STEP_PAGES, progress=after_step)
            source.execute("COMMIT")
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, nothing beside it
            os.fsync(file)
        finally:
            os.close(file)


def _blank(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # synced after each step, and at the end
    return connection


def _remove(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
