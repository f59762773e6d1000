"""Triggers of type `file`: whether their path is a glob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding
from flowrunner.model.globs import GlobError, parse_glob
from flowrunner.model.ids import Json


def check_file_trigger(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    """Yields the finding about a path that is none."""
    if holds_expression(raw["path"]):
        return  # told as an expression in a wrong place
    try:
        parse_glob(raw["path"])
    except GlobError as error:
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED, error.message, path=(*path, "path"), hint=error.hint
        )
