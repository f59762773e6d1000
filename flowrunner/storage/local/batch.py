"""Runs operations that wait together as one transaction: one `fsync` for all of them.

Blocking, and blind to threads and futures: `writer.py` decides what waits together.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

from flowrunner.errors import StorageError
from flowrunner.storage.local.translate import is_outer_failure, storage_error

Operation: TypeAlias = Callable[[sqlite3.Connection], Any]
"""Writes through the connection, inside a transaction it neither begins nor ends.

It may run twice (its first transaction rolled back), so it must not keep anything elsewhere.
"""


class Joined(ABC):
    """An operation that goes in one piece with those of its kind that stand next to it."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def run_all(cls, connection: sqlite3.Connection, operations: Sequence[Any]) -> list[Any]:
        """Writes some as if one after the other, and returns what each of them does."""

    def __call__(self, connection: sqlite3.Connection) -> Any:
        """Writes this one."""
        (result,) = self.run_all(connection, [self])
        return result


class Outcome(NamedTuple):
    """What an operation returned, or why it is not in the database.

    Attributes:
        is_outer: Whether the database failed, rather than this one operation.
    """

    result: Any = None
    error: StorageError | None = None
    is_outer: bool = False


def failed_with(failure: StorageError) -> Outcome:
    """Returns an outcome for a write that fails because another failed.

    Its error is its own: one that many callers raise would gather the traceback of each.
    """
    error = StorageError(failure.message, code=failure.code)
    error.__cause__ = failure.__cause__
    return Outcome(error=error, is_outer=True)


def run_batch(connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Outcome]:
    """Runs operations in order; each outcome is durable at the return.

    When one fails, the transaction is rolled back and each runs in a transaction of its own,
    so that a conflict fails nobody else. When the database itself fails (no room, no disk),
    the operations behind fail with it unrun: none is kept without those that came before it.
    """
    try:
        return [Outcome(result) for result in _transact(connection, operations)]
    except Exception as error:  # noqa: BLE001 - whatever an operation raises fails it alone
        if len(operations) == 1:
            return [_failed(error)]
    return _run_one_by_one(connection, operations)


def _run_one_by_one(
    connection: sqlite3.Connection, operations: Sequence[Operation]
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    down: Exception | None = None
    for operation in operations:
        if down is not None:
            outcomes.append(_failed(down))
            continue
        try:
            (result,) = _transact(connection, [operation])
            outcomes.append(Outcome(result))
        except Exception as error:  # noqa: BLE001 - whatever an operation raises fails it alone
            outcomes.append(_failed(error))
            if is_outer_failure(error):
                down = error
    return outcomes


def _failed(error: Exception) -> Outcome:
    return Outcome(error=storage_error(error), is_outer=is_outer_failure(error))


def _transact(connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = _results(connection, operations)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself on some failures
            connection.execute("ROLLBACK")
        raise
    return results


def _results(connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Any]:
    results: list[Any] = []
    for kind, neighbours in groupby(operations, key=type):
        if issubclass(kind, Joined):
            results += kind.run_all(connection, list(neighbours))
        else:
            results += [operation(connection) for operation in neighbours]
    return results
