"""What files compiled to, kept from one life of a daemon to the next: a restart compiles nothing.

An entry is found by everything that its file compiles from; what the code adds to that is the
generation, of which each has a store of its own (`flowrunner.daemon.validate_cache`). It holds the
findings and the digest, and is used when the flow of that digest is in force already, restored
from its record. JSON, since a file in a cache must never be code.

A file that was seen long enough after its last write is also found by its facts, unread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, TypeVar

from flowrunner.definitions.ahead import CrewAhead
from flowrunner.definitions.ahead_wire import Ask
from flowrunner.definitions.cache_lines import Store, checked_lines, key_of, sealed
from flowrunner.definitions.candidate_lines import around_of, candidate_of, candidate_text
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Compiler
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.late_flow import packed_flow, restored_flow
from flowrunner.definitions.seen import Seen, facts_text
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.packed import PackedDefinition
from flowrunner.system.crew import NO_CREW
from flowrunner.system.files import FileStat

T = TypeVar("T")

_NONE = b"-"
"""In the place of what there is none of."""
NOTHING_SEEN: Mapping[str, Seen] = {}
_CLEAN, _ADVISED = b"=", b"!"
"""Whether there are no findings."""


class Version(NamedTuple):
    """A version of a flow: its spec, and the definition it was built from."""

    spec: FlowSpec
    definition: Mapping[str, Json]


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
        self._kept: Mapping[bytes, bytes] = {}
        self._good: frozenset[bytes] = frozenset()
        self._seen: Mapping[bytes, _Line] = {}
        self._contents: dict[bytes, str] = {}
        self._read: dict[str, _Read] = {}
        self._is_changed = False
        self._saved_facts: AbstractSet[bytes] = frozenset()

    def load(self) -> None:
        """Reads what was kept; blocks. A store that is damaged counts as empty."""
        parts = (line.split(b" ", 5) for line in checked_lines(self._store.load() or b""))
        lines = [_Line(*line) for line in parts if len(line) == len(_Line._fields)]
        self._kept = {line.key: line.body for line in lines}
        self._good = frozenset(line.digest for line in lines) - {_NONE}
        self._seen = {line.facts: line for line in lines if line.facts != _NONE}
        self._saved_facts = self._seen.keys()
        self._contents = {
            line.digest: line.content.decode()
            for line in lines
            if line.clean == _CLEAN and _NONE not in (line.content, line.digest)
        }

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
        entries = [_Entry(file, it, _found(it, seen.get(file))) for file, it in read]
        facts = {entry.facts for entry in entries} - {_NONE}
        if is_changed or gone or len(read) < len(self._kept) or not facts <= self._saved_facts:
            left = set(gone)
            lines = (entry.line for entry in entries if entry.file not in left)
            self._store.save(sealed(b" ".join(line) for line in lines))
            self._saved_facts = facts
        self._kept, self._good, self._seen, self._contents = {}, frozenset(), {}, {}

    def restore(self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]) -> Version:
        """Returns the version of a definition that was kept; see `Compiler.restore`."""
        if digest.encode() in self._good:
            return Version(*restored_flow(key, digest, definition, self._catalog))
        whole = self._compiler.restore(key, digest, definition)
        return Version(*packed_flow(*whole, self._catalog))

    def content_of(self, digest: Digest) -> str:
        """Returns the content of a file without findings that compiled to a flow, if known."""
        return self._contents.get(digest.encode(), "")

    def recall(self, file: str, stat: FileStat, *, account: str, layers: Layers) -> Seen | None:
        """Returns what an earlier life has seen of a file whose facts are the same."""
        around = around_of(file, account, layers)
        line = self._seen.get(_facts_key(stat, around))
        candidate = None if line is None else self._known(line.body, file, account)
        if line is None or candidate is None:
            return None
        self._read[file] = _Read(line.key, candidate, around)
        return Seen(stat, line.content.decode(), candidate)

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate of a file; see `Compiler.read`."""
        around = around_of(file, account, layers)
        key = key_of((data, *around))
        body = self._kept.get(key)
        candidate = None if body is None else self._known(body, file, account)
        if candidate is None:
            candidate = self._compiled(key, file, account) or self._compiler.read(
                data, file=file, account=account, layers=layers, make=self._made
            )
            self._is_changed = True
        self._read[file] = _Read(key, candidate, around)
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

    def _made(self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]) -> Version:
        """Returns a flow as it is kept; of a version in force there are no two."""
        known = self._in_force(key)
        if known is not None and known.spec.digest == digest:
            return known
        return Version(*restored_flow(key, digest, definition, self._catalog))

    def _known(self, body: bytes, file: str, account: str) -> Candidate | None:
        """Returns the candidate of an entry; None if it makes no sense or its flow is not there."""

        def in_force(name: str, digest: Digest) -> Version | None:
            version = self._in_force(FlowKey(account, name))
            return version if version is not None and version.spec.digest == digest else None

        return candidate_of(body, file, in_force)

    def _compiled(self, key: bytes, file: str, account: str) -> Candidate | None:
        """Returns the candidate of a file that was compiled ahead; None if it was not."""
        found = self._ahead.take(file, key)
        if found is None:
            return None

        def made(name: str, digest: Digest) -> Version:
            return self._made(FlowKey(account, name), digest, PackedDefinition(found.definition))

        return candidate_of(found.text, file, made)


class _Line(NamedTuple):
    """One entry as it is kept.

    Attributes:
        key: Of what the file compiled from.
        digest: Of the flow.
        facts: By which it is found unread.
        content: Its hash, as the scan knows it.
        clean: Whether there are no findings.
    """

    key: bytes
    digest: bytes
    facts: bytes
    content: bytes
    clean: bytes
    body: bytes


class _Read(NamedTuple):
    """A file of this life: what it compiled to, and what its text stood in."""

    key: bytes
    candidate: Candidate
    around: tuple[bytes, bytes, bytes]


class _Entry(NamedTuple):
    """An entry of the next life."""

    file: str
    read: _Read
    seen: Seen | None

    @property
    def facts(self) -> bytes:
        """By which it is found unread."""
        return _NONE if self.seen is None else _facts_key(self.seen.stat, self.read.around)

    @property
    def line(self) -> _Line:
        """The form in which it is kept."""
        candidate = self.read.candidate
        return _Line(
            key=self.read.key,
            digest=_digest(candidate).encode() or _NONE,
            facts=self.facts,
            content=_NONE if self.seen is None else self.seen.content.encode(),
            clean=_ADVISED if candidate.findings else _CLEAN,
            body=candidate_text(candidate, _digest(candidate)),
        )


def _found(read: _Read, seen: Seen | None) -> Seen | None:
    """Returns what was seen of a file if it is this reading that was seen."""
    return seen if seen is not None and seen.candidate is read.candidate else None


def _facts_key(stat: FileStat, around: tuple[bytes, bytes, bytes]) -> bytes:
    return key_of((facts_text(stat).encode(), *around))


def _digest(candidate: Candidate) -> str:
    return "" if candidate.spec is None else candidate.spec.digest
