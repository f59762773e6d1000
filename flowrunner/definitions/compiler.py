"""The compiler: bytes of a file in, a candidate with its findings out.

The daemon, `flowrunner validate` and a later restart on stored definitions all pass through
here, so that what one of them says is what the others do. It reads no file itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import count, islice

from flowrunner.definitions import codes
from flowrunner.definitions.build import build_flow
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks import Subject, check_definition, depends_on_date
from flowrunner.definitions.claims import NO_CLAIMS, Claims, claims_of, name_claim
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.effective import effective_definition
from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.salvage import Salvager
from flowrunner.definitions.schema import FlowSchema, SchemaProblem
from flowrunner.definitions.schema_parts import FLOW_NAME
from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.model.digest import digest_of
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey, Json
from flowrunner.system.clock import Clock

MAX_FINDINGS = 2_000
"""Most findings of one file."""

MAX_WARNINGS = 1_000
"""Most warnings among them, so that many warnings leave no error untold."""

MAX_TEXT = 400
"""Longest message and longest hint in characters."""

_FLOW_NAME = re.compile(FLOW_NAME)
_FOREIGN = {
    "apiVersion": "a Kubernetes manifest",
    "services": "a compose file",
    "jobs": "a GitHub workflow or another runner's file",
}
_OWN_KEYS = frozenset({"version", "name", "nodes", "triggers", "inputs", "finally"})
"""Keys that a flow which is only half there may begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one file turned out to be.

    Attributes:
        name: The flow's name as far as it could be read, even when the file is otherwise wrong.
        is_foreign: Whether the file was read whole and is something else than a flow, so that no
            flow can be hidden in it.
        spec: None when the file has errors.
        definition: The effective definition, normalised; None when the file has errors.
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


class Compiler:
    """Compiles files and stored definitions with the node types of this host."""

    def __init__(self, catalog: NodeCatalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    @cached_property
    def schema(self) -> FlowSchema:
        """The merged schema, built once."""
        return FlowSchema(flow_schema(self._catalog.schemas()))

    def read(self, data: bytes, *, file: str, account: str) -> Candidate:
        """Returns the candidate of a file; never raises for anything the file holds."""
        try:
            document = read_yaml(data, file=file)
        except YamlError as error:
            return Candidate(file=file, findings=(error.finding,))
        foreign = _not_a_flow(document)
        if foreign is not None:
            is_foreign = _is_foreign(document.data)
            return Candidate(file=file, is_foreign=is_foreign, findings=(foreign,))
        name = _name(document.data)
        findings = sorted(set(map(_bounded, _first(self._findings(document)))))
        as_of = self._as_of() if depends_on_date(document.data) else None
        candidate = Candidate(file=file, name=name, findings=tuple(findings), as_of=as_of)
        if name is None:
            return candidate
        if any(finding.is_error for finding in findings):
            return replace(candidate, claims=name_claim(document))
        definition = effective_definition(document, self._catalog)
        spec = self.compile_definition(FlowKey(account, name), definition)
        claims = claims_of(document)
        return replace(candidate, spec=spec, definition=definition, claims=claims)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether reading the same bytes now would give the same candidate."""
        return candidate.as_of is None or candidate.as_of == self._as_of()

    def compile_definition(self, key: FlowKey, definition: Mapping[str, Json]) -> FlowSpec:
        """Returns the spec of a definition that went through `read` once.

        Raises:
            ValidationError: It does not compile with the node types of this host.
        """
        return build_flow(key, digest_of(definition), definition, self._catalog)

    def _findings(self, document: Document) -> Iterator[Finding]:
        problems = self.schema.problems(document.data)
        if not problems:
            yield from check_definition(self._subject(document, document.data))
            return
        for problem in problems:
            yield _located(document, problem)
        salvaged = self._salvager.salvage(document.data, problems)
        if salvaged is None:
            return
        subject = self._subject(document, salvaged.data, salvaged.doubtful)
        yield from filter(salvaged.concerns_author, check_definition(subject))

    def _subject(
        self, document: Document, data: Mapping[str, Json], doubtful: frozenset[Path] = frozenset()
    ) -> Subject:
        return Subject(
            document=document,
            data=data,
            catalog=self._catalog,
            as_of=self._as_of(),
            doubtful=doubtful,
        )

    def _as_of(self) -> date:
        """Returns the first day of the month, so that results change at most once a month."""
        return self._clock.now().date().replace(day=1)

    @cached_property
    def _salvager(self) -> Salvager:
        return Salvager(self.schema.document)


def _first(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yields findings up to their bounds; warnings beyond theirs are left out."""
    warnings = count()
    few = (f for f in findings if f.is_error or next(warnings) < MAX_WARNINGS)
    return islice(few, MAX_FINDINGS)


def _name(data: Mapping[str, Json]) -> str | None:
    name = data.get("name")
    return name if isinstance(name, str) and _FLOW_NAME.fullmatch(name) else None


def _located(document: Document, problem: SchemaProblem) -> Finding:
    return document.finding(
        problem.code,
        problem.message,
        path=problem.path,
        key=problem.at_key,
        hint=problem.hint,
    )


def _bounded(finding: Finding) -> Finding:
    """Returns a finding whose texts, which may quote the file, are short and on one line."""
    texts = (finding.message, finding.hint)
    if all(len(text) <= MAX_TEXT and text.isprintable() for text in texts):
        return finding
    message, hint = (
        "".join(c if c.isprintable() else "\ufffd" for c in text[:MAX_TEXT]) for text in texts
    )
    return replace(finding, message=message, hint=hint)


def _is_foreign(data: Json) -> bool:
    """Whether data that is no flow is no part of one either; an empty file may be cut short."""
    if isinstance(data, dict):
        is_known = bool(_FOREIGN.keys() & data.keys())
        return is_known or (bool(data) and not _OWN_KEYS & data.keys())
    return isinstance(data, list)


def _not_a_flow(document: Document) -> Finding | None:
    """Returns the one finding of a file that is no flow at all, or None.

    A file with either of `version` and `nodes` is meant as a flow and gets all its findings; but
    compose files have a `version` too.
    """
    data = document.data
    hint = "a flow has the keys version, name and nodes; files beginning with _ are not read"
    message = "not a flow"
    if isinstance(data, dict):
        foreign = next((text for key, text in _FOREIGN.items() if key in data), None)
        if "nodes" in data or data.get("version") == 1 or ("version" in data and not foreign):
            return None
        typo = next((k for k in data if difflib.get_close_matches(k, ["version", "nodes"])), None)
        if foreign:
            message = f"not a flow, but {foreign}"
        elif typo:
            hint = f"did you misspell {typo!r}? {hint}"
    return document.finding(codes.NOT_A_FLOW, message, hint=hint)
