"""The first reading of a life: which files need not be read, because an earlier life has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from flowrunner.definitions.seen import Recalls, Seen
from flowrunner.reconcile.folders import LayersOf
from flowrunner.reconcile.reading import Known, ScannedFile, holds
from flowrunner.system.files import WalkEntry


def recalled(
    recalls: Recalls,
    entries: Iterable[WalkEntry],
    above: LayersOf,
    account_of: Callable[[str], str | None],
    settled_ns: int,
) -> Iterator[tuple[str, Known]]:
    """Yields the files that are as an earlier life has seen them; names to be refused are not."""
    for entry in entries:
        account = account_of(entry.path)
        if account is None:
            continue
        layers = above(entry.path)
        seen = recalls.recall(entry.path, entry.stat, account=account, layers=layers)
        if seen is not None:
            yield (
                entry.path,
                Known(
                    stat=entry.stat,
                    file=ScannedFile(
                        content=seen.content, candidate=seen.candidate, account=account
                    ),
                    is_settled=entry.stat.mtime_ns < settled_ns,
                    above=layers.fingerprint,
                ),
            )


def seen_in(files: Mapping[str, Known]) -> dict[str, Seen]:
    """Returns what a later life may recall of a reading."""
    return {
        path: Seen(known.stat, known.content, known.file.candidate)
        for path, known in files.items()
        if holds(known)
    }
