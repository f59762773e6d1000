"""The writing connection over failures of the disk: dropped, opened anew, verified, used again.

After a failed `fsync` the page cache may hold what the disk does not, and the kernel reports that
once. So a connection that saw an I/O error is closed; the next one reads the file from its
beginning and checks it before anything more is built on it.

Source: fsync(2); https://www.sqlite.org/rescode.html; Rebello and others, "Can applications
recover from fsync failures?", USENIX ATC 2020.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from flowrunner.errors import StorageError
from flowrunner.storage.local.batch import Operation, Outcome, failed_with, run_batch
from flowrunner.storage.local.checkpoints import Checkpoints
from flowrunner.storage.local.translate import is_untrustworthy, storage_error

FIRST_PAUSE_S = 1.0
"""Seconds from a failure until a connection is opened anew, at the earliest."""

LONGEST_PAUSE_S = 30.0
"""The pause doubles with each failure up to this: opening verifies, which reads the file."""


class Session:
    """Runs batches over one connection after the other; blocking, used in one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        renew: Callable[[], sqlite3.Connection],
        monotonic: Callable[[], float],
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._renew = renew
        self._monotonic = monotonic
        self._checkpoints = checkpoints
        self._failure = StorageError("the store is not open")
        self._pause_s = FIRST_PAUSE_S
        self._not_before = 0.0

    def run(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Returns the outcomes in order; while there is no connection, all fail with the reason."""
        connection = self._connection or self._connect()
        if connection is None:
            return [failed_with(self._failure) for _ in operations]
        outcomes = run_batch(connection, operations)
        failure = failure_of(outcomes)
        if failure is None:
            self._pause_s = FIRST_PAUSE_S
        elif is_untrustworthy(failure.__cause__):
            self._drop(connection, failure)
        return outcomes

    def rest(self) -> None:
        """Does what is due between two batches, while nobody waits for an outcome."""
        if self._checkpoints is not None and self._connection is not None:
            self._checkpoints.committed(self._connection)
            self._checkpoints.settle(self._connection)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> sqlite3.Connection | None:
        if self._monotonic() < self._not_before:
            return None
        try:
            self._connection = self._renew()
        except (StorageError, sqlite3.Error, OSError) as error:
            self._wait_after(storage_error(error))
        return self._connection

    def _drop(self, connection: sqlite3.Connection, failure: StorageError) -> None:
        self._connection = None
        try:
            connection.close()
        except sqlite3.Error as error:
            failure.add_note(f"closing: {error}")
        self._wait_after(failure)

    def _wait_after(self, failure: StorageError) -> None:
        self._failure = failure
        self._not_before = self._monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def failure_of(outcomes: Sequence[Outcome]) -> StorageError | None:
    """Returns the failure of the store itself, or None when only single operations failed.

    When the store fails, what stands behind fails with it: the last outcome tells.
    """
    return outcomes[-1].error if outcomes and outcomes[-1].is_outer else None
