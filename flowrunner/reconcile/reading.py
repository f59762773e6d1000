"""What a reading of the source leaves for the next one: which files are known, and since when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import date
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import FolderDefaults
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Revision
from flowrunner.reconcile.folders import LayersOf
from flowrunner.system.files import FileStat, WalkEntry

_TOGETHER = 64
"""Files in one hash: about as many as give the fewest bytes to be hashed for an edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """A file and what it compiled to.

    Attributes:
        content: SHA-256 of its bytes, and of the defaults above it if there are any; empty if
            unread.
        account: Whose folder it lies in; None if the settings map no such folder.
    """

    content: str
    candidate: Candidate
    account: str | None = DEFAULT_ACCOUNT

    @property
    def key(self) -> FlowKey | None:
        """The flow that it claims to be; None if it says none, or may not be one."""
        name = self.candidate.name
        return None if self.account is None or name is None else FlowKey(self.account, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A file as last read; settled when its time stamp can no longer hide another write.

    Attributes:
        above: Fingerprint of the defaults above it.
    """

    stat: FileStat
    file: ScannedFile
    is_settled: bool
    above: str

    @property
    def content(self) -> str:
        """Hash of what was read; empty if nothing was."""
        return self.file.content


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDefaults:
    """A `_defaults.yaml` as last read."""

    stat: FileStat
    found: FolderDefaults
    is_settled: bool

    @property
    def content(self) -> str:
        """Hash of what was read; empty if nothing was."""
        return self.found.content

    def still_holds(self, stat: FileStat) -> bool:
        """Whether nothing changed."""
        return self.stat == stat and holds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the last whole reading found, and what was seen since, by which the next one is short.

    Attributes:
        ignored: The patterns of the ignore file.
        scanned: The files, in order of their paths.
        found: Every `_defaults.yaml`, the same object as long as they say the same.
        above: The defaults above each path.
        unsure: The files of which equal facts do not mean equal content.
        is_sure_above: Whether there are no such defaults.
        dates: The months by which some file was judged, each with one of those files.
        sums: Hashes over the files, some together; see `sums_of`.
        is_plain: Whether a name stands for one file in a folder, so that it can be looked at alone.
    """

    root: Path
    entries: tuple[WalkEntry, ...] = ()
    ignored: tuple[str, ...] = ()
    files: Mapping[str, Known] = field(default_factory=dict)
    defaults: Mapping[str, KnownDefaults] = field(default_factory=dict)
    scanned: tuple[ScannedFile, ...] = ()
    found: tuple[FolderDefaults, ...] = ()
    above: LayersOf = field(default_factory=lambda: LayersOf(()))
    unsure: frozenset[str] = frozenset()
    is_sure_above: bool = False
    dates: Mapping[date, Candidate] = field(default_factory=dict)
    sums: tuple[bytes, ...] = ()
    is_plain: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether equal facts mean equal content for every one of them."""
        return self.is_sure_above and not self.unsure

    @property
    def folder_revision(self) -> Revision:
        """The revision of a folder without git: a hash over all paths and contents."""
        return Revision(f"sha256:{hashlib.sha256(b''.join(self.sums)).hexdigest()}")


def sums_of(files: Sequence[ScannedFile]) -> tuple[bytes, ...]:
    """Returns the hashes that `folder_revision` is made of, each over a few files in their order.

    So an edit costs one of them, and not the hash of ten thousand files.
    """
    return tuple(sum_at(files, at) for at in range(0, len(files), _TOGETHER))


def sum_at(files: Sequence[ScannedFile], at: int) -> bytes:
    """Returns the hash over the files that are summed up with the one at this place."""
    first = at - at % _TOGETHER
    together = files[first : first + _TOGETHER]
    text = "".join(f"{file.candidate.file}\0{file.content}\0" for file in together)
    return hashlib.sha256(text.encode(errors="replace")).digest()


def sums_with(
    sums: tuple[bytes, ...], files: Sequence[ScannedFile], places: Iterable[int]
) -> tuple[bytes, ...]:
    """Returns the hashes of files of which those at some places are others than before."""
    new = list(sums)
    for at in {place - place % _TOGETHER for place in places}:
        new[at // _TOGETHER] = sum_at(files, at)
    return tuple(new)


def dates_of(files: Iterable[ScannedFile]) -> dict[date, Candidate]:
    """Returns the months by which files were judged."""
    found = ((file.candidate.as_of, file.candidate) for file in files)
    return {as_of: candidate for as_of, candidate in found if as_of is not None}


def holds(known: Known | KnownDefaults) -> bool:
    """Whether equal facts mean equal content; what could not be read is tried again."""
    return known.is_settled and bool(known.content)
