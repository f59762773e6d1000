"""Blocking work on files, off the loop and with the store's errors; names that stay in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flowrunner.errors import StorageError
from flowrunner.storage.local.translate import storage_error
from flowrunner.system.files import ChangedWhileReadError, Files

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""Longest file of the state that is read; a flow file of 1 MiB stays far below."""

_LOOKS = 5  # a file replaced this often while it is read is not one of ours


async def in_thread(work: Callable[[], T]) -> T:
    """Returns what blocking work returns; its failure becomes a `StorageError`.

    Failures are those of files, and the refusal to write down a value that is no JSON. Work
    that has begun is not stopped by cancellation, only its result is dropped.
    """
    try:
        return await asyncio.to_thread(work)
    except (OSError, ValueError, TypeError) as error:
        raise storage_error(error) from error


def read_steadily(files: Files, path: Path) -> bytes:
    """Reads a file that may be replaced at any moment; raises `OSError`."""
    for _ in range(_LOOKS - 1):
        try:
            return files.read(path, limit=MOST_BYTES)
        except ChangedWhileReadError:
            continue
    return files.read(path, limit=MOST_BYTES)


def below(folder: Path, *names: str) -> Path:
    """Returns a path below a folder; raises `StorageError` for a name that would leave it."""
    return folder.joinpath(*map(file_name, names))


def file_name(name: str) -> str:
    """Returns a name; raises `StorageError` for one that would leave its folder."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise StorageError(f"{name!r} cannot be the name of a file")
    return name
