"""Where `flowrunner validate` and the daemon keep what files compiled to, and what makes it stale.

For `validate` it is `flowrunner` in the user's cache folder, for the daemon `cache` in its state.
A file holds one generation: the entries
made by one state of the code, its libraries, the flow schema and the time zones of the host.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zoneinfo
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from flowrunner import __file__ as package_file
from flowrunner import __version__
from flowrunner.definitions.candidate_cache import LARGEST_STORE
from flowrunner.model.digest import digest_of
from flowrunner.model.ids import Json
from flowrunner.system.private_folder import PrivateFolder

_FORMAT = 4
"""Of the entries: raised when their form changes."""

_MOST_GENERATIONS = 3
"""Checkouts and versions side by side; more would only fill the disk."""


class GenerationStore:
    """The file of one generation; meets `flowrunner.definitions.cache_lines.Store`."""

    def __init__(self, folder: PrivateFolder, generation: str, what: str = "validate") -> None:
        self._folder = folder
        self._what = f"{what}-"
        self._name = f"{self._what}{generation}.txt"

    def load(self) -> bytes | None:
        """Returns the content of the file, or None."""
        return self._folder.read(self._name, limit=LARGEST_STORE)

    def save(self, data: bytes) -> None:
        """Replaces the file and removes those of generations that were not written for long."""
        if self._folder.replace(self._name, data):
            self._folder.keep_newest(_MOST_GENERATIONS, self._what)


def generation_of(schema: Mapping[str, Json], today: date) -> str:
    """Returns the digest of all that decides, beside its text, what a file compiles to.

    The calendar takes part by its months: a finding may be about dates that come.
    """
    digest = hashlib.sha256()
    facts = (_FORMAT, __version__, sys.version, digest_of(schema), f"{today:%Y-%m}")
    for fact in (*facts, *_code(Path(package_file).parent), *_surroundings()):
        digest.update(f"{fact}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _code(folder: Path) -> Iterator[str]:
    """Yields size and time of every source file, so that nobody sees findings of older code."""
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.endswith(".py"):
                facts = entry.stat()
                yield f"{entry.path} {facts.st_size} {facts.st_mtime_ns}"
            elif entry.is_dir() and entry.name != "__pycache__":
                folders.append(entry.path)


def _surroundings() -> Iterator[str]:
    """Yields the time of the folders of our libraries and of the time zones.

    An installer that replaces a library or a zone renames something in these folders.
    """
    specs = (find_spec(name) for name in ("jsonschema_rs", "tzdata", "yaml"))
    origins = [spec.origin for spec in specs if spec is not None and spec.origin]
    libraries = {str(Path(origin).parent.parent) for origin in origins}
    for folder in (*sorted(libraries), *zoneinfo.TZPATH):
        try:
            yield f"{folder} {Path(folder).stat().st_mtime_ns}"
        except OSError:
            yield f"{folder} is missing"
