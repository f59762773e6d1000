"""What works on a state directory without its daemon: back up, restore, check.

Backing up and restoring take the lock that the daemon takes, so they never meet it. Checking only
reads, and may be done beside a running daemon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.storage.local.backups import FOLDER, backup_database, backup_path
from flowrunner.storage.local.database import open_read_only
from flowrunner.storage.local.definition_files import file_of
from flowrunner.storage.local.definitions import has_digest
from flowrunner.storage.local.flows import LEFT
from flowrunner.storage.local.record_codec import left_of, record_of
from flowrunner.storage.local.restore import Swap, swap
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.storage import DATABASE
from flowrunner.storage.local.translate import storage_error
from flowrunner.system.clock import Clock, SystemClock
from flowrunner.system.lock import StateLock

_HAS_DEFINITIONS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'definitions'"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """What `check_state` found.

    Attributes:
        findings: Sentences; empty when all is well.
        schema_version: Of the database; 0 when it is damaged.
        executions: How many are kept.
    """

    findings: tuple[str, ...]
    schema_version: int
    executions: int


def backup_offline(state: Path, target: Path | None, clock: Clock | None = None) -> Path:
    """Backs up the state of a daemon that does not run, and returns where the copy stands.

    Raises:
        StorageError: ``storage.locked`` while a daemon runs; else as `Storage.backup`.
    """
    now = (clock or SystemClock()).now()
    with StateLock(_existing(state)):
        path = target or backup_path(state / FOLDER, now)
        backup_database(state / DATABASE, path)
    return path


def restore_offline(state: Path, origin: Path, clock: Clock | None = None) -> Swap:
    """Puts a backup in the place of the state, which is set aside, and returns what was done.

    Raises:
        StorageError: ``storage.locked`` while a daemon runs, ``storage.corrupt`` or
            ``storage.newer`` when the backup is not fit; nothing has changed then.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StateLock(state):
        now = (clock or SystemClock()).now()
        exchange = Swap(database=state / DATABASE, origin=origin.absolute(), at=now)
        swap(exchange)
    return exchange


def check_state(state: Path) -> StateReport:
    """Reads all of the state and returns what is wrong with it; changes nothing.

    Raises:
        StorageError: There is no state, or it cannot be read at all.
    """
    database = _existing(state) / DATABASE
    damage = tuple(f"the database is damaged: {text}" for text in _damage(database))
    if damage:
        return StateReport(findings=damage, schema_version=0, executions=0)
    with closing(open_read_only(database)) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            text = f"schema version {version} is newer than this FlowRunner's {len(MIGRATIONS)}"
            return StateReport(findings=(text,), schema_version=version, executions=0)
        (count,) = connection.execute("SELECT count(*) FROM executions").fetchone()
        lost = list(_lost_definitions(connection, state))
    found = (
        *lost,
        *_damaged_records(state / "registry"),
        *_damaged_list(state / "registry" / LEFT),
    )
    return StateReport(findings=found, schema_version=version, executions=int(count))


def _damage(database: Path) -> list[str]:
    """Returns what SQLite finds wrong, at most 20 sentences; one when it gives up."""
    try:
        with closing(open_read_only(database)) as connection:
            rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [text for (text,) in rows if text != "ok"]


def _lost_definitions(connection: sqlite3.Connection, state: Path) -> Iterator[str]:
    are_rows = connection.execute(_HAS_DEFINITIONS).fetchone() is not None
    used = connection.execute("SELECT digest, count(*) FROM executions GROUP BY digest").fetchall()
    for digest, count in used:
        text = _definition(connection if are_rows else None, state, digest)
        if text is None:
            yield f"the definition {digest} is lost; {count} executions ran it"
        elif not has_digest(digest, text):
            yield f"the definition {digest} was changed; {count} executions ran it"


def _definition(connection: sqlite3.Connection | None, state: Path, digest: str) -> str | None:
    """Returns the text of a definition; of a state that is to be taken forward, that of its file.

    Raises:
        StorageError: The file cannot be read.
    """
    if connection is not None:
        query = "SELECT text FROM definitions WHERE digest = ?"
        row = connection.execute(query, (digest,)).fetchone()
        if row is not None:
            return str(row[0])
    try:
        return file_of(state, digest).read_text(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error) from error


def _damaged_records(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*/*/definition.json")):
        try:
            record_of(path.read_bytes())
        except OSError as error:
            yield f"{path}: {error.strerror}"
        except (ValueError, TypeError, KeyError) as error:
            yield f"{path}: damaged: {error}"


def _damaged_list(path: Path) -> Iterator[str]:
    try:
        left_of(path.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{path}: {error.strerror}"
    except (ValueError, TypeError, KeyError) as error:
        yield f"{path}: damaged: {error}"


def _existing(state: Path) -> Path:
    if not (state / DATABASE).is_file():
        raise StorageError(f"there is no state in {state}: no {DATABASE}")
    return state
