"""A finding: what is wrong with a file, where, and what to do about it.

The values only. Their codes and explanations stand in `flowrunner.definitions.codes`, their
rendering in the command line.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from flowrunner.dataclass import dataclass


class Severity(StrEnum):
    """How much a finding matters: an error keeps the flow out, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One diagnostic. Sorts by file, then position, then code.

    Attributes:
        file: Path relative to the root of the flows, with forward slashes.
        line: From 1; 0 when the finding concerns the file as a whole.
        column: Code points from 1; 0 together with line 0.
        code: Stable, `FR` and three digits.
        pointer: RFC 6901 JSON pointer into the definition, empty for the whole.
        excerpt: The source line, for the caret; empty when there is none.
    """

    file: str
    line: int = 0
    column: int = 0
    code: str
    severity: Severity = Severity.ERROR
    pointer: str = ""
    message: str
    hint: str = ""
    excerpt: str = ""

    @property
    def is_error(self) -> bool:
        """Whether this finding keeps its flow out."""
        return self.severity is Severity.ERROR

    def to_json(self) -> dict[str, Any]:
        """Returns the shape of `validate --format json` (DESIGN 5)."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "pointer": self.pointer,
            "message": self.message,
            "hint": self.hint,
        }


def pointer_of(path: tuple[str | int, ...]) -> str:
    """Returns the RFC 6901 JSON pointer of a path of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
