"""What files compiled to, kept between two runs of `flowrunner validate`.

An entry is found by everything that its file compiles from; what the code and the host add to that
is the generation, of which each has a store of its own (`flowrunner.daemon.validate_cache`). An
entry holds the findings and an outline of the flow, which is enough to judge files against each
other and not enough to execute one. JSON, since a file in a cache must never be code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.definitions.build import build_flow
from flowrunner.definitions.cache_lines import (
    Store,
    checked_lines,
    claims_from,
    finding_from,
    key_of,
    sealed,
    told,
)
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.claims import Claims
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.references import references_of
from flowrunner.model.channels import ChannelUse
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.references import FlowReferences

LARGEST_STORE = 64 * 1024**2
"""Bytes of one generation; what was not used for the longest time goes first."""

LONGEST_UNUSED = 30
"""Days after which an entry goes."""

_REFRESH_DAYS = 7
"""An entry in use gets today's date so often: to write the store costs more than to read it."""

_GRAPH = ("nodes", "finally")
_HEX = 64
_DAY = slice(_HEX + 1, _HEX + 7)
_BODY = _HEX + 8
_HEAD = re.compile(rb"[0-9a-f]{%d} [0-9]{6} " % _HEX)


class CachingReader:
    """Compiles only what it never saw before. `save` keeps what is new.

    Args:
        reader: Compiles what is not known.
        catalog: The node types that `reader` compiles with.
        store: Where entries come from and go to.
        today: Days since 1970.
        largest: Bytes that may be kept.
    """

    def __init__(
        self,
        reader: Reader,
        catalog: NodeCatalog,
        store: Store,
        today: int,
        largest: int = LARGEST_STORE,
    ) -> None:
        self._reader = reader
        self._catalog = catalog
        self._store = store
        self._today = today
        self._largest = largest
        self._lines = _lines_of(store.load() or b"")
        self._is_changed = False

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says, compiled each time: there are few."""
        return self._reader.read_defaults(data, file=file)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether the file would compile to the same now; a generation lasts for a month."""
        return self._reader.is_current(candidate)

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate of a file; a known one has only the outline of its flow."""
        key = _key(data, file, layers)
        line = self._lines.get(key)
        known = None if line is None else self._decoded(line, file, account)
        if line is None or known is None:
            candidate = self._reader.read(data, file=file, account=account, layers=layers)
            self._put(key, _encoded(candidate))
            return candidate
        if self._today - int(line[_DAY]) >= _REFRESH_DAYS:
            self._put(key, line[_BODY:])
        return known

    def save(self) -> None:
        """Keeps all entries that are young enough and not too many, if anything is new."""
        if self._is_changed:
            self._store.save(_store_of(self._lines.values(), self._today, self._largest))

    def _put(self, key: bytes, body: bytes) -> None:
        self._lines[key] = b"%b %06d %b" % (key, self._today, body)
        self._is_changed = True

    def _decoded(self, line: bytes, file: str, account: str) -> Candidate | None:
        """Returns an entry under the name its file has now; None for one that makes no sense."""
        try:
            entry = _Entry(**json.loads(line[_BODY:]))
            findings = tuple(finding_from(file, raw) for raw in entry.findings)
            candidate = Candidate(
                file=file,
                name=entry.name,
                is_foreign=entry.is_foreign,
                findings=findings,
                claims=claims_from(entry.claims),
            )
            if entry.name is None or entry.outline is None:
                return candidate
            told = entry.outline.items()
            definition = {key: [] if key in _GRAPH else value for key, value in told}
            key = FlowKey(account, entry.name)
            spec = replace(
                build_flow(key, Digest(entry.digest), definition, self._catalog),
                references=_references(entry.outline, candidate.claims),
                users=tuple(entry.users),
                node_types=tuple(entry.node_types),
                channels=tuple(ChannelUse(*use) for use in entry.channels),
            )
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return None
        return replace(candidate, spec=spec, definition=definition)


def _references(outline: Mapping[str, Json], claims: Claims) -> FlowReferences:
    """Returns the references of a definition by its outline, which lacks most expressions."""
    found = references_of(outline)
    return replace(found, reads=frozenset(claims.outputs)) if claims.outputs else found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What stands in a line.

    Attributes:
        outline: The definition without schedules, and with nothing in the place of nodes but
            those that name a flow; None for a file with errors.
        users: Those that its nodes run as.
        node_types: Those of its nodes.
        channels: Those that its nodes name, with the type that they have to be of.
        claims: The places of `Claims`.
    """

    name: str | None
    is_foreign: bool
    digest: str
    findings: list[dict[str, Any]]
    outline: dict[str, Json] | None
    users: list[str]
    node_types: list[str]
    channels: list[list[str]]
    claims: dict[str, Any]


def _key(data: bytes, file: str, layers: Layers) -> bytes:
    """Returns the key of a file; below defaults its findings may name it, and stand in theirs."""
    if not layers.chain:
        return key_of((data,))
    return key_of((data, layers.fingerprint.encode(), file.encode(errors="surrogateescape")))


def _encoded(candidate: Candidate) -> bytes:
    definition, spec = candidate.definition, candidate.spec
    entry = {
        "name": candidate.name,
        "is_foreign": candidate.is_foreign,
        "digest": "" if spec is None else spec.digest,
        "findings": [told(finding, candidate.file) for finding in candidate.findings],
        "outline": None if definition is None else _outline(definition),
        "users": [] if spec is None else list(spec.users),
        "node_types": [] if spec is None else list(spec.node_types),
        "channels": [] if spec is None else list(spec.channels),
        "claims": asdict(candidate.claims),
    }
    return json.dumps(entry).encode()


def _outline(definition: Mapping[str, Json]) -> dict[str, Json]:
    """Returns what files are judged by against each other: few nodes, and nothing about time."""
    outline = dict(definition)
    for part in _GRAPH:
        if part in outline:
            outline[part] = _calls_among(outline[part])
    if "triggers" in outline:
        outline["triggers"] = [t for t in outline["triggers"] if t["type"] != "schedule"]
    return outline


def _calls_among(nodes: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Returns the nodes that name a flow in their places, and nothing where there are none."""
    found = [node if node.get("type") == "flow" else {} for node in nodes]
    return found if any(found) else []


def _lines_of(data: bytes) -> dict[bytes, bytes]:
    """Returns the lines of a store by their keys; none if it is not whole.

    What a line holds is parsed when it is asked for: a store may hold many more than one run needs.
    """
    return {line[:_HEX]: line for line in checked_lines(data) if _HEAD.match(line)}


def _store_of(lines: Iterable[bytes], today: int, largest: int) -> bytes:
    young = [line for line in lines if today - int(line[_DAY]) <= LONGEST_UNUSED]
    young.sort(key=lambda line: (-int(line[_DAY]), line[:_HEX]))
    kept, size = [], _HEX + 1
    for line in young:
        size += len(line) + 1
        if size > largest:
            break
        kept.append(line)
    return sealed(kept)
