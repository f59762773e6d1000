"""What one file turned out to be, and who tells: the compiler, or what stands in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple, Protocol, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.definitions.claims import NO_CLAIMS, Claims
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json

NO_LAYERS = Layers()
"""No defaults above a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one file turned out to be.

    Attributes:
        name: The flow's name as far as it could be read, even when the file is otherwise wrong.
        is_foreign: Whether the file was read whole and is something else than a flow, so that no
            flow can be hidden in it.
        spec: None when the file has errors of its own.
        definition: The effective definition, normalised; None together with `spec`.
        as_of: The month for which the findings were worked out, as its first day; None when they
            hold at any time.
        claims: Where it says what only all files together can judge.
    """

    file: str
    name: str | None = None
    is_foreign: bool = False
    spec: FlowSpec | None = None
    definition: Mapping[str, Json] | None = None
    findings: tuple[Finding, ...] = ()
    as_of: date | None = None
    claims: Claims = NO_CLAIMS


class FileText(NamedTuple):
    """The text of a file, its path for findings, and the defaults above it."""

    data: bytes
    file: str
    layers: Layers = NO_LAYERS


Draft: TypeAlias = tuple[Candidate, Mapping[str, Json] | None]
"""The candidate of a file without its flow, and the definition of that; None if it has errors."""


class Reader(Protocol):
    """Makes candidates of files: the compiler, or what stands in front of it."""

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate of a file below some defaults; see `Compiler.read`."""

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says; see `Compiler.read_defaults`."""

    def is_current(self, candidate: Candidate) -> bool:
        """Whether it would be the same now; see `Compiler.is_current`."""
