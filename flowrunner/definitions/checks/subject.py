"""What a check looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.document import Document
from flowrunner.model.ids import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A definition under examination.

    Attributes:
        data: Fits the schema; may lack keys that the file has, where those did not fit.
    """

    document: Document
    data: Mapping[str, Json]
    catalog: NodeCatalog

    @property
    def nodes(self) -> list[dict[str, Json]]:
        """The nodes as written."""
        return list(self.data["nodes"])

    @property
    def triggers(self) -> list[dict[str, Json]]:
        """The triggers as written."""
        return list(self.data.get("triggers", []))

    @property
    def inputs(self) -> dict[str, dict[str, Json]]:
        """The declared inputs as written."""
        return dict(self.data.get("inputs", {}))
