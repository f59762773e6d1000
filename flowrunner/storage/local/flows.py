"""The last good definitions as files: `registry/<account>/<flow>/definition.json`.

Readable, so that a person can see what the daemon runs; checked by digest when read, so that
a damaged file is never armed. What `list` knows of one by its facts alone is read after the start
(`flowrunner.storage.local.known_records`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.model.ids import FlowKey
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.local.disk import below, file_name, in_thread, read_steadily
from flowrunner.storage.local.known_records import (
    Known,
    KnownRecords,
    facts_of,
    is_settled,
    known_text,
)
from flowrunner.storage.local.record_codec import left_of, left_text, record_of, record_text
from flowrunner.system.clock import Clock
from flowrunner.system.files import FileKind, Files, FileStat

_FILE = "definition.json"
LEFT = "left.json"
"""The flows that have left without approval, beside the folders of the accounts."""
KNOWN = "known.records"
"""What is remembered of the records, likewise; may be removed at any time."""
_MOST_KNOWN_BYTES = 256 << 20
_AT_ONCE = 50
"""Records that are read again, or written, in one go."""
_MANY = 500
"""Records of an account from which on their folders are made ahead."""
_FEW = 4
"""Updates up to which each is synced by itself."""
_IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)

_log = logging.getLogger(__name__)


class LocalFlows:
    """Meets `FlowStore`; each change is one rename, `sync` makes them last together."""

    def __init__(self, state: Path, files: Files, clock: Clock) -> None:
        self._state = state
        self._root = state / "registry"
        self._files = files
        self._clock = clock
        self._change = threading.Lock()  # looking and writing are one moment for other changes
        self._unsynced: dict[Path, bytes] | None = None
        """Files that were updated since the last sync; None when more than that may be missing."""
        self._unread: list[FlowKey] = []
        """Records that were taken from memory, whose files nobody has read in this life."""
        self._is_remembered = False

    async def create(self, record: FlowRecord) -> None:
        """Adds a record that does not exist yet."""
        await in_thread(partial(self._write, record, expected=False))

    async def get(self, key: FlowKey) -> FlowRecord | None:
        """Returns a whole record, or None."""
        return await in_thread(partial(self._read, key))

    async def update(self, record: FlowRecord) -> None:
        """Replaces a record that exists."""
        await in_thread(partial(self._write, record, expected=True))

    async def put(self, records: Sequence[FlowRecord]) -> None:
        """Keeps records, one after the other in one thread: several would wait for each other."""
        await in_thread(partial(self._put, records))

    async def delete(self, key: FlowKey) -> None:
        """Removes the flow's folder."""
        await in_thread(partial(self._remove, key))

    async def list(self, account: str | None = None) -> list[FlowRecord]:
        """Returns the whole records, sorted by key; the damaged ones go to the log."""
        return list(await in_thread(partial(self._read_all, account)))

    async def read_again(self) -> frozenset[FlowKey]:
        """Reads the files that `list` has not read, some at a time; returns the damaged ones."""
        keys, self._unread = self._unread, []
        found = set[FlowKey]()
        for at in range(0, len(keys), _AT_ONCE):
            found |= await in_thread(partial(self._damaged, keys[at : at + _AT_ONCE]))
        return frozenset(found)

    async def remember(self) -> None:
        """Writes down what the files hold, with their facts, unless that is as it was."""
        if not self._is_remembered:
            with suppress(StorageError):
                await in_thread(self._remember)

    async def left(self) -> frozenset[FlowKey]:
        """Returns the flows that have left."""
        return await in_thread(self._read_left)

    async def put_left(self, keys: frozenset[FlowKey]) -> None:
        """Keeps the flows that have left: `registry/left.json`."""
        await in_thread(partial(self._write_left, keys))

    async def sync(self) -> None:
        """Brings every change so far to the disk.

        A few updates are written once more, durably: to sync the whole file system takes as long
        as everything that others have written to it.
        """
        await in_thread(self._sync)

    def _sync(self) -> None:
        with self._change:
            few, self._unsynced = self._unsynced, None  # until it is known to have worked
            if few is None:
                self._files.sync(self._state)
            else:
                for path, data in few.items():
                    self._files.replace_durably(path, data)
            self._unsynced = {}

    def _read_left(self) -> frozenset[FlowKey]:
        path = self._root / LEFT
        try:
            return left_of(read_steadily(self._files, path))
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("left_flows_damaged", extra={"path": str(path), "error": str(error)})
            return frozenset()

    def _write_left(self, keys: frozenset[FlowKey]) -> None:
        self._files.replace_durably(self._root / LEFT, left_text(keys))

    def _folder(self, key: FlowKey) -> Path:
        return below(self._root, key.account, key.name)

    def _path(self, key: FlowKey) -> Path:
        return below(self._root, key.account, key.name, _FILE)

    def _write(self, record: FlowRecord, *, expected: bool) -> None:
        path = self._path(record.key)
        data = record_text(record)
        with self._change:
            exists = self._files.stat(path) is not None
            if exists is not expected:
                state = "exists already" if exists else "does not exist"
                raise StorageError(f"the flow {record.key} {state}", code="storage.conflict")
            self._replace(path, data, is_known=exists)

    def _put(self, records: Sequence[FlowRecord]) -> None:
        if len(records) <= _FEW:
            for record in records:
                path, data = self._path(record.key), record_text(record)
                with self._change:
                    self._replace(path, data, is_known=self._files.stat(path) is not None)
            return
        by_account: dict[str, list[FlowRecord]] = {}
        for record in records:
            by_account.setdefault(record.key.account, []).append(record)
        for account, some in by_account.items():
            with self._folders_ahead(account, some):
                for at in range(0, len(some), _AT_ONCE):
                    self._put_many(account, some[at : at + _AT_ONCE])

    def _folders_ahead(
        self, account: str, records: Sequence[FlowRecord]
    ) -> AbstractContextManager[None]:
        """Has the folders of many records made meanwhile: most are new at a first start alone."""
        if len(records) < _MANY:
            return nullcontext()
        names = [file_name(record.key.name) for record in records]
        return self._files.folders_ahead(below(self._root, account), names)

    def _put_many(self, account: str, records: Sequence[FlowRecord]) -> None:
        """Keeps some records of one account; nobody else waits for ten thousand."""
        contents = {file_name(record.key.name): record_text(record) for record in records}
        folder = below(self._root, account)
        with self._change:
            self._is_remembered, self._unsynced = False, None
            try:
                self._files.replace_each(folder, _FILE, contents)
            except _IN_THE_WAY:
                for name, data in contents.items():
                    self._replace(folder / name / _FILE, data, is_known=False)

    def _replace(self, path: Path, data: bytes, *, is_known: bool) -> None:
        """Writes a record and takes note of what `sync` is to do; holds `_change`."""
        self._is_remembered = False
        is_small = self._unsynced is not None and len(self._unsynced) < _FEW
        if not is_known or not is_small:
            self._unsynced = None  # a new record has a new folder
        elif self._unsynced is not None:
            self._unsynced[path] = data
        try:
            self._files.replace(path, data)
        except _IN_THE_WAY:
            self._clear_the_way(path)
            self._files.replace(path, data)

    def _clear_the_way(self, path: Path) -> None:
        """Removes what is no folder where one must be, and a folder where the file must be.

        Nobody but the daemon has anything to keep here, and one such place would fail every pass.
        """
        for place in (path.parent.parent, path.parent, path):
            facts = self._files.stat(place)
            if facts is not None and (facts.kind is FileKind.FOLDER) == (place == path):
                _log.warning("flow_record_in_the_way", extra={"path": str(place)})
                self._files.remove_tree(place)

    def _remove(self, key: FlowKey) -> None:
        folder = self._folder(key)
        with self._change:
            self._unsynced, self._is_remembered = None, False
            self._files.remove(folder / _FILE)  # first: half a folder is no flow
            self._files.remove_tree(folder)

    def _read(self, key: FlowKey) -> FlowRecord | None:
        """Reads and checks a record; a damaged one is logged and counts as missing."""
        path = self._path(key)
        try:
            record = record_of(read_steadily(self._files, path))
            if record.key != key:
                raise ValueError(f"it is the record of {record.key}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning(
                "flow_record_damaged",
                extra={"flow": str(key), "path": str(path), "error": str(error)},
            )
            return None
        return record

    def _read_all(self, account: str | None) -> Sequence[FlowRecord]:
        known = KnownRecords() if account is not None else self._known()
        found = (
            self._recalled(key, known, stat) or self._read(key)
            for key, stat in self._files_of(account)
        )
        records = [record for record in found if record is not None]
        self._is_remembered = len(self._unread) == len(records) == len(known)
        return records

    def _recalled(
        self, key: FlowKey, known: KnownRecords, stat: FileStat | None
    ) -> FlowRecord | None:
        record = known.get(key, facts_of(stat))
        if record is not None:
            self._unread.append(key)
        return record

    def _files_of(self, account: str | None) -> Iterator[tuple[FlowKey, FileStat | None]]:
        """Yields the flows that have a folder, sorted, with the facts of the file in it."""
        accounts = self._names(self._root) if account is None else [account]
        for each in sorted(accounts):
            folder = below(self._root, each)
            names = self._names(folder)  # sorted, and made of one part each
            stats = self._files.stats(folder, [f"{name}/{_FILE}" for name in names])
            yield from (
                (FlowKey(each, name), stat) for name, stat in zip(names, stats, strict=True)
            )

    def _damaged(self, keys: Sequence[FlowKey]) -> set[FlowKey]:
        return {key for key in keys if self._read(key) is None}

    def _known(self) -> KnownRecords:
        """Returns what is remembered; nothing if that cannot be read."""
        try:
            return KnownRecords(self._files.read(self._root / KNOWN, limit=_MOST_KNOWN_BYTES))
        except (OSError, ValueError, LookupError):
            return KnownRecords()

    def _remember(self) -> None:
        """Reads the files that changed since they were remembered, and remembers all that hold."""
        self._is_remembered = True  # first: a record may change meanwhile
        known, now = self._known(), self._clock.now()
        kept = [
            Known(facts, record)
            for key, stat in self._files_of(None)
            if stat is not None
            and (facts := facts_of(stat))
            and is_settled(stat, now)
            and (record := known.get(key, facts) or self._read_unchanged(key, stat)) is not None
        ]
        text = known_text(kept)
        if len(text) <= _MOST_KNOWN_BYTES:
            self._files.replace(self._root / KNOWN, text)

    def _read_unchanged(self, key: FlowKey, stat: FileStat) -> FlowRecord | None:
        record = self._read(key)
        return record if self._files.stat(self._path(key)) == stat else None

    def _names(self, folder: Path) -> Sequence[str]:
        try:
            return self._files.names(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
