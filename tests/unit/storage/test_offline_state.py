"""The state without its daemon: backed up, restored and checked under the daemon's lock."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.storage.local.backups import verify
from flowrunner.storage.local.offline import backup_offline, check_state, restore_offline
from flowrunner.storage.local.storage import DATABASE, LocalStorage
from flowrunner.system.files import LocalFiles
from flowrunner.system.lock import StateLock
from tests.fakes.clock import FakeClock
from tests.fakes.records import make_execution, make_record


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A whole state: an execution, its definition, a last good flow."""
    folder = tmp_path / "state"

    async def main() -> None:
        storage = LocalStorage(folder, LocalFiles(), FakeClock())
        await storage.open()
        await storage.definitions.put(make_record().digest, make_record().definition)
        await storage.flows.create(make_record())
        await storage.executions.create(make_execution())
        await storage.close()

    asyncio.run(main())
    return folder


def test_backup_and_restore_bring_the_state_back(state: Path) -> None:
    """What was lost is there again, and the state in between is kept beside."""
    made = backup_offline(state, None, FakeClock())
    assert made.parent == state / "backup"
    verify(made)
    with closing(sqlite3.connect(state / DATABASE)) as connection, connection:
        connection.execute("DELETE FROM executions")
    done = restore_offline(state, made, FakeClock())
    assert done.quarantined.exists()
    assert check_state(state).executions == 1


def test_nothing_is_done_beside_a_running_daemon(state: Path) -> None:
    """Backing up and restoring take its lock; checking only reads."""
    made = backup_offline(state, None, FakeClock())
    with StateLock(state):
        for attempt in (
            lambda: backup_offline(state, state / "other.db"),
            lambda: restore_offline(state, made),
        ):
            with pytest.raises(StorageError) as caught:
                attempt()
            assert caught.value.code == "storage.locked"
        assert check_state(state).findings == ()
    assert not (state / "other.db").exists()


def test_state_that_does_not_exist_is_said(tmp_path: Path) -> None:
    """A wrong path makes no new state."""
    for attempt in (lambda: check_state(tmp_path), lambda: backup_offline(tmp_path, None)):
        with pytest.raises(StorageError, match="there is no state"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_whole_state_has_no_findings(state: Path) -> None:
    """A state as the daemon leaves it is well."""
    report = check_state(state)
    assert report.findings == ()
    assert report.executions == 1


def test_damaged_record_is_a_finding(state: Path) -> None:
    """A last good definition that was changed is named with its file."""
    (path,) = state.glob("registry/*/*/*")
    path.write_bytes(b"{}")
    (finding,) = check_state(state).findings
    assert str(path) in finding
    assert "definition.json: damaged" in finding


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param("DELETE FROM definitions", "is lost", id="lost"),
        pytest.param("UPDATE definitions SET text = '{}'", "was changed", id="changed"),
    ],
)
def test_damaged_definition_is_a_finding(state: Path, change: str, expected: str) -> None:
    """What an execution ran and is not known any more is said with its digest."""
    with closing(sqlite3.connect(state / DATABASE)) as connection, connection:
        connection.execute(change)
    (finding,) = check_state(state).findings
    assert f"{make_record().digest} {expected}; 1 executions ran it" in finding


def test_state_of_an_earlier_version_has_its_definitions_as_files(state: Path) -> None:
    """It is whole as it is, before a daemon takes it forward, and not without them."""
    file = state / "definitions" / f"{make_record().digest[7:]}.json"
    file.parent.mkdir()
    with closing(sqlite3.connect(state / DATABASE)) as connection, connection:
        (text,) = connection.execute("SELECT text FROM definitions").fetchone()
        connection.execute("DROP TABLE definitions")
        connection.execute("PRAGMA user_version = 11")
    file.write_text(text)
    assert check_state(state).findings == ()
    file.unlink()
    (finding,) = check_state(state).findings
    assert "is lost" in finding


def test_damaged_database_is_a_finding(state: Path) -> None:
    """SQLite's own words are passed on, and nothing is changed."""
    database = state / DATABASE
    content = bytearray(database.read_bytes())
    content[8_192:12_288] = b"\xff" * 4_096
    database.write_bytes(content)
    findings = check_state(state).findings
    assert findings
    assert all(text.startswith("the database is damaged") for text in findings)
    assert database.read_bytes() == content


def test_newer_database_is_a_finding(state: Path) -> None:
    """What this code does not know is not judged."""
    with closing(sqlite3.connect(state / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 999")
    (finding,) = check_state(state).findings
    assert "newer" in finding


def test_a_damaged_list_of_what_left_is_a_finding(state: Path) -> None:
    """Its loss would let slow erosion begin to count anew."""
    path = state / "registry/left.json"
    path.write_text("{}")
    (finding,) = check_state(state).findings
    assert finding.startswith(f"{path}: damaged")
