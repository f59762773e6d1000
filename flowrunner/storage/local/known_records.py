"""The last good definitions once more, in one file: a start opens none that it knows by its facts.

A record is taken from here when its own file has the facts that it had when it was read and
checked: size, times, inode and device. The time of change is among them, which no program sets
back, so what a person or a fault of a program did to the file is found at once. What changes no
fact, such as a fault of the disk, is found by whoever reads the files again after the start.

Here stand the fields of each record between tabs, a line for each, and behind an empty line the
definitions as they are written in their files, in the same order; all of it under one hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.model.packed import PackedDefinition, laid_out
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.system.files import FileKind, FileStat

_HEAD = b"flowrunner records 2 "
"""Before the hash; the number is raised when the form changes."""

_SETTLED_NS = 100_000_000
"""Within this after a change another one may show the same times, on a disk that has fine ones."""

_SECOND_NS = 1_000_000_000
_FIELDS = 9
"""Of a line: facts, account, name, path, revision, digest, generation, time, bytes that follow."""


class Known(NamedTuple):
    """A record and the facts of its file, as text."""

    facts: str
    record: FlowRecord


class _Place(NamedTuple):
    """The fields of a record, and where its definition stands."""

    fields: list[str]
    start: int
    end: int


class KnownRecords:
    """What is remembered; reads a record when it is asked for. A damaged memory is empty."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self._places = dict(_places(data))

    def __len__(self) -> int:
        """Returns how many records there are."""
        return len(self._places)

    def get(self, key: FlowKey, facts: str) -> FlowRecord | None:
        """Returns the record of a file with these facts; None if its file must be read."""
        place = self._places.get(key)
        if place is None or not facts or place.fields[0] != facts:
            return None
        _, _, _, path, revision, digest, generation, at, _ = place.fields
        definition = self._data[place.start : place.end]
        return FlowRecord(
            key=key,
            path=path,
            revision=Revision(revision),
            digest=Digest(digest),
            definition=PackedDefinition(definition, keep_lines=True),
            generation=int(generation),
            updated_at=datetime.fromisoformat(at),
        )


def facts_of(stat: FileStat | None) -> str:
    """Returns the facts of a file as text; empty where they could not tell of a change.

    That is so where there is no time of change, or only whole seconds of it.
    """
    if stat is None or stat.kind is not FileKind.FILE or not stat.ctime_ns % _SECOND_NS:
        return ""
    return " ".join(map(str, stat[1:]))


def is_settled(stat: FileStat, now: datetime) -> bool:
    """Whether another change from now on shows other facts."""
    newest_ns = max(stat.mtime_ns, stat.ctime_ns)
    return newest_ns < now.timestamp() * _SECOND_NS - _SETTLED_NS


def known_text(records: Iterable[Known]) -> bytes:
    """Returns the file of records; those with a name that fits into no line are left out."""
    told = [(line, text) for line, text in map(_told, records) if line.count(b"\t") == _FIELDS - 1]
    lines, texts = (b"".join(each[at] + b"\n" for each in told) for at in (0, 1))
    rest = lines + b"\n" + texts
    return _HEAD + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def _told(known: Known) -> tuple[bytes, bytes]:
    """Returns the line of a record, and its definition."""
    record, definition = known.record, laid_out(known.record.definition)
    number, at, size = str(record.generation), record.updated_at.isoformat(), str(len(definition))
    told = (*record.key, record.path, record.revision, record.digest, number, at, size)
    line = "\t".join((known.facts, *told))
    return b"" if "\n" in line else line.encode(errors="surrogatepass"), definition


def _places(data: bytes) -> Iterator[tuple[tuple[str, str], _Place]]:
    """Yields the records of a file by account and name; none if it is not whole."""
    start = data.find(b"\n") + 1
    if (
        data[:start]
        != _HEAD + hashlib.sha256(memoryview(data)[start:]).hexdigest().encode() + b"\n"
    ):
        return
    end = data.index(b"\n\n", start - 1)  # also where there is no line
    lines = data[start:end].decode(errors="surrogatepass")
    at = end + 2
    for line in lines.split("\n") if lines else ():
        fields = line.split("\t")
        size = int(fields[-1])
        yield (fields[1], fields[2]), _Place(fields, at, at + size)
        at += size + 1
