"""Opens the SQLite file: how its connections are set up, and which schema it has.

WAL with `synchronous=FULL`: a commit is on disk when it returns, and readers never wait for
the writer. The file must be on a local disk: WAL shares memory between connections, which a
network file system cannot.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.translate import damaged, storage_error

_log = logging.getLogger(__name__)

_BUSY_S = 5.0  # longest wait for somebody else's lock, such as a shell on the database
LOG_BYTES = 64 << 20
"""Bytes of the file of the log that stay when it begins anew: they are written over."""

_STEPS_BETWEEN_LOOKS = 1_000
"""Steps of SQLite's machine from one look at the time to the next: far below a millisecond."""


def open_writer(
    path: Path, *, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> sqlite3.Connection:
    """Opens the database for writing, and brings it to the version of this code.

    The caller owns the connection, which may move to another thread.

    Raises:
        StorageError: ``storage.corrupt`` when the file is no database, ``storage.newer`` when
            newer code wrote it, else what SQLite says.
    """
    try:
        connection = _connect(path)
        try:
            _migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _opening_error(path, error) from error
    return connection


def leave_log(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Has a writing connection never fold the log in by itself: `Checkpoints` does it.

    The file of a log that grew beyond the bound of `Checkpoints` is cut when it begins anew.
    """
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    return connection


def open_checkpointer(path: Path) -> sqlite3.Connection:
    """Opens another connection to a database that `open_writer` has opened, to fold the log in."""
    try:
        connection = _connect(path)
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        raise _opening_error(path, error) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Opens a second connection to a database that `open_writer` has opened; it cannot write."""
    try:
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise _opening_error(path, error) from error
    return connection


def reopen_writer(
    path: Path, *, limit_s: float, monotonic: Callable[[], float]
) -> sqlite3.Connection:
    """Opens a database that is there already and verifies it first, after an I/O error.

    Raises:
        StorageError: As `open_writer`; a file that is gone is not made anew.
    """
    check_quickly(path, limit_s=limit_s, monotonic=monotonic)
    return open_writer(path)


def open_read_only(path: Path) -> sqlite3.Connection:
    """Opens a database that is there for reading alone; closing it writes nothing either.

    Raises:
        StorageError: There is no such file, or what SQLite says.
    """
    if not path.is_file():
        raise StorageError(f"there is no database {path}")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    except sqlite3.Error as error:
        raise _opening_error(path, error) from error


def check_quickly(path: Path, *, limit_s: float, monotonic: Callable[[], float]) -> bool:
    """Looks for damage for at most so many seconds; returns whether all of it was looked at.

    Over a connection that only reads: closing another one would fold the log into a database
    that is damaged, and the next start would not see that it was not closed.

    Raises:
        StorageError: ``storage.corrupt``: it is damaged, or the code of what SQLite says.
    """
    deadline = monotonic() + limit_s
    with closing(open_read_only(path)) as connection:
        connection.set_progress_handler(lambda: monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        try:
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                _log.warning("store.check_cut_short limit_s=%g", limit_s)
                return False
            raise _opening_error(path, error) from error
    if finding != "ok":
        raise damaged(f"the database {path} ({finding.splitlines()[0]})")
    return True


_NOTHING: dict[None, None] = {}
# For all but text and numbers the module looks for what they are written as, and where nobody has
# said so it makes and drops an error for each value of each row. They are written as they are.
sqlite3.register_adapter(type(None), _NOTHING.get)
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are written out where they happen: the module shall not begin any by itself.
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _opening_error(path: Path, error: sqlite3.Error) -> StorageError:
    translated = storage_error(error)
    if translated.code == "storage.corrupt":
        return damaged(f"the database {path}", error)
    return translated


def _migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]
) -> None:
    """Sets the connection up and applies the missing migrations, each in one transaction.

    The version is looked at first: a database of newer code is not touched at all.
    """
    version = _version_of(connection)
    if version > len(migrations):
        raise StorageError(
            f"{path} was written by a newer FlowRunner: it has schema version {version}, this "
            f"one knows {len(migrations)}; start that version again or restore a backup",
            code="storage.newer",
            details={"found": version, "known": len(migrations)},
        )
    _configure(connection, path)
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(
            f"{path} cannot use a write-ahead log (SQLite stays with {mode!r}); "
            "the state must be on a local file system"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
