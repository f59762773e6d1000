"""What files compiled to, kept from one life of a daemon to the next: a restart compiles nothing.

An entry is found by everything that its file compiles from; what the code adds to that is the
generation, of which each has a store of its own (`flowrunner.daemon.validate_cache`). It holds the
findings, the digest and the gist of the flow, and is used when the flow of that digest is in force
already, restored from its record. JSON, since a file in a cache must never be code.

A file that was seen long enough after its last write is also found by its facts, unread. The form
of an entry is `flowrunner.definitions.warm_lines`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

from flowrunner.definitions.ahead import CrewAhead
from flowrunner.definitions.ahead_wire import Ask
from flowrunner.definitions.cache_lines import Store, checked_lines, key_of, sealed
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Compiler
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.late_flow import flow_of_gist, packed_flow, restored_flow
from flowrunner.definitions.seen import Seen
from flowrunner.definitions.warm_lines import (
    Entry,
    Line,
    ReadFile,
    Version,
    around_of,
    facts_key,
    line_of,
)
from flowrunner.errors import FlowError
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.packed import PackedDefinition, packed_definition
from flowrunner.system.crew import NO_CREW
from flowrunner.system.files import FileStat

__all__ = ["Version", "WarmReader"]

T = TypeVar("T")

NOTHING_SEEN: Mapping[str, Seen] = {}


class WarmReader:
    """Compiles what it does not know from the life before, and keeps flows without their nodes.

    Args:
        compiler: Compiles what is not known.
        catalog: The node types that `compiler` compiles with.
        store: Where entries come from and go to.
        in_force: Returns the version of a flow that is in force, or None.
        ahead: Compiles many files before they are read.
    """

    def __init__(
        self,
        compiler: Compiler,
        catalog: NodeCatalog,
        store: Store,
        in_force: Callable[[FlowKey], Version | None],
        ahead: CrewAhead | None = None,
    ) -> None:
        self._compiler = compiler
        self._ahead = ahead or CrewAhead(NO_CREW)
        self._catalog = catalog
        self._store = store
        self._in_force = in_force
        self._kept: Mapping[bytes, Line] = {}
        self._good: Mapping[bytes, Line] = {}
        self._seen: Mapping[bytes, Line] = {}
        self._read: dict[str, ReadFile] = {}
        self._gists: dict[str, bytes] = {}
        self._is_changed = False
        self._saved_facts: AbstractSet[bytes] = frozenset()

    def load(self) -> None:
        """Reads what was kept; blocks. A store that is damaged counts as empty."""
        texts = checked_lines(self._store.load() or b"")
        lines = [line for text in texts if (line := line_of(text)) is not None]
        self._kept = {line.key: line for line in lines}
        self._good = {line.digest: line for line in lines if line.digest}
        self._seen = {line.facts: line for line in lines if line.facts}
        self._saved_facts = frozenset(self._seen)

    def save(self, files: Collection[str], seen: Mapping[str, Seen] = NOTHING_SEEN) -> None:
        """Keeps what these files compiled to, if it is not kept yet; blocks.

        From then on nothing is known any more of the life before, unless nothing was read yet.

        Args:
            files: All that are of interest.
            seen: Those that a later life may recall by their facts.
        """
        is_changed, self._is_changed = self._is_changed, False  # first: a pass may go on meanwhile
        read = list(self._read.items())
        if not read:
            return
        gone = [file for file, _ in read if file not in files]
        for file in gone:
            self._read.pop(file, None)
        gists, self._gists = self._gists, {}
        entries = [
            Entry(file, it, _found(it, seen.get(file)), _gist_of(it, gists)) for file, it in read
        ]
        facts = {entry.facts for entry in entries} - {b""}
        if is_changed or gone or len(read) < len(self._kept) or not facts <= self._saved_facts:
            left = set(gone)
            self._store.save(sealed(entry.text for entry in entries if entry.file not in left))
            self._saved_facts = facts
        self._kept, self._good, self._seen = {}, {}, {}

    def restore(self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]) -> Version:
        """Returns the version of a definition that was kept; see `Compiler.restore`."""
        line = self._good.get(digest.encode())
        if line is None:
            whole = self._compiler.restore(key, digest, definition)
            return Version(*packed_flow(*whole, self._catalog))
        return self._restored(key, digest, packed_definition(definition), line.gist)

    def _restored(
        self, key: FlowKey, digest: Digest, definition: PackedDefinition, gist: bytes
    ) -> Version:
        spec = self._of_gist(key, digest, definition, gist) if gist else None
        if spec is not None:
            return Version(spec, definition)
        return Version(*restored_flow(key, digest, definition, self._catalog))

    def _of_gist(
        self, key: FlowKey, digest: Digest, definition: PackedDefinition, gist: bytes
    ) -> FlowSpec | None:
        try:
            return flow_of_gist(key, digest, definition, gist, self._catalog)
        except (FlowError, *_NO_SENSE):
            return None

    def content_of(self, digest: Digest) -> str:
        """Returns the content of a file without findings that compiled to a flow, if known."""
        line = self._good.get(digest.encode())
        return line.content.decode() if line is not None and line.is_clean else ""

    def recall(self, file: str, stat: FileStat, *, account: str, layers: Layers) -> Seen | None:
        """Returns what an earlier life has seen of a file whose facts are the same."""
        if not self._seen:  # as at a first start, and in every pass but the first
            return None
        around = around_of(file, account, layers)
        line = self._seen.get(facts_key(stat, around))
        candidate = None if line is None else self._known(line, file, account)
        if line is None or candidate is None:
            return None
        self._read[file] = ReadFile(line.key, candidate, around)
        return Seen(stat, line.content.decode(), candidate)

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate of a file; see `Compiler.read`."""
        around = around_of(file, account, layers)
        key = key_of((data, *around))
        line = self._kept.get(key)
        candidate = None if line is None else self._known(line, file, account)
        if candidate is None:
            candidate = self._compiled(key, file, account) or self._compiler.read(
                data, file=file, account=account, layers=layers, make=self._made
            )
            self._is_changed = True
        self._read[file] = ReadFile(key, candidate, around)
        return candidate

    def through(
        self, items: Iterable[T], ask_of: Callable[[T], Ask | None], count: int
    ) -> Iterator[T]:
        """Has files compiled ahead that are not known; see `Ahead.through`."""

        def unknown(item: T) -> Ask | None:
            ask = ask_of(item)
            return None if ask is None or (self._kept and ask.key in self._kept) else ask

        return self._ahead.through(items, unknown, count)

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says, compiled each time: there are few."""
        return self._compiler.read_defaults(data, file=file)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether the file would compile to the same now."""
        return self._compiler.is_current(candidate)

    def _made(
        self, key: FlowKey, digest: Digest, definition: Mapping[str, Json], gist: bytes = b""
    ) -> Version:
        """Returns a flow as it is kept; of a version in force there are no two."""
        known = self._in_force(key)
        if known is not None and known.spec.digest == digest:
            return known
        return self._restored(key, digest, packed_definition(definition), gist)

    def _known(self, line: Line, file: str, account: str) -> Candidate | None:
        """Returns the candidate of an entry; None if it makes no sense or its flow is not there."""
        try:
            version = None
            if line.digest:
                version = self._in_force(FlowKey(account, line.name.decode()))
                if version is None or version.spec.digest != line.digest.decode():
                    return None
            return line.candidate(file, version)
        except _NO_SENSE:
            return None

    def _compiled(self, key: bytes, file: str, account: str) -> Candidate | None:
        """Returns the candidate of a file that was compiled ahead; None if it was not."""
        found = self._ahead.take(file, key)
        if found is None:
            return None
        line, version = found.line, None
        try:
            if line.digest:
                flow, digest = FlowKey(account, line.name.decode()), Digest(line.digest.decode())
                packed = PackedDefinition(found.definition, keep_lines=True)
                version = self._made(flow, digest, packed, line.gist)
                self._gists[digest] = line.gist
            return line.candidate(file, version)
        except (FlowError, *_NO_SENSE):
            return None


_NO_SENSE = (TypeError, ValueError, KeyError, AttributeError, RecursionError)
"""What data of an unknown form raises."""


def _gist_of(read: ReadFile, gists: Mapping[str, bytes]) -> bytes | None:
    """Returns the gist of the flow that a file compiled to, if somebody has made it."""
    spec = read.candidate.spec
    return None if spec is None else gists.get(spec.digest)


def _found(read: ReadFile, seen: Seen | None) -> Seen | None:
    """Returns what was seen of a file if it is this reading that was seen."""
    return seen if seen is not None and seen.candidate is read.candidate else None
