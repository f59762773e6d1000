"""What a check looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date
from functools import cached_property

from flowrunner.dataclass import dataclass
from flowrunner.definitions.build import NODE_LISTS
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.texts import Texts
from flowrunner.definitions.document import Document, Path
from flowrunner.model.ids import Json


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A definition under examination; what checks ask of it again and again is kept.

    Attributes:
        data: Has the structure that the schema asks for. Where the file did not fit the schema,
            texts and numbers may be out of bounds, and what is doubtful may not be the author's.
        as_of: The first day of the month in which the definition is examined, for what depends
            on the calendar.
        doubtful: Paths at which the file did not fit the schema.
        inherited: The `defaults` of the folders above; None when they are not known.
        texts: Parses what holds expressions.
    """

    document: Document
    data: Mapping[str, Json]
    catalog: NodeCatalog
    as_of: date
    doubtful: frozenset[Path] = frozenset()
    inherited: Mapping[str, Json] | None = field(default_factory=dict)
    texts: Texts = field(default_factory=Texts)

    def is_doubtful(self, *path: str | int) -> bool:
        """Whether a value, something in it or something around it may not be the author's."""
        return bool(self.doubtful) and any(
            path == other[: len(path)] or other == path[: len(other)] for other in self.doubtful
        )

    @cached_property
    def nodes(self) -> list[dict[str, Json]]:
        """The nodes as written."""
        return list(self.data["nodes"])

    @cached_property
    def finals(self) -> list[dict[str, Json]]:
        """The nodes of `finally` as written."""
        return list(self.data.get("finally", []))

    @cached_property
    def all_nodes(self) -> list[tuple[Path, dict[str, Json]]]:
        """The nodes of both lists as written, with their paths."""
        lists = zip(NODE_LISTS, (self.nodes, self.finals), strict=True)
        return [((part, index), raw) for part, raws in lists for index, raw in enumerate(raws)]

    @cached_property
    def graphs(self) -> Mapping[str, NeedsGraph]:
        """The needs of the nodes of both lists."""
        return {"nodes": NeedsGraph(self.nodes), "finally": NeedsGraph(self.finals)}

    @cached_property
    def triggers(self) -> list[dict[str, Json]]:
        """The triggers as written."""
        return list(self.data.get("triggers", []))

    @cached_property
    def inputs(self) -> dict[str, dict[str, Json]]:
        """The declared inputs as written."""
        return dict(self.data.get("inputs", {}))
