"""The compiler: bytes of a file in, a candidate with its findings out; likewise for defaults.

The daemon, `flowrunner validate` and a later restart on stored definitions all pass through
here, so that what one of them says is what the others do. It reads no file itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import Protocol, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.definitions.build import build_flow
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks import check_defaults, check_definition, depends_on_date
from flowrunner.definitions.checks.texts import FEW_TEXTS, Texts
from flowrunner.definitions.claims import NO_CLAIMS, Claims, claims_of, name_claim
from flowrunner.definitions.defaults_schema import defaults_schema
from flowrunner.definitions.document import Document
from flowrunner.definitions.effective import effective_definition, env_text
from flowrunner.definitions.examine import Check, Examiner, Surroundings
from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.foreign import is_foreign, not_a_flow
from flowrunner.definitions.schema import FlowSchema
from flowrunner.definitions.schema_parts import FLOW_NAME
from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.model.digest import digest_of
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.packed import plain
from flowrunner.system.clock import Clock

Make: TypeAlias = Callable[
    [FlowKey, Digest, Mapping[str, Json]], tuple[FlowSpec, Mapping[str, Json]]
]
"""Makes a flow of a definition that is known to build; returns it and what is kept of it."""

NO_LAYERS = Layers()
"""No defaults above a file."""

_BELOW_BROKEN = Surroundings(doubtful=frozenset({("env",)}), inherited=None)
_FLOW_NAME = re.compile(FLOW_NAME)


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


class Compiler:
    """Compiles files and stored definitions with the node types of this host.

    Args:
        catalog: The node types.
        clock: Tells for which month findings are worked out.
        texts: How many texts with expressions are kept parsed.
    """

    def __init__(self, catalog: NodeCatalog, clock: Clock, texts: int = FEW_TEXTS) -> None:
        self._catalog = catalog
        self._clock = clock
        self._texts = Texts(texts)

    @property
    def schema(self) -> FlowSchema:
        """The merged schema of a flow."""
        return self._flows.schema

    @cached_property
    def _flows(self) -> Examiner:
        schema = FlowSchema(flow_schema(self._catalog.schemas()))
        return self._examiner(schema, check_definition)

    @cached_property
    def _defaults(self) -> Examiner:
        return self._examiner(FlowSchema(defaults_schema()), check_defaults)

    def _examiner(self, schema: FlowSchema, check: Check) -> Examiner:
        return Examiner(schema, check, self._catalog, self._as_of, self._texts)

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

    def draft(
        self, data: bytes, *, file: str, layers: Layers = NO_LAYERS
    ) -> tuple[Candidate, Mapping[str, Json] | None]:
        """Returns the candidate of a file without its flow, and the definition of that.

        `layers` are the defaults above it. While one of them is broken there is no definition, and
        its findings come before those of the file.
        """
        try:
            document = read_yaml(data, file=file)
        except YamlError as error:
            return Candidate(file=file, findings=(*layers.broken, error.finding)), None
        foreign = not_a_flow(document)
        if foreign is not None:
            certain = is_foreign(document.data)
            return Candidate(file=file, is_foreign=certain, findings=(foreign,)), None
        name = _name(document.data)
        findings = layers.broken + self._findings(document, name, layers)
        as_of = self._as_of() if depends_on_date(document.data) else None
        is_flow = name is not None and not any(finding.is_error for finding in findings)
        if is_flow:
            claims = claims_of(document)
        else:
            claims = NO_CLAIMS if name is None else name_claim(document)
        candidate = Candidate(file=file, name=name, findings=findings, as_of=as_of, claims=claims)
        definition = effective_definition(document, layers, self._catalog) if is_flow else None
        return candidate, definition

    def is_current(self, candidate: Candidate) -> bool:
        """Whether reading the same bytes now would give the same candidate."""
        return candidate.as_of is None or candidate.as_of == self._as_of()

    def _findings(
        self, document: Document, name: str | None, layers: Layers
    ) -> tuple[Finding, ...]:
        """Returns what is wrong with a flow; below broken defaults, apart from its environment."""
        if layers.broken:
            return self._flows.examine(document, document.data, _BELOW_BROKEN)
        seen = layers.document(document, name)
        around = Surroundings(complete=layers.with_env, inherited=layers.defaults)
        return self._flows.examine(seen, document.data, around)

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says; never raises for anything the file holds.

        An empty file says nothing, which is no mistake.
        """
        content = hashlib.sha256(data).hexdigest()
        try:
            document = read_yaml(data, file=file)
        except YamlError as error:
            return FolderDefaults(file=file, content=content, findings=(error.finding,))
        written = {} if document.data is None else document.data
        findings = self._defaults.examine(document, written, _OF_DEFAULTS)
        found = FolderDefaults(file=file, content=content, document=document, findings=findings)
        if found.is_broken:
            return found
        env = env_text(document, ("env",), written.get("env", {}))
        return replace(found, data=written, env=env)

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


def _name(data: Mapping[str, Json]) -> str | None:
    name = data.get("name")
    return name if isinstance(name, str) and _FLOW_NAME.fullmatch(name) else None


def _without_nodes(data: Mapping[str, Json]) -> Mapping[str, Json]:
    """Returns the data of a `_defaults.yaml` as checks of definitions want it."""
    return {**data, "nodes": []}


_OF_DEFAULTS = Surroundings(complete=_without_nodes)
