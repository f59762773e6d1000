"""Folds the write-ahead log into the database beside the writer, so that no commit waits for it.

SQLite would do it within the commit that fills a thousand pages: on a large history that writes a
thousand places of the file and waits for the disk. Here a thread with a connection of its own does
the work (PASSIVE: it never waits for anybody and blocks nobody), and the writer, between two
commits, does the little that came meanwhile: only when the whole log is folded in does it begin
anew from its start, and under a steady load nobody else ever sees it whole. When the thread fails
or falls behind, the writer does it all, as SQLite would have.

A log page counts as folded in only when the database file was synced. So a failure here loses
nothing: the pages stay in the log, and are written once more.

Source: https://www.sqlite.org/wal.html, sections 2.1 and 6; https://www.sqlite.org/c3ref/wal_checkpoint_v2.html.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from flowrunner.errors import StorageError

DUE_ROWS = 1_000
"""Changed rows after which the log is folded in; a row is a page or two of it."""

DUE_BYTES = 4 << 20
"""Growth of the file of the log after which it is folded in: few rows may be large ones."""

SHORT_TAIL = 200
"""Pages that the writer folds in by itself without holding up a commit."""

LONG_LOG = 1_000
"""Pages in the log (4 MiB) from which it is worth a wait of the writer to begin it anew."""

MOST_PAGES = 16_000
"""Pages in the log (64 MiB) at which the writer no longer leaves the work to the thread."""

_TURNS = 3
_PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"
_log = logging.getLogger(__name__)


class Checkpoints:
    """Folds the log in, in a thread; `committed` and `settle` are for the writer's thread.

    Args:
        connect: Opens another connection to the database; called in the thread.
        log_bytes: Returns the size of the log's file.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], log_bytes: Callable[[], int]
    ) -> None:
        self._connect = connect
        self._log_bytes = log_bytes
        self._size = 0
        self._connection: sqlite3.Connection | None = None
        self._due = threading.Event()
        self._is_stopping = False
        self._is_tail_due = False
        self._seen = 0
        self._thread: threading.Thread | None = None

    @property
    def is_due(self) -> bool:
        """Whether there is work for the thread."""
        return self._due.is_set()

    @property
    def is_tail_due(self) -> bool:
        """Whether there is work for the writer."""
        return self._is_tail_due

    def start(self) -> None:
        """Begins to wait for work; called once."""
        self._thread = threading.Thread(target=self._run, name="storage-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Waits for the work under way and closes the connection. Blocks."""
        self._is_stopping = True
        self._due.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._drop()

    def committed(self, connection: sqlite3.Connection) -> None:
        """Takes note of a commit: the thread goes to work once there is enough to do."""
        changes, size = connection.total_changes, self._log_bytes()
        if changes < self._seen:  # another connection
            self._seen = 0
        self._size = min(self._size, size)  # it was cut
        if changes - self._seen >= DUE_ROWS or size - self._size >= DUE_BYTES:
            self._seen, self._size = changes, size
            self._due.set()

    def settle(self, connection: sqlite3.Connection) -> None:
        """Folds in what the thread left, if it asked for that; between two commits."""
        if self._is_tail_due:
            self._is_tail_due = False
            try:
                connection.execute(_PASSIVE).fetchone()
            except sqlite3.Error as error:
                _log.error("store.checkpoint_failed by=writer: %s", error)

    def fold(self) -> None:
        """Does the thread's work once, and says whether the writer shall do the rest."""
        try:
            self._is_tail_due = self._fold()
        except (sqlite3.Error, StorageError) as error:
            _log.error("store.checkpoint_failed: %s", error)
            self._drop()
            self._is_tail_due = True

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._is_stopping:
                break
            self.fold()

    def _fold(self) -> bool:
        """Returns whether the rest is for the writer: it is short, or the log too long."""
        pages = 0
        connection = self._connection = self._connection or self._connect()
        for _ in range(_TURNS):
            _, pages, folded = connection.execute(_PASSIVE).fetchone()
            left = pages - folded
            if left <= SHORT_TAIL:
                return bool(pages >= LONG_LOG)
        return bool(pages >= MOST_PAGES)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except sqlite3.Error as error:
            _log.warning("store.checkpoint_closing: %s", error)
