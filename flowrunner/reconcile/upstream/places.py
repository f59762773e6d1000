"""Where the files of an execution are: the folder of its flow in the checkout of its revision.

An unchanged flow keeps its version, but the files beside it are those of the newest commit; so an
execution is of the commit that was read last, unless the flow's file was invalid in it: then of the
last one in which it was valid. Which file a flow had in a commit is written down beside the
checkouts before the commit is in force, since flows move.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey, Json, Revision
from flowrunner.reconcile.upstream.checkouts import CURRENT, Checkouts
from flowrunner.reconcile.upstream.repository import is_commit
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.files import Files

_LOG = logging.getLogger(__name__)
_LIMIT = 64 * 1024**2
_FOLDER = "paths"
_LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The flows of one commit.

    Attributes:
        paths: The file of each flow whose version in force this commit has.
        held: The commit whose files each other flow uses.
    """

    paths: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, Revision] = field(default_factory=dict)


_NOTHING = Layout()


class FlowPlaces:
    """Knows which flow is where in which commit.

    Args:
        files: The files of the host.
        folder: The folder of the checkouts.
        checkouts: The revisions that are checked out.
        subfolder: The folder of the flows within a commit.
        registry: What is in force.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        checkouts: Checkouts,
        subfolder: str | None,
        registry: FlowRegistry,
    ) -> None:
        self._files = files
        self._folder = folder / _FOLDER
        self._checkouts = checkouts
        self._subfolder = subfolder or ""
        self._root = folder / CURRENT / self._subfolder
        self._registry = registry
        self._known: dict[Revision, Layout] = {}
        self._latest: tuple[Revision, Layout] | None = None

    @property
    def root(self) -> Path:
        """The folder of the flows, through the link to the commit in place."""
        return self._root

    async def load(self) -> None:
        """Reads where the flows are in the commit in place; before anything is resumed."""
        revision = await asyncio.to_thread(self._load)
        if revision is not None:
            self._latest = (revision, self._layout(revision))

    async def revision_coming(
        self, revision: Revision, entries: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Writes down where the flows are in a commit, before it is in force.

        Raises:
            StorageError: It cannot be kept.
        """
        layout = self._laid_out(entries)
        if self._latest == (revision, layout):
            return
        try:
            await asyncio.to_thread(self._write, revision, layout)
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be written: {error}") from error
        self._known[revision] = layout
        self._latest = (revision, layout)

    def _load(self) -> Revision | None:
        """Reads all that is written down; returns the revision that was last in force."""
        try:
            for revision in self._checkouts.revisions():
                self._known[revision] = self._read(revision)
            text = self._files.read(self._folder / _LATEST, limit=_LIMIT).decode()
        except (OSError, UnicodeDecodeError):
            return None
        return Revision(text) if text in self._known else None

    def _laid_out(self, entries: Mapping[FlowKey, FlowEntry]) -> Layout:
        before, old = self._latest or (Revision(""), _NOTHING)
        paths: dict[str, str] = {}
        held: dict[str, Revision] = {}
        for key, entry in entries.items():
            name = str(key)
            if _is_current(entry):
                paths[name] = entry.path
            elif name in old.held:
                held[name] = old.held[name]
            elif name in old.paths:
                held[name] = before
        return Layout(paths=paths, held=held)

    def revision_of(self, entry: FlowEntry) -> Revision:
        """Returns the commit of an execution of the version in force that is created now."""
        if self._latest is None:
            return entry.revision
        revision, layout = self._latest
        name = str(entry.key)
        if name in layout.paths:
            return revision
        return layout.held.get(name, entry.revision)

    def folder_of(self, execution: Execution) -> Path:
        """Returns `$FLOW_DIR`."""
        revision, name = execution.revision, str(execution.flow)
        top = self._checkouts.folder_of(revision) / self._subfolder
        if not self.is_pinned(execution):
            top = self._root
        path = self._layout(revision).paths.get(name)
        entry = self._registry.get(execution.flow)
        if path is None and entry is not None:
            path = entry.path
        return (top / path).parent if path else top

    def is_pinned(self, execution: Execution) -> bool:
        """Whether the files of its commit are there."""
        return self._checkouts.has(execution.revision)

    def covers(self, execution: Execution) -> bool:
        """Whether an execution has the files of its commit, or had them until it ended.

        A commit stays while executions of it have not ended. But one that retries an older one may
        have found it gone; so of a retry that has ended that is known only as long as it is there.
        """
        is_first = execution.retry_of is None
        was_pinned = execution.state.is_final and is_first and is_commit(execution.revision)
        return was_pinned or self.is_pinned(execution)

    def held(self) -> set[Revision]:
        """Returns the commits that flows in force use, besides the newest."""
        return set(self._latest[1].held.values()) if self._latest else set()

    def tidy(self) -> None:
        """Removes what is written down of commits that are gone; blocks."""
        if self._files.stat(self._folder) is None:
            return
        kept = {_LATEST, *(f"{revision}.json" for revision in self._checkouts.revisions())}
        for name in self._files.names(self._folder):
            if name not in kept:
                self._files.remove(self._folder / name)
        for revision in [each for each in self._known if f"{each}.json" not in kept]:
            self._known.pop(revision, None)

    def _layout(self, revision: Revision) -> Layout:
        return self._known.get(revision, _NOTHING)

    def _read(self, revision: Revision) -> Layout:
        try:
            data = json.loads(self._files.read(self._folder / f"{revision}.json", limit=_LIMIT))
            return Layout(paths=_texts(data["paths"]), held=_texts(data["held"]))
        except FileNotFoundError:
            return Layout()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOG.warning("source.paths_lost revision=%s: %r", revision, error)
            return Layout()

    def _write(self, revision: Revision, layout: Layout) -> None:
        data = {"paths": dict(layout.paths), "held": dict(layout.held)}
        self._files.replace(self._folder / f"{revision}.json", json.dumps(data).encode())
        self._files.replace(self._folder / _LATEST, revision.encode())
        self._files.sync(self._folder)


def _is_current(entry: FlowEntry) -> bool:
    """Whether the version in force is what its file says now."""
    is_broken = any(finding.is_error for finding in entry.findings)
    return entry.spec is not None and not is_broken


def _texts(data: Json) -> dict[str, Revision]:
    return {str(key): Revision(str(value)) for key, value in data.items()}
