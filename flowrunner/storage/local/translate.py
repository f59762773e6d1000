"""The border at which failures of SQLite and of files become `StorageError`.

The code says what an operator can do: make room, make it writable, restore a backup, look.
"""

from __future__ import annotations

import errno
import sqlite3

from flowrunner.errors import StorageError

_PRIMARY_CODE = 0xFF  # the low byte; extended codes say more above it

_SQLITE_CODES = {
    sqlite3.SQLITE_FULL: "storage.full",
    sqlite3.SQLITE_READONLY: "storage.read_only",
    sqlite3.SQLITE_PERM: "storage.read_only",
    sqlite3.SQLITE_CORRUPT: "storage.corrupt",
    sqlite3.SQLITE_NOTADB: "storage.corrupt",
    sqlite3.SQLITE_CONSTRAINT: "storage.conflict",
}

_ERRNO_CODES = {
    errno.ENOSPC: "storage.full",
    errno.EDQUOT: "storage.full",
    errno.EROFS: "storage.read_only",
    errno.EACCES: "storage.read_only",
    errno.EPERM: "storage.read_only",
}

_UNTRUSTWORTHY = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
)

_OUTER_FAILURES = (sqlite3.OperationalError, sqlite3.InternalError)


def storage_error(error: Exception) -> StorageError:
    """Returns what to raise, or to hand on, for any failure of a read or write of the state.

    A `StorageError` is returned as it is; the cause of a new one is `error`.
    """
    if isinstance(error, StorageError):
        return error
    code, message = "storage.unavailable", f"the state cannot be used: {error}"
    if isinstance(error, sqlite3.Error):
        number = getattr(error, "sqlite_errorcode", 0)  # absent when the module itself refuses
        code = _SQLITE_CODES.get(number & _PRIMARY_CODE, code)
    elif isinstance(error, OSError):
        code = _ERRNO_CODES.get(error.errno or 0, code)
    if code == "storage.conflict":
        message = f"the record exists already, or what it belongs to is unknown: {error}"
    translated = StorageError(message, code=code)
    translated.__cause__ = error
    return translated


def damaged(what: str, error: Exception | None = None) -> StorageError:
    """Returns the error for something kept that cannot be understood any more."""
    translated = StorageError(f"{what} is damaged", code="storage.corrupt")
    translated.__cause__ = error
    return translated


def is_outer_failure(error: Exception) -> bool:
    """Whether the database failed (no room, no disk), rather than this one operation.

    A plain `DatabaseError` is a damaged file; its subclasses for conflicts, values and wrong
    use speak of the operation.
    """
    return isinstance(error, _OUTER_FAILURES) or type(error) is sqlite3.DatabaseError


def is_untrustworthy(error: BaseException | None) -> bool:
    """Whether a connection that failed so must not be used again: it may see what is no more."""
    if not isinstance(error, sqlite3.Error):
        return False
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _UNTRUSTWORTHY
