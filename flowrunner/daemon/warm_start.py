"""What makes a restart short: the daemon's cache of compiled files, in `cache` of its state."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from flowrunner.daemon.compile_ahead import make_ahead
from flowrunner.daemon.validate_cache import GenerationStore, generation_of
from flowrunner.definitions.cache_lines import Store
from flowrunner.definitions.compiler import Compiler
from flowrunner.definitions.warm_reader import Version, WarmReader
from flowrunner.model.ids import FlowKey
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.private_folder import PrivateFolder

FOLDER = "cache"
"""Below the state folder; may be removed at any time."""


class _NoStore:
    """Keeps nothing: for a daemon whose state goes with it."""

    def load(self) -> bytes | None:
        """Returns None."""
        return None

    def save(self, data: bytes) -> None:
        """Does nothing."""


def make_warm_reader(
    state: Path | None,
    nodes: NodeRegistry,
    compiler: Compiler,
    registry: FlowRegistry,
    today: date,
) -> WarmReader:
    """Returns the reader of flow files; without a state folder it remembers nothing."""

    def in_force(key: FlowKey) -> Version | None:
        entry = registry.get(key)
        if entry is None or entry.spec is None:
            return None
        return Version(entry.spec, entry.definition)

    store: Store = _NoStore()
    generation = generation_of(compiler.schema.document, today)
    if state is not None:
        store = GenerationStore(PrivateFolder(state / FOLDER), generation, "flows")
    return WarmReader(compiler, nodes, store, in_force, make_ahead(generation))


def files_of(registry: FlowRegistry) -> frozenset[str]:
    """Returns every file that the registry knows of."""
    held = (entry.path for entry in registry.entries.values())
    return frozenset(held).union(file.path for file in registry.source.rejected)
