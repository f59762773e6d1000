"""What waits together is committed together; who fails, fails alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.storage.local.batch import Joined, Outcome, run_batch
from flowrunner.storage.local.database import open_writer
from tests.unit.storage.databases import MIGRATIONS, put, words


class Word(Joined):
    """Adds a word, with its neighbours in one statement."""

    def __init__(self, word: str) -> None:
        self.word = word

    @classmethod
    def run_all(cls, connection: sqlite3.Connection, operations: Sequence[Word]) -> list[str]:
        marks = ", ".join(["(?)"] * len(operations))
        added = [each.word for each in operations]
        connection.execute(f"INSERT INTO words VALUES {marks}", added)
        return added


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(path, migrations=MIGRATIONS)) as opened:
        yield opened


def told(outcomes: list[Outcome]) -> list[object]:
    """Each outcome as the code of its error, or else as its result."""
    return [each.error.code if each.error else each.result for each in outcomes]


def test_batch_is_one_transaction(connection: sqlite3.Connection) -> None:
    """However many operations wait, there is one commit."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    outcomes = run_batch(connection, [put(word) for word in "abc"])
    assert told(outcomes) == ["a", "b", "c"]
    assert statements.count("COMMIT") == 1


def test_neighbours_of_one_kind_go_together(connection: sqlite3.Connection, path: Path) -> None:
    """They are one piece of work; those of another kind stay before and behind them."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    outcomes = run_batch(connection, [Word("a"), Word("b"), put("c"), Word("d")])
    assert told(outcomes) == ["a", "b", "c", "d"]
    assert words(path) == ["a", "b", "c", "d"]
    assert sum("INSERT" in statement for statement in statements) == len(["ab", "c", "d"])


def test_neighbour_that_fails_takes_nobody_with_it(
    connection: sqlite3.Connection, path: Path
) -> None:
    """Of those that go together each fails for its own fault alone."""
    outcomes = run_batch(connection, [Word(word) for word in "abac"])
    assert told(outcomes) == ["a", "b", "storage.conflict", "c"]
    assert words(path) == ["a", "b", "c"]


def test_failing_operation_fails_alone(connection: sqlite3.Connection, path: Path) -> None:
    """A conflict in the middle of a batch takes nobody else with it."""
    outcomes = run_batch(connection, [put(word) for word in "abac"])
    assert told(outcomes) == [
        "a",
        "b",
        "storage.conflict",
        "c",
    ]
    assert words(path) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("no JSON"), id="value"),
        pytest.param(sqlite3.ProgrammingError("wrong type"), id="binding"),
        pytest.param(StorageError("unknown", code="storage.conflict"), id="refusal"),
    ],
)
def test_operation_that_raises_leaves_nothing_behind(
    connection: sqlite3.Connection, path: Path, error: Exception
) -> None:
    """What an operation wrote before it failed is taken back, and the others are kept."""

    def half(connection: sqlite3.Connection) -> None:
        put("half")(connection)
        raise error

    outcomes = run_batch(connection, [put("a"), half, put("b")])
    assert [each.error is None for each in outcomes] == [True, False, True]
    assert words(path) == ["a", "b"]


def test_nothing_is_kept_behind_a_failure_of_the_database(
    connection: sqlite3.Connection, path: Path
) -> None:
    """When the disk fails, what came before is kept and nothing after it, even if it could be."""
    runs: list[str] = []

    def broken(_: sqlite3.Connection) -> None:
        runs.append("broken")
        raise sqlite3.OperationalError("disk I/O error")

    outcomes = run_batch(connection, [put("a"), broken, put("b"), put("c")])
    assert told(outcomes) == [
        "a",
        *["storage.unavailable"] * 3,
    ]
    assert words(path) == ["a"]
    assert runs == ["broken"] * 2  # in the batch, and once alone


def test_single_operation_is_not_tried_twice(connection: sqlite3.Connection) -> None:
    """Alone in its batch an operation that fails has failed."""
    runs: list[str] = []

    def failing(_: sqlite3.Connection) -> None:
        runs.append("run")
        raise ValueError("no")

    (outcome,) = run_batch(connection, [failing])
    assert outcome.error is not None
    assert isinstance(outcome.error.__cause__, ValueError)
    assert runs == ["run"]
