"""The nodes that a pinned definition declares: what a view lists, in the order of the flow.

A definition never changes under its digest, so what it declares is kept for the executions that
come back for it: somebody who follows a log asks every second.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from flowrunner.definitions.build import node_type
from flowrunner.model.ids import Digest
from flowrunner.storage.protocols import DefinitionStore

MOST_KEPT = 64
"""Definitions of which the nodes are kept, the last asked for: one may have thousands."""


class DeclaredNode(NamedTuple):
    """A node of a definition; `has_items` says that it has `foreach`."""

    id: str
    type: str
    has_items: bool = False


Declared = tuple[DeclaredNode, ...]
"""The nodes, those of `finally` last."""


class DeclaredNodes:
    """Knows the nodes of definitions by digest."""

    def __init__(self, definitions: DefinitionStore) -> None:
        self._definitions = definitions
        self._kept: OrderedDict[Digest, Declared] = OrderedDict()

    async def of(self, digest: Digest) -> Declared:
        """Returns the nodes; none of a definition that is unknown or damaged.

        Raises:
            StorageError: The definition cannot be read.
        """
        found = self._kept.get(digest)
        if found is None:
            definition = await self._definitions.get(digest)
            if definition is None:
                return ()
            raws = (*definition["nodes"], *definition.get("finally", ()))
            found = tuple(DeclaredNode(raw["id"], node_type(raw), "foreach" in raw) for raw in raws)
            self._kept[digest] = found
        self._kept.move_to_end(digest)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found
