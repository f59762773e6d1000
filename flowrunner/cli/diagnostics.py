"""Findings as text: where, what, the line with a caret below the place, and what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TextIO

from flowrunner.cli.text import safe
from flowrunner.model.finding import Finding, Severity

_INDENT = "    "
_MOST_SHOWN = 100
"""Characters of a source line: more would wrap on a terminal and lead the caret astray."""
_BEFORE_CARET = 60
_CUT = "…"

_BOLD, _RED, _YELLOW, _GREEN, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW}


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR is set.

    Source: no-color.org (an empty variable does not count).
    """
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def render(findings: Iterable[Finding], *, colour: bool = False) -> str:
    """Returns all findings, each a line and what explains it."""
    return "\n".join(render_one(finding, colour=colour) for finding in findings)


def render_one(finding: Finding, *, colour: bool = False) -> str:
    """Returns one finding; without a position it has no line and no caret."""
    tone = _COLOURS[finding.severity]
    place = f"{safe(finding.file)}:{finding.line}:{finding.column}"
    place = _painted(place if finding.line else safe(finding.file), _BOLD, colour)
    kind = _painted(f"{finding.code} {finding.severity}", tone, colour)
    lines = [f"{place}: {kind}: {safe(finding.message)}"]
    if finding.excerpt and finding.line:
        line, caret = _excerpt(finding.excerpt, finding.column)
        lines.append(_INDENT + line)
        if caret:
            lines.append(_INDENT + _painted(caret, _GREEN, colour))
    if finding.hint:
        lines.append(f"{_INDENT}hint: {safe(finding.hint)}")
    return "\n".join(lines)


def count_line(findings: Iterable[Finding], flows: int) -> str:
    """Returns the sum: how many flows are valid, how many findings there are."""
    errors = [finding.is_error for finding in findings]
    counts = (
        (flows, "valid flow"),
        (sum(errors), "error"),
        (len(errors) - sum(errors), "warning"),
    )
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _painted(text: str, tone: str, colour: bool) -> str:  # noqa: FBT001 - private
    return f"{tone}{text}{_PLAIN}" if colour else text


def _excerpt(line: str, column: int) -> tuple[str, str]:
    """Returns the part of a line around a column, and a caret that stands below it."""
    at = column - 1
    start = max(0, at - _BEFORE_CARET) if len(line) > _MOST_SHOWN else 0
    shown = line[start : start + _MOST_SHOWN]
    head, tail = (_CUT if start else ""), (_CUT if start + _MOST_SHOWN < len(line) else "")
    # A tab must stay one in both lines, or they would part.
    text = "\t".join(safe(part) for part in shown.split("\t"))
    if not 0 <= at - start <= len(shown):
        return head + text + tail, ""
    before = head + shown[: at - start]
    return head + text + tail, "".join(map(_blank, before)) + "^"


def _blank(char: str) -> str:
    """Returns as much space as a character takes on a terminal."""
    if char == "\t":
        return char
    if unicodedata.combining(char):
        return ""
    if not char.isprintable():
        return " " * len(safe(char))
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "
