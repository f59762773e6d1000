"""Findings point at the place in the file, whatever the line looks like."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from flowrunner.cli.diagnostics import count_line, render, wants_colour
from flowrunner.model.finding import Finding, Severity
from tests.unit.cli.hosts import Terminal

FINDING = Finding(
    file="flows/a.yaml",
    line=3,
    column=5,
    code="FR201",
    message="unknown key 'nmae'",
    hint="did you mean 'name'?",
    excerpt="  - nmae: x",
)


def test_finding_shows_place_line_caret_and_hint() -> None:
    """A finding is a line that editors understand, the source line, a caret, and the hint."""
    assert render([FINDING]) == (
        "flows/a.yaml:3:5: FR201 error: unknown key 'nmae'\n"
        "      - nmae: x\n"
        "        ^\n"
        "    hint: did you mean 'name'?"
    )


def test_findings_follow_each_other() -> None:
    """Several findings stand below each other, in the order given."""
    bare = Finding(file="b.yaml", line=1, column=1, code="FR109", message="not a flow")
    warning = replace(bare, severity=Severity.WARNING, code="FR501", message="in UTC")
    assert render([bare, warning]) == (
        "b.yaml:1:1: FR109 error: not a flow\nb.yaml:1:1: FR501 warning: in UTC"
    )


def test_finding_about_a_whole_file_has_no_position() -> None:
    """Without a line there is no position, no excerpt and no caret."""
    finding = Finding(file="a.yaml", code="FR106", message="too large", excerpt="x")
    assert render([finding]) == "a.yaml: FR106 error: too large"


@pytest.mark.parametrize(
    ("excerpt", "column", "line", "caret"),
    [
        pytest.param("\tkey: x", 2, "\tkey: x", "\t^", id="tab"),
        pytest.param("漢字: x", 5, "漢字: x", "      ^", id="wide-characters"),
        pytest.param("e\u0301a: x", 3, "e\u0301a: x", " ^", id="combining-character"),
        pytest.param("a\u2028b", 3, "a\\u2028b", "       ^", id="invisible-character"),
        pytest.param("abc", 4, "abc", "   ^", id="behind-the-end"),
    ],
)
def test_caret_stands_below_its_column(excerpt: str, column: int, line: str, caret: str) -> None:
    """The caret is right under the character, however wide the ones before it are."""
    shown = render([replace(FINDING, excerpt=excerpt, column=column, hint="")]).split("\n")
    assert shown[1:] == ["    " + line, "    " + caret]


def test_column_beyond_the_excerpt_has_no_caret() -> None:
    """A place in the part of a line that was cut off gets no misleading caret."""
    shown = render([replace(FINDING, excerpt="short", column=900, hint="")])
    assert "^" not in shown


def test_long_line_is_shown_around_its_column() -> None:
    """Of a line that would wrap only the part around the place is shown."""
    excerpt = "a" * 200 + "HERE" + "b" * 190
    shown = render([replace(FINDING, excerpt=excerpt, column=201, hint="")]).split("\n")
    assert len(shown[1]) < 110
    assert shown[1].strip().startswith("…a")
    assert shown[1].endswith("b…")
    assert shown[1][shown[2].index("^") :].startswith("HERE")


def test_colour_is_added_around_the_same_text() -> None:
    """Colours change nothing but colours."""
    coloured = render([FINDING], colour=True)
    assert "\x1b[31mFR201 error\x1b[0m" in coloured
    for tone in ("\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"):
        coloured = coloured.replace(tone, "")
    assert coloured == render([FINDING])


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        pytest.param(Terminal(), {}, True, id="terminal"),
        pytest.param(Terminal(), {"NO_COLOR": ""}, True, id="empty-no-color"),
        pytest.param(Terminal(), {"NO_COLOR": "1"}, False, id="no-color"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, id="dumb-terminal"),
        pytest.param(io.StringIO(), {}, False, id="pipe"),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    *, stream: io.StringIO, environment: dict[str, str], wanted: bool
) -> None:
    """Pipes and files get plain text, and so does who sets NO_COLOR."""
    assert wants_colour(stream, environment) is wanted


def test_count_line_tells_errors_from_warnings() -> None:
    """The last line counts valid flows, errors and warnings."""
    findings = [FINDING, replace(FINDING, severity=Severity.WARNING), FINDING]
    assert count_line(findings, 4) == "4 valid flows, 2 errors, 1 warning"
