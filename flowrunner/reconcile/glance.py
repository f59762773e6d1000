"""Looking at a few files again and at nothing else, so that an edit costs the same among many.

Whoever calls it has been told which names have changed since the reading before. It is meant for
edits alone: where a name comes or goes, is claimed by another file, stands for a link or decides
about other files, only a look at everything can say what that means, and there is no answer here.
So a file that is renamed is never taken for one that was deleted, though its names may be told of
one after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import replace

from flowrunner.dataclass import dataclass
from flowrunner.definitions.folder_defaults import DEFAULTS_FILE
from flowrunner.reconcile.file_reader import FileReader
from flowrunner.reconcile.names import is_considered
from flowrunner.reconcile.reading import (
    Known,
    Reading,
    ScannedFile,
    dates_of,
    holds,
    sums_with,
)
from flowrunner.reconcile.tree import Names
from flowrunner.system.files import FileKind, WalkEntry

MOST_NAMES = 1_000
"""Names beyond which a look at everything is no more work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What is new since another reading, of which everything else was taken for granted.

    Attributes:
        before: The files of that reading, by which it is recognised.
        edits: The files that are others now, each after what it was.
    """

    before: tuple[ScannedFile, ...]
    edits: tuple[tuple[ScannedFile, ScannedFile], ...]


def glanced(
    last: Reading, names: Names, paths: Collection[str], reader: FileReader, settled_ns: int
) -> tuple[Reading, Glance] | None:
    """Returns the reading with some names looked at again; None when all must be looked at.

    Args:
        last: The reading before, of a source without links.
        names: The source as it is.
        paths: The names that may have changed; those that were unsure are looked at too.
        reader: Reads and compiles.
        settled_ns: Files written before that cannot be written again under the same facts.

    Raises:
        UnstableSourceError: The source is changing.
        OSError: A name cannot be looked at.
    """
    wanted = last.unsure.union(paths)
    if len(wanted) > MOST_NAMES:
        return None
    found: dict[str, Known] = {}
    for path in sorted(wanted):
        entry, known = names.look(path), last.files.get(path)
        if known is None:
            if _may_matter(path, entry, last.ignored):
                return None
            continue
        if entry is None or entry.stat.kind is not FileKind.FILE:
            return None
        (file,) = reader.files([entry], names.read, last.files, last.above)
        if (file.key, file.candidate.is_foreign) != (
            known.file.key,
            known.file.candidate.is_foreign,
        ):
            return None
        is_settled = entry.stat.mtime_ns < settled_ns
        found[path] = Known(stat=entry.stat, file=file, is_settled=is_settled, above=known.above)
    return _joined(last, found)


def _may_matter(path: str, entry: WalkEntry | None, ignored: tuple[str, ...]) -> bool:
    """Whether a name of which nothing is known may be, or lead to, something that counts."""
    if path.startswith(".") or path.rpartition("/")[2] == DEFAULTS_FILE:
        return True
    if entry is None:
        return False  # what an editor has made and removed
    return entry.stat.kind is not FileKind.FILE or is_considered(entry, ignored)


def _joined(last: Reading, found: Mapping[str, Known]) -> tuple[Reading, Glance]:
    """Puts files in the place of what they were; their names are in the same order."""
    entries, scanned = list(last.entries), list(last.scanned)
    places: list[int] = []
    edits: list[tuple[ScannedFile, ScannedFile]] = []
    for path, known in found.items():
        at = bisect_left(entries, path, key=_path_of_entry)
        entries[at] = entries[at]._replace(stat=known.stat)
        before = last.files[path].file
        if known.file is not before:
            place = bisect_left(scanned, path, key=_path_of_file)
            scanned[place] = known.file
            places.append(place)
            edits.append((before, known.file))
    unsure = last.unsure.union(path for path, known in found.items() if not holds(known))
    unsure = unsure.difference(path for path, known in found.items() if holds(known))
    files = {**last.files, **found}
    after = replace(last, entries=tuple(entries), files=files, unsure=unsure)
    if edits:
        files_now = tuple(scanned)
        after = replace(
            after,
            scanned=files_now,
            sums=sums_with(last.sums, files_now, places),
            dates={**last.dates, **dates_of(new for _, new in edits)},
        )
    return after, Glance(before=last.scanned, edits=tuple(edits))


def _path_of_entry(entry: WalkEntry) -> str:
    return entry.path


def _path_of_file(file: ScannedFile) -> str:
    return file.candidate.file
