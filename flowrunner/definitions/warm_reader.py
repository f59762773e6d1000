"""What files compiled to, kept from one life of a daemon to the next: a restart compiles nothing.

An entry is found by everything that its file compiles from; what the code adds to that is the
generation, of which each has a store of its own (`flowrunner.daemon.validate_cache`). It holds the
findings and the digest, and is used when the flow of that digest is in force already, restored
from its record. JSON, since a file in a cache must never be code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from flowrunner.definitions.cache_lines import (
    Store,
    checked_lines,
    claims_from,
    finding_from,
    key_of,
    sealed,
    told,
    told_claims,
)
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Compiler
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.late_flow import packed_flow, restored_flow
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json

_NO_FLOW = b"-"
"""In the place of a digest."""


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
    """

    def __init__(
        self,
        compiler: Compiler,
        catalog: NodeCatalog,
        store: Store,
        in_force: Callable[[FlowKey], Version | None],
    ) -> None:
        self._compiler = compiler
        self._catalog = catalog
        self._store = store
        self._in_force = in_force
        self._kept: Mapping[bytes, bytes] = {}
        self._good: frozenset[bytes] = frozenset()
        self._read: dict[str, tuple[bytes, Candidate]] = {}
        self._is_changed = False

    def load(self) -> None:
        """Reads what was kept; blocks. A store that is damaged counts as empty."""
        lines = [line.split(b" ", 2) for line in checked_lines(self._store.load() or b"")]
        whole = [line for line in lines if len(line) == len(_Line._fields)]
        self._kept = {key: body for key, _, body in whole}
        self._good = frozenset(digest for _, digest, _ in whole) - {_NO_FLOW}

    def save(self, files: Collection[str]) -> None:
        """Keeps what these files compiled to, if it is not kept yet; blocks.

        From then on nothing is known any more of the life before, unless nothing was read yet.
        """
        is_changed, self._is_changed = self._is_changed, False  # first: a pass may go on meanwhile
        read = list(self._read.items())
        if not read:
            return
        gone = [file for file, _ in read if file not in files]
        for file in gone:
            self._read.pop(file, None)
        if is_changed or gone or len(read) < len(self._kept):
            self._store.save(sealed(_lines(read, gone)))
        self._kept, self._good = {}, frozenset()

    def restore(self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]) -> Version:
        """Returns the version of a definition that was kept; see `Compiler.restore`."""
        if digest.encode() in self._good:
            return Version(*restored_flow(key, digest, definition, self._catalog))
        whole = self._compiler.restore(key, digest, definition)
        return Version(*packed_flow(*whole, self._catalog))

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate of a file; see `Compiler.read`."""
        inputs = (data, layers.fingerprint.encode(), _bytes(file), account.encode())
        key = key_of(inputs)
        body = self._kept.get(key)
        candidate = None if body is None else self._known(body, file, account)
        if candidate is None:
            candidate = self._compiler.read(
                data, file=file, account=account, layers=layers, make=self._made
            )
            self._is_changed = True
        self._read[file] = (key, candidate)
        return candidate

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
        try:
            raw = json.loads(body)
            as_of = raw["as_of"]
            candidate = Candidate(
                file=file,
                name=raw["name"],
                is_foreign=raw["is_foreign"],
                findings=tuple(finding_from(file, each) for each in raw["findings"]),
                as_of=None if as_of is None else date.fromisoformat(as_of),
                claims=claims_from(raw["claims"]),
            )
            if not raw["digest"]:
                return candidate
            version = self._in_force(FlowKey(account, raw["name"]))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return None
        if version is None or version.spec.digest != raw["digest"]:
            return None
        return replace(candidate, spec=version.spec, definition=version.definition)


class _Line(NamedTuple):
    """One entry as it is kept."""

    key: bytes
    digest: bytes
    body: bytes


def _lines(read: Iterable[tuple[str, tuple[bytes, Candidate]]], gone: list[str]) -> list[bytes]:
    left = set(gone)
    return [
        b" ".join(_Line(key, _digest(candidate).encode() or _NO_FLOW, _encoded(candidate)))
        for file, (key, candidate) in read
        if file not in left
    ]


def _digest(candidate: Candidate) -> str:
    return "" if candidate.spec is None else candidate.spec.digest


def _encoded(candidate: Candidate) -> bytes:
    as_of = candidate.as_of
    entry = {
        "name": candidate.name,
        "is_foreign": candidate.is_foreign,
        "digest": _digest(candidate),
        "as_of": None if as_of is None else as_of.isoformat(),
        "findings": [told(finding, candidate.file) for finding in candidate.findings],
        "claims": told_claims(candidate.claims),
    }
    return json.dumps(entry).encode()


def _bytes(file: str) -> bytes:
    return file.encode(errors="surrogateescape")
