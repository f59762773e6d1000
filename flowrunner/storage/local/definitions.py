"""Effective definitions by their content, in SQLite: each text once, under its digest.

A definition is kept before the execution that names it is accepted, and with a thousand flows due
at the same moment that is a thousand definitions. As rows they share the commits of the writer; as
files each of them took two syncs and a name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping
from functools import partial

from flowrunner.errors import StorageError
from flowrunner.model.digest import canonical_json, digest_of_bytes
from flowrunner.model.ids import Digest, Json
from flowrunner.model.packed import plain
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_PUT = """INSERT INTO definitions (digest, text) VALUES (?, ?)
ON CONFLICT (digest) DO UPDATE SET text = excluded.text WHERE text <> excluded.text"""
_GET = "SELECT text FROM definitions WHERE digest = ?"
_IS_THERE = "SELECT 1 FROM definitions WHERE digest = ?"
_LIST = "SELECT digest FROM definitions ORDER BY digest"
_DELETE = "DELETE FROM definitions WHERE digest = ?"

_log = logging.getLogger(__name__)


class LocalDefinitions:
    """Meets `DefinitionStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._kept: set[Digest] = set()
        self._done: asyncio.Future[None] | None = None
        self._writing: dict[Digest, asyncio.Future[None]] = {}
        self._puts = 0
        self._last_put: dict[Digest, int] = {}

    def put(self, digest: Digest, definition: Mapping[str, Json]) -> asyncio.Future[None]:
        """Writes a definition once in the life of this store, over one that is damaged.

        Those who ask at a time share the write.
        """
        self._puts += 1
        self._last_put[digest] = self._puts
        if digest in self._kept:
            if self._done is None:
                self._done = asyncio.get_running_loop().create_future()
                self._done.set_result(None)
            return self._done
        writing = self._writing.get(digest)
        if writing is None:
            operation = partial(_put, digest=digest, definition=definition)
            writing = self._writing[digest] = self._writer.submit(operation)
            writing.add_done_callback(partial(self._written, digest))
        return asyncio.shield(writing)

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        """Returns the definition whose text has this digest."""
        return await self._readers.run(partial(_get, digest=digest))

    async def list(self) -> list[Digest]:
        """Returns the digests of all rows."""
        return await self._readers.run(_list)

    def mark(self) -> int:
        """Returns how many puts there were."""
        return self._puts

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        """Removes the row; a later `put` is a later write, and so adds it again."""
        if unless_put_since is not None and self._last_put.get(digest, 0) > unless_put_since:
            return
        self._kept.discard(digest)
        self._writing.pop(digest, None)
        self._last_put.pop(digest, None)
        await self._writer.submit(partial(_delete, digest=digest))

    def _written(self, digest: Digest, writing: asyncio.Future[None]) -> None:
        if self._writing.get(digest) is not writing:  # it was removed again
            return
        del self._writing[digest]
        if not writing.cancelled() and writing.exception() is None:
            self._kept.add(digest)


def has_digest(digest: Digest | str, text: str) -> bool:
    """Whether a text is that of the definition with a digest."""
    return digest_of_bytes(text.encode(errors="surrogatepass")) == digest


def require_definition(connection: sqlite3.Connection, digest: Digest) -> None:
    """Raises `StorageError` (``storage.conflict``) where there is no row of this digest."""
    if connection.execute(_IS_THERE, (digest,)).fetchone() is None:
        raise StorageError(f"the definition {digest} is not kept", code="storage.conflict")


def _put(connection: sqlite3.Connection, *, digest: Digest, definition: Mapping[str, Json]) -> None:
    """Runs in the writer's thread, where the text is made: it may have a megabyte."""
    text = canonical_json(plain(definition))
    if digest_of_bytes(text) != digest:
        raise StorageError(f"the definition to keep does not have the digest {digest}")
    connection.execute(_PUT, (digest, text.decode()))


def _get(connection: sqlite3.Connection, *, digest: Digest) -> dict[str, Json] | None:
    row = connection.execute(_GET, (digest,)).fetchone()
    if row is None:
        return None
    (text,) = row
    if not has_digest(digest, text):
        _log.warning("definition_damaged", extra={"digest": digest})
        return None
    definition: dict[str, Json] = json.loads(text)
    return definition


def _list(connection: sqlite3.Connection) -> list[Digest]:
    return [Digest(digest) for (digest,) in connection.execute(_LIST)]


def _delete(connection: sqlite3.Connection, *, digest: Digest) -> None:
    connection.execute(_DELETE, (digest,))
