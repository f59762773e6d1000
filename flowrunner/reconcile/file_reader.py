"""One file at a time: from a name and a way to read it to what it compiles to, or why it does not.

Which files there are, and which of them need not be read, is `flowrunner.reconcile.scan`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeAlias

from flowrunner.definitions.ahead import Ahead
from flowrunner.definitions.ahead_wire import Ask
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.reconcile.file_faults import Reads, bytes_of, homeless, refused
from flowrunner.reconcile.folders import LayersOf
from flowrunner.reconcile.reading import Known, ScannedFile
from flowrunner.system.files import WalkEntry

AccountOf: TypeAlias = Callable[[str], str | None]
"""The account of a path; None where the settings map no folder above it."""


class FileReader:
    """Reads and compiles; remembers within one pass which months are over."""

    def __init__(self, compiler: Reader, account_of: AccountOf, ahead: Ahead) -> None:
        self._compiler = compiler
        self._ahead = ahead
        self._account_of = account_of
        self._currents: dict[date, bool] = {}

    def begin(self) -> None:
        """Begins a pass: another month may have begun."""
        self._currents.clear()

    def is_current(self, candidate: Candidate) -> bool:
        """Whether the same content would still give the same findings: some name dates.

        Asked once in a pass for each month: half of the flows may have one.
        """
        as_of = candidate.as_of
        if as_of is None:
            return True
        found = self._currents.get(as_of)
        if found is None:
            found = self._currents[as_of] = self._compiler.is_current(candidate)
        return found

    def are_current(self, candidates: Iterable[Candidate]) -> bool:
        """Whether all are."""
        return all(map(self.is_current, candidates))

    def files(
        self,
        entries: Sequence[WalkEntry],
        read: Reads,
        before: Mapping[str, Known],
        above: LayersOf,
    ) -> Iterator[ScannedFile]:
        """Yields what each flow file is; many that are new are compiled ahead.

        Raises:
            UnstableSourceError: One changed or vanished while it was read.
        """
        texts = (self._text(entry, read, before.get(entry.path), above) for entry in entries)
        for text in self._ahead.through(texts, _ask, len(entries)):
            if isinstance(text, ScannedFile):
                yield text
            else:
                yield self.compile(text.data, text.file, text.layers)

    def _text(
        self, entry: WalkEntry, read: Reads, before: Known | None, above: LayersOf
    ) -> Ask | ScannedFile:
        """Returns what is to be compiled, or all there is to say of a file."""
        layers, reason = above(entry.path), refused(entry)
        data = bytes_of(entry.path, read) if reason is None else reason
        if isinstance(data, Finding):
            return self._unread(data, layers)
        if before is not None and self._is_same(before.file, data, layers):
            return before.file
        account = self._account_of(entry.path) or DEFAULT_ACCOUNT
        return Ask(data, entry.path, account, layers)

    def compiled(self, data: bytes | Finding, name: str, layers: Layers) -> ScannedFile:
        """Returns what the content of a file is, or the finding why there is none."""
        if isinstance(data, Finding):
            return self._unread(data, layers)
        return self.compile(data, name, layers)

    def _is_same(self, before: ScannedFile, data: bytes, layers: Layers) -> bool:
        return before.content == _content(data, layers) and self.is_current(before.candidate)

    def compile(self, data: bytes, name: str, layers: Layers = NO_LAYERS) -> ScannedFile:
        """Compiles the bytes of a file."""
        account = self._account_of(name)
        candidate = self._compiler.read(
            data, file=name, account=account or DEFAULT_ACCOUNT, layers=layers
        )
        if account is None and not candidate.is_foreign:
            candidate = Candidate(file=name, findings=(homeless(name),))
        return ScannedFile(content=_content(data, layers), candidate=candidate, account=account)

    def defaults(self, entry: WalkEntry, read: Reads) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        reason = refused(entry)
        if reason is not None:
            return FolderDefaults(file=entry.path, findings=(reason,))
        return self.compiled_defaults(bytes_of(entry.path, read), entry.path)

    def compiled_defaults(self, data: bytes | Finding, name: str) -> FolderDefaults:
        """Returns what the content of a `_defaults.yaml` says, or the finding why there is none."""
        if isinstance(data, Finding):
            return FolderDefaults(file=name, findings=(data,))
        return self._compiler.read_defaults(data, file=name)

    def _unread(self, finding: Finding, layers: Layers) -> ScannedFile:
        """Returns a file without content; its time stamp says nothing: it is looked at again."""
        candidate = Candidate(file=finding.file, findings=(*layers.broken, finding))
        account = self._account_of(finding.file)
        return ScannedFile(content="", candidate=candidate, account=account)


def _ask(text: Ask | ScannedFile) -> Ask | None:
    return text if isinstance(text, Ask) else None


def _content(data: bytes, layers: Layers) -> str:
    """Returns a hash of everything that decides what a file compiles to."""
    return hashlib.sha256(data + layers.fingerprint.encode()).hexdigest()
