"""What a reading of the source leaves for the next one: which files are known, and since when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import FolderDefaults
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Revision
from flowrunner.registry.entry import NO_REVISION
from flowrunner.system.files import FileStat, WalkEntry


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
    """What the last whole reading found, by which the next one is short.

    Attributes:
        ignored: The patterns of the ignore file.
        scanned: The files, in order of their paths.
        is_settled: Whether equal facts mean equal content for every one of them.
    """

    root: Path
    entries: tuple[WalkEntry, ...] = ()
    ignored: tuple[str, ...] = ()
    files: Mapping[str, Known] = field(default_factory=dict)
    defaults: Mapping[str, KnownDefaults] = field(default_factory=dict)
    scanned: tuple[ScannedFile, ...] = ()
    folder_revision: Revision = NO_REVISION
    is_settled: bool = False


def folder_revision(files: Iterable[ScannedFile]) -> Revision:
    """Returns the revision of a folder without git: a hash over all paths and contents."""
    text = "".join(f"{file.candidate.file}\0{file.content}\0" for file in files)
    return Revision(f"sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()}")


def holds(known: Known | KnownDefaults) -> bool:
    """Whether equal facts mean equal content; what could not be read is tried again."""
    return known.is_settled and bool(known.content)
