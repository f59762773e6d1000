"""Takes over the definitions of a state in which each was a file: `definitions/<hex digits>.json`.

They became rows of the database. A state of an earlier version is taken forward
when a daemon opens it; until then `check-state` finds them where they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from flowrunner.model.digest import PREFIX, digest_of_bytes
from flowrunner.storage.local.disk import MOST_BYTES
from flowrunner.storage.local.translate import storage_error
from flowrunner.system.files import Files

FOLDER = "definitions"
"""Their folder in the state directory."""

_SUFFIX = ".json"
_ADD = "INSERT INTO definitions (digest, text) VALUES (?, ?) ON CONFLICT DO NOTHING"


def take_over(connection: sqlite3.Connection, state: Path, files: Files) -> None:
    """Makes rows of the files, durably, and removes them; blocks. Costs a look if there are none.

    What does not fit its name is lost already, and left out. A crash in between leaves the files,
    which are taken over again.

    Raises:
        OSError: A file cannot be read or removed.
        StorageError: The rows cannot be written.
    """
    folder = state / FOLDER
    if files.stat(folder) is None:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_ADD, _rows(folder, files))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise storage_error(error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    files.remove_tree(folder)


def file_of(state: Path, digest: str) -> Path:
    """Returns where the text of a definition was."""
    return state / FOLDER / f"{digest.removeprefix(PREFIX)}{_SUFFIX}"


def _rows(folder: Path, files: Files) -> Iterator[tuple[str, str]]:
    for name in files.names(folder):
        if name.endswith(_SUFFIX):
            data = files.read(folder / name, limit=MOST_BYTES)
            digest = digest_of_bytes(data)
            if digest == f"{PREFIX}{name.removesuffix(_SUFFIX)}":
                yield digest, data.decode()
