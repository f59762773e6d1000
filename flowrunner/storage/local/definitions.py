"""Effective definitions by their content: `definitions/<64 hex digits>.json`.

A file holds the canonical text, so its name is its own `sha256sum`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.model.digest import PREFIX, canonical_json, digest_of_bytes
from flowrunner.model.ids import Digest, Json
from flowrunner.model.packed import plain
from flowrunner.storage.local.disk import below, in_thread, read_steadily
from flowrunner.system.files import Files

_SUFFIX = ".json"

_log = logging.getLogger(__name__)


class LocalDefinitions:
    """Meets `DefinitionStore`."""

    def __init__(self, state: Path, files: Files) -> None:
        self._root = state / "definitions"
        self._files = files
        self._kept: set[Digest] = set()
        self._writing: dict[Digest, asyncio.Future[None]] = {}
        self._removing: dict[Digest, asyncio.Future[None]] = {}
        self._puts = 0
        self._last_put: dict[Digest, int] = {}

    async def put(self, digest: Digest, definition: Mapping[str, Json]) -> None:
        """Writes a definition once in the life of this store.

        A file from an earlier life is written again: it may be damaged, or not have reached
        the disk before a crash. Those who ask at a time share the write, which waits for a removal
        under way.
        """
        self._puts += 1
        self._last_put[digest] = self._puts
        while (removing := self._removing.get(digest)) is not None:
            await asyncio.wait([removing])
        if digest in self._kept:
            return
        writing = self._writing.get(digest)
        if writing is None:
            work = in_thread(partial(self._write, digest, definition))
            writing = self._writing[digest] = asyncio.ensure_future(work)
            writing.add_done_callback(partial(self._written, digest))
        await asyncio.shield(writing)

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        """Returns the definition whose text has this digest."""
        return await in_thread(partial(self._read, digest))

    async def list(self) -> list[Digest]:
        """Returns what the files are called."""
        names = await in_thread(self._names)
        stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
        return [Digest(f"{PREFIX}{stem}") for stem in stems]

    def mark(self) -> int:
        """Returns how many puts there were."""
        return self._puts

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        """Removes the file; a later `put` writes it again."""
        if unless_put_since is not None and self._last_put.get(digest, 0) > unless_put_since:
            return
        while (busy := self._writing.get(digest) or self._removing.get(digest)) is not None:
            await asyncio.wait([busy])
        self._kept.discard(digest)
        self._last_put.pop(digest, None)
        work = in_thread(partial(self._files.remove, self._path(digest)))
        removing = self._removing[digest] = asyncio.ensure_future(work)
        removing.add_done_callback(partial(self._removed, digest))
        await asyncio.shield(removing)

    def _removed(self, digest: Digest, removing: asyncio.Future[None]) -> None:
        del self._removing[digest]
        if not removing.cancelled():
            removing.exception()  # told to who asked, if that one still waits

    def _written(self, digest: Digest, writing: asyncio.Future[None]) -> None:
        del self._writing[digest]
        if not writing.cancelled() and writing.exception() is None:
            self._kept.add(digest)

    def _names(self) -> Sequence[str]:
        try:
            return self._files.names(self._root)
        except FileNotFoundError:
            return []

    def _path(self, digest: Digest) -> Path:
        return below(self._root, f"{digest.removeprefix(PREFIX)}{_SUFFIX}")

    def _write(self, digest: Digest, definition: Mapping[str, Json]) -> None:
        text = canonical_json(plain(definition))
        if digest_of_bytes(text) != digest:
            raise StorageError(f"the definition to keep does not have the digest {digest}")
        self._files.replace_durably(self._path(digest), text)

    def _read(self, digest: Digest) -> dict[str, Json] | None:
        path = self._path(digest)
        try:
            text = read_steadily(self._files, path)
        except FileNotFoundError:
            return None
        if digest_of_bytes(text) != digest:
            _log.warning("definition_damaged", extra={"digest": digest, "path": str(path)})
            return None
        definition: dict[str, Json] = json.loads(text)
        return definition
