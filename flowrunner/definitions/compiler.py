"""The compiler: bytes of a file in, a candidate with its findings out; likewise for defaults.

The daemon, `flowrunner validate` and a later restart on stored definitions all pass through
here, so that what one of them says is what the others do. It reads no file itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from flowrunner.definitions.build import build_flow
from flowrunner.definitions.candidate import NO_LAYERS, Candidate, Draft, FileText, Reader
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.schema import FlowSchema
from flowrunner.model.digest import digest_of
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.packed import plain
from flowrunner.system.clock import Clock

if TYPE_CHECKING:  # else every start would load what only a file that nobody knows needs
    from flowrunner.definitions.drafts import Drafts

__all__ = ["NO_LAYERS", "Candidate", "Compiler", "Make", "Reader"]

Make: TypeAlias = Callable[
    [FlowKey, Digest, Mapping[str, Json]], tuple[FlowSpec, Mapping[str, Json]]
]
"""Makes a flow of a definition that is known to build; returns it and what is kept of it."""


class Compiler:
    """Compiles files and stored definitions with the node types of this host.

    Args:
        catalog: The node types.
        clock: Tells for which month findings are worked out.
        texts: How many texts with expressions are kept parsed; None: a few.
    """

    def __init__(self, catalog: NodeCatalog, clock: Clock, texts: int | None = None) -> None:
        self._catalog = catalog
        self._clock = clock
        self._texts = texts

    @cached_property
    def schema(self) -> FlowSchema:
        """The merged schema of a flow."""
        return FlowSchema(flow_schema(self._catalog.schemas()))

    @cached_property
    def _drafts(self) -> Drafts:
        from flowrunner.definitions.drafts import Drafts

        return Drafts(self._catalog, self.schema, self._as_of, self._texts)

    def read(
        self,
        data: bytes,
        *,
        file: str,
        account: str,
        layers: Layers = NO_LAYERS,
        make: Make | None = None,
    ) -> Candidate:
        """Returns the candidate of a file; never raises for anything the file holds.

        `make` makes the flow of a definition without errors; by default it is built whole.
        """
        candidate, definition = self.draft(data, file=file, layers=layers)
        if definition is None or candidate.name is None:
            return candidate
        key, digest = FlowKey(account, candidate.name), digest_of(definition)
        spec, kept = (make or self.restore)(key, digest, definition)
        return replace(candidate, spec=spec, definition=kept)

    def draft(self, data: bytes, *, file: str, layers: Layers = NO_LAYERS) -> Draft:
        """Returns the candidate of a file without its flow, and the definition of that.

        `layers` are the defaults above it. While one of them is broken there is no definition, and
        its findings come before those of the file.
        """
        return self._drafts.draft(FileText(data, file, layers))

    def drafts(self, files: Sequence[FileText]) -> list[Draft]:
        """Returns the drafts of many files, which takes less time than one after the other."""
        return self._drafts.drafts(files)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether reading the same bytes now would give the same candidate."""
        return candidate.as_of is None or candidate.as_of == self._as_of()

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says; never raises for anything the file holds.

        An empty file says nothing, which is no mistake.
        """
        return self._drafts.read_defaults(data, file=file)

    def compile_definition(self, key: FlowKey, definition: Mapping[str, Json]) -> FlowSpec:
        """Returns the spec of a definition that went through `read` once.

        Raises:
            ValidationError: It does not compile with the node types of this host.
        """
        return build_flow(key, digest_of(definition), definition, self._catalog)

    def restore(
        self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]
    ) -> tuple[FlowSpec, Mapping[str, Json]]:
        """Returns the spec of a definition out of a record, and the definition to keep with it.

        `digest` is that of the definition, as the store has checked.

        Raises:
            ValidationError: As `compile_definition`, besides what unchecked data can raise.
        """
        whole = plain(definition)
        return build_flow(key, digest, whole, self._catalog), whole

    def content_of(self, digest: Digest) -> str:  # noqa: ARG002 - of none
        """Knows no file that compiled to a flow; see `WarmReader.content_of`."""
        return ""

    def _as_of(self) -> date:
        """Returns the first day of the month, so that results change at most once a month."""
        return self._clock.now().date().replace(day=1)
