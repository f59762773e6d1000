"""All that is wrong with the data of one schema: its structure, then what checks say about it.

Where the structure does not fit, the checks work on what can be saved of it, so that a person sees
all mistakes of a file at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import date
from functools import cached_property
from itertools import chain, count, islice
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks import Check, Subject
from flowrunner.definitions.checks.texts import Texts
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.salvage import Salvager
from flowrunner.definitions.schema import FlowSchema
from flowrunner.definitions.schema_faults import SchemaProblem
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

MAX_FINDINGS = 2_000
"""Most findings of one file."""

MAX_WARNINGS = 1_000
"""Most warnings among them, so that many warnings leave no error untold."""

MAX_TEXT = 400
"""Longest message and longest hint in characters."""

Complete = Callable[[Mapping[str, Json]], Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a document does not say itself.

    Attributes:
        complete: Adds what the checks see besides, to data that has the structure.
        doubtful: Paths about which nothing is known, though the data fits.
        inherited: The `defaults` of the folders above; None when they are not known.
    """

    complete: Complete = dict
    doubtful: frozenset[Path] = frozenset()
    inherited: Mapping[str, Json] | None = field(default_factory=dict)


class Examined(NamedTuple):
    """What is examined; see `Examiner.examine`."""

    document: Document
    data: Json
    around: Surroundings


class Examiner:
    """Examines documents against one schema and the checks that belong to it.

    `as_of` gives the date for which findings that name dates are worked out; `texts` parses what
    holds expressions.
    """

    def __init__(
        self,
        schema: FlowSchema,
        checks: Sequence[Check],
        catalog: NodeCatalog,
        as_of: Callable[[], date],
        texts: Texts,
    ) -> None:
        self.schema = schema
        self._checks = checks
        self._catalog = catalog
        self._as_of = as_of
        self._texts = texts

    def examine(self, document: Document, data: Json, around: Surroundings) -> tuple[Finding, ...]:
        """Returns the findings, sorted; `document` tells where things stand in `data`."""
        found = _first(_distinct(self._findings(document, data, around)))
        return tuple(sorted(set(map(_bounded, found))))

    def examine_each(self, asked: Sequence[Examined]) -> list[tuple[Finding, ...]]:
        """Returns what `examine` does of each.

        Takes each check to all of them before the next check: a processor keeps what one check
        needs at hand, which is a quarter of the time. Where one finds something, as seldom, that
        document is examined by itself.
        """
        fitting = [at for at, each in enumerate(asked) if self.schema.is_valid(each.data)]
        clean = {at: self._subject(*asked[at]) for at in fitting}
        for check in self._checks:
            for at in [at for at, subject in clean.items() if next(check(subject), None)]:
                del clean[at]
        return [() if at in clean else self.examine(*each) for at, each in enumerate(asked)]

    def _findings(self, document: Document, data: Json, around: Surroundings) -> Iterator[Finding]:
        problems = self.schema.problems(data)
        if not problems:
            yield from self._checked(self._subject(document, data, around))
            return
        for problem in problems:
            yield _located(document, problem)
        salvaged = self._salvager.salvage(data, problems)
        if salvaged is None:
            return
        subject = self._subject(document, salvaged.data, around, salvaged.doubtful)
        yield from filter(salvaged.concerns_author, self._checked(subject))

    def _checked(self, subject: Subject) -> Iterator[Finding]:
        return chain.from_iterable(check(subject) for check in self._checks)

    def _subject(
        self,
        document: Document,
        data: Mapping[str, Json],
        around: Surroundings,
        doubtful: frozenset[Path] = frozenset(),
    ) -> Subject:
        return Subject(
            document=document,
            data=around.complete(data),
            catalog=self._catalog,
            as_of=self._as_of(),
            doubtful=around.doubtful | doubtful,
            inherited=around.inherited,
            texts=self._texts,
        )

    @cached_property
    def _salvager(self) -> Salvager:
        return Salvager(self.schema.document)


def _distinct(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yields findings once, though aliases bring the value they are about to several paths."""
    seen: set[Finding] = set()
    for finding in findings:
        place = replace(finding, pointer="")
        if not finding.line or place not in seen:
            seen.add(place)
            yield finding


def _first(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yields findings up to their bounds; warnings beyond theirs are left out."""
    warnings = count()
    few = (f for f in findings if f.is_error or next(warnings) < MAX_WARNINGS)
    return islice(few, MAX_FINDINGS)


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
