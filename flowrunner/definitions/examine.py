"""All that is wrong with the data of one schema: its structure, then what checks say about it.

Where the structure does not fit, the checks work on what can be saved of it, so that a person sees
all mistakes of a file at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice

from flowrunner.definitions.catalog import NodeCatalog
from flowrunner.definitions.checks import Subject
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.salvage import Salvager
from flowrunner.definitions.schema import FlowSchema, SchemaProblem
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

MAX_FINDINGS = 2_000
"""Most findings of one file. It has at most 1,100 warnings, one for each trigger and 100 about
lookalikes, so that among this many there is an error if there is one at all."""

MAX_TEXT = 400
"""Longest message and longest hint in characters."""

Check = Callable[[Subject], Iterator[Finding]]
Complete = Callable[[Mapping[str, Json]], Mapping[str, Json]]


class Examiner:
    """Examines documents against one schema and the checks that belong to it."""

    def __init__(self, schema: FlowSchema, check: Check, catalog: NodeCatalog) -> None:
        self.schema = schema
        self._check = check
        self._catalog = catalog

    def examine(
        self,
        document: Document,
        data: Json,
        complete: Complete,
        doubtful: frozenset[Path] = frozenset(),
    ) -> tuple[Finding, ...]:
        """Returns the findings, sorted.

        Args:
            document: Where things stand.
            data: What the schema judges.
            complete: Adds what the checks see besides, to data that has the structure.
            doubtful: Paths about which nothing is known, though the data fits.
        """
        found = islice(self._findings(document, data, complete, doubtful), MAX_FINDINGS)
        return tuple(sorted(set(map(_bounded, found))))

    def _findings(
        self, document: Document, data: Json, complete: Complete, doubtful: frozenset[Path]
    ) -> Iterator[Finding]:
        problems = self.schema.problems(data)
        if not problems:
            yield from self._check(self._subject(document, complete(data), doubtful))
            return
        for problem in problems:
            yield _located(document, problem)
        salvaged = self._salvager.salvage(data, problems)
        if salvaged is None:
            return
        subject = self._subject(document, complete(salvaged.data), doubtful | salvaged.doubtful)
        yield from filter(salvaged.concerns_author, self._check(subject))

    def _subject(
        self, document: Document, data: Mapping[str, Json], doubtful: frozenset[Path]
    ) -> Subject:
        return Subject(document=document, data=data, catalog=self._catalog, doubtful=doubtful)

    @cached_property
    def _salvager(self) -> Salvager:
        return Salvager(self.schema.document)


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
