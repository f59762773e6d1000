"""The text of one definition: its lines, positions in it, and findings that point there.

Everything that names a place in a file goes through here, so that all of them count alike. Reading
YAML is the work of `flowrunner.definitions.yaml_reader`.
"""

from __future__ import annotations

import re
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.definitions.codes import Code
from flowrunner.errors import ValidationError
from flowrunner.model.finding import Finding, Severity

MAX_EXCERPT = 400
"""Longest source line in a finding, in code points."""

_MAX_QUOTED = 60

_LINE_BREAK = re.compile(r"\r\n|\r|\n")

# YAML's printable characters without those that YAML 1.1 took for line breaks (U+0085, U+2028,
# U+2029) and without U+FEFF, which nobody sees. Source: YAML 1.2.2, section 5.1.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


# What nearly all of a text is made of: a tab, line breaks and the printable part of ASCII.
_PLAIN = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])


Path = tuple[str | int, ...]
"""Keys and indices from the root to a value."""


class Mark(Protocol):
    """A place as the parser reports it; all three count from 0, in code points."""

    @property
    def index(self) -> int:
        """Offset in the text."""

    @property
    def line(self) -> int:
        """Number of line breaks before it."""

    @property
    def column(self) -> int:
        """Offset in its line."""


@dataclass(frozen=True, slots=True)
class TextMark:
    """A mark of our own."""

    index: int
    line: int
    column: int


TEXT_START = TextMark(0, 0, 0)
"""The very beginning of a text."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place for people and editors.

    Attributes:
        line: From 1.
        column: From 1, in code points.
    """

    line: int
    column: int


class YamlError(ValidationError):
    """A file that cannot be read as a definition; its `code` is that of the finding.

    Attributes:
        finding: The one reason, with its position.
    """

    default_code = "FR101"

    def __init__(self, finding: Finding) -> None:
        super().__init__(
            f"{finding.file}:{finding.line}:{finding.column}: {finding.message}",
            code=finding.code,
            findings=(finding.to_json(),),
        )
        self.finding = finding


class Source:
    """The text of a file without its byte order mark.

    Attributes:
        file: Path for findings.
        text: The whole text, line breaks as written.
    """

    __slots__ = ("_lines", "file", "text")

    def __init__(self, text: str, *, file: str) -> None:
        self.file = file
        self.text = text
        self._lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        """The lines without their breaks (LF, CRLF or CR), at least one."""
        if self._lines is None:
            is_plain = (
                "\r" not in self.text
            )  # nearly all are, and a plain split is ten times faster
            self._lines = self.text.split("\n") if is_plain else _LINE_BREAK.split(self.text)
        return self._lines

    def excerpt(self, line: int) -> str:
        """Returns a line, cut at `MAX_EXCERPT`, forbidden characters shown as U+FFFD."""
        if not 1 <= line <= len(self.lines):
            return ""
        return _FORBIDDEN.sub("\ufffd", self.lines[line - 1][:MAX_EXCERPT])

    def position(self, mark: Mark) -> Position:
        """Returns the position of a mark; one beyond the end becomes the end of the last line."""
        if mark.line >= len(self.lines):
            return Position(len(self.lines), len(self.lines[-1]) + 1)
        return Position(mark.line + 1, mark.column + 1)

    def position_at(self, index: int) -> Position:
        """Returns the position of an offset in the text. Linear in the offset."""
        before = _LINE_BREAK.split(self.text[:index])
        return Position(len(before), len(before[-1]) + 1)

    def find_forbidden(self) -> int | None:
        """Returns the offset of the first character that no definition may hold."""
        rest = self.text.encode(errors="surrogatepass").translate(None, _PLAIN)
        if not rest:  # nearly always, and told by one pass in C
            return None
        match = _FORBIDDEN.search(self.text)
        return match.start() if match else None

    def error(self, code: Code, message: str, position: Position, hint: str = "") -> YamlError:
        """Returns the error of a text that cannot be read."""
        return YamlError(self.finding(code, message, position, hint=hint))

    def finding(
        self,
        code: Code,
        message: str,
        position: Position,
        *,
        pointer: str = "",
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Finding:
        """Returns a finding at a position, with the line as its excerpt."""
        return Finding(
            file=self.file,
            line=position.line,
            column=position.column,
            code=code.code,
            severity=severity,
            pointer=pointer,
            message=message,
            hint=hint,
            excerpt=self.excerpt(position.line),
        )


def quote(text: str) -> str:
    """Returns text from a file for a message: quoted, on one line, cut, nothing invisible."""
    cut = text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…"
    visible = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return f'"{visible}"'
