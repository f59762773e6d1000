"""What makes a restart short: what the daemon keeps in `cache` of its state.

That is what files compiled to, and what the last pass ended with.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

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


class Warm(NamedTuple):
    """What a life finds of the one before.

    Attributes:
        reader: Of flow files.
        basis: Where it stands what the last pass ended with.
    """

    reader: WarmReader
    basis: Store


def make_warm(
    state: Path | None,
    nodes: NodeRegistry,
    compiler: Compiler,
    registry: FlowRegistry,
    today: date,
) -> Warm:
    """Returns what this generation of the code has kept; nothing without a state folder."""

    def in_force(key: FlowKey) -> Version | None:
        entry = registry.get(key)
        if entry is None or entry.spec is None:
            return None
        return Version(entry.spec, entry.definition)

    generation = generation_of(compiler.schema.document, today)
    stores: list[Store] = [_NoStore(), _NoStore()]
    if state is not None:
        folder = PrivateFolder(state / FOLDER)
        stores = [GenerationStore(folder, generation, what) for what in ("flows", "basis")]
    flows, basis = stores
    return Warm(WarmReader(compiler, nodes, flows, in_force, make_ahead(generation)), basis)


def files_of(registry: FlowRegistry) -> frozenset[str]:
    """Returns every file that the registry knows of."""
    held = (entry.path for entry in registry.entries.values())
    return frozenset(held).union(file.path for file in registry.source.rejected)
