"""What a check looks at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from flowrunner.definitions.braced import Braced
from flowrunner.definitions.build import NODE_LISTS
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.texts import Texts
from flowrunner.definitions.document import Document, Path
from flowrunner.model.ids import Json

_NO_NEEDS = NeedsGraph([])
_NOTHING: Mapping[str, Json] = MappingProxyType({})


class Subject:
    """A definition under examination; what checks ask of it again and again is at hand.

    Args:
        document: Tells where things stand.
        data: Has the structure that the schema asks for. Where the file did not fit the schema,
            texts and numbers may be out of bounds, and what is doubtful may not be the author's.
        catalog: The node types.
        as_of: The first day of the month in which the definition is examined, for what depends
            on the calendar.
        doubtful: Paths at which the file did not fit the schema.
        inherited: The `defaults` of the folders above; None when they are not known.
        texts: Parses what holds expressions.

    Attributes:
        nodes: The nodes as written.
        finals: The nodes of `finally` as written.
        all_nodes: Both, with their paths.
        graphs: The needs of the nodes of both lists.
        triggers: As written.
        inputs: Those that are declared, as written.
        braced: The texts that hold `{`, with their paths.
    """

    def __init__(
        self,
        *,
        document: Document,
        data: Mapping[str, Json],
        catalog: NodeCatalog,
        as_of: date,
        doubtful: frozenset[Path] = frozenset(),
        inherited: Mapping[str, Json] | None = _NOTHING,
        texts: Texts | None = None,
    ) -> None:
        self.document = document
        self.data = data
        self.catalog = catalog
        self.as_of = as_of
        self.doubtful = doubtful
        self.inherited = inherited
        self.texts = Texts() if texts is None else texts
        self.nodes: list[dict[str, Json]] = data["nodes"]
        self.finals: list[dict[str, Json]] = data.get("finally", [])
        self.all_nodes: list[tuple[Path, dict[str, Json]]] = [
            ((part, index), raw)
            for part, raws in zip(NODE_LISTS, (self.nodes, self.finals), strict=True)
            for index, raw in enumerate(raws)
        ]
        finals = NeedsGraph(self.finals) if self.finals else _NO_NEEDS
        self.graphs = {"nodes": NeedsGraph(self.nodes), "finally": finals}
        self.triggers: list[dict[str, Json]] = data.get("triggers", [])
        self.inputs: dict[str, dict[str, Json]] = data.get("inputs", {})
        self.braced: list[Braced] = document.braced_in(data)

    def is_doubtful(self, *path: str | int) -> bool:
        """Whether a value, something in it or something around it may not be the author's."""
        return bool(self.doubtful) and any(
            path == other[: len(path)] or other == path[: len(other)] for other in self.doubtful
        )
