"""Tables line up, and times, spans and revisions are short but unmistakable."""

from __future__ import annotations

import json

import pytest

from flowrunner.cli.render import (
    cell,
    clip,
    error_text,
    facts,
    full_name,
    moment,
    short,
    show,
    span,
    table,
    to_json,
)
from tests.unit.cli.hosts import Process


def test_table_aligns_columns_without_trailing_spaces() -> None:
    """Each column is as wide as its widest cell, and no line ends in spaces."""
    shown = table(("NAME", "N", "LAST"), [("backup", 1, None), ("x", 100, "failed")])
    assert shown == "NAME    N    LAST\nbackup  1    -\nx       100  failed"


def test_table_without_rows_is_its_header() -> None:
    """An empty table still says what it would hold."""
    assert table(("A", "B"), []) == "A  B"


def test_facts_align_their_values() -> None:
    """Names and values stand in two columns."""
    assert facts([("id", 1), ("state", ""), ("x", "y")]) == "id     1\nstate  -\nx      y"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(None, "-", id="nothing"),
        pytest.param("", "-", id="empty"),
        pytest.param(0, "0", id="zero"),
        pytest.param(False, "false", id="boolean"),
        pytest.param({"a": "ä"}, '{"a": "ä"}', id="mapping"),
        pytest.param("a\nb", "a\\nb", id="line-break"),
    ],
)
def test_cell_is_one_line(value: object, shown: str) -> None:
    """Any value fits into one line of a table."""
    assert cell(value) == shown


def test_clip_cuts_only_what_is_too_long() -> None:
    """Long data is cut with an ellipsis unless it may be whole."""
    assert clip("abcdef", 3) == "abc…"
    assert clip("abc", 3) == "abc"
    assert clip("abcdef", None) == "abcdef"


def test_moment_has_no_fraction() -> None:
    """A time is shown to the second, in UTC."""
    assert moment("2027-03-01T12:00:00.123456Z") == "2027-03-01T12:00:00Z"
    assert moment(None) is None


@pytest.mark.parametrize(
    ("revision", "shown"),
    [
        pytest.param("4b825dc642cb6eb9a060e54bf8d69288fbee4904", "4b825dc642cb", id="commit"),
        pytest.param("4b825dc642cb6eb9a060-dirty", "4b825dc642cb-dirty", id="dirty"),
        pytest.param("sha256:4b825dc642cb6eb9a060", "sha256:4b825dc642cb", id="digest"),
        pytest.param("", "", id="none"),
    ],
)
def test_revision_is_short_and_says_when_it_is_dirty(revision: str, shown: str) -> None:
    """Twelve digits are enough to know a revision by."""
    assert short(revision) == shown


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        pytest.param("12:00:00.25Z", "0.25s", id="fraction"),
        pytest.param("12:00:12Z", "12.0s", id="seconds"),
        pytest.param("12:03:05.9Z", "3m 5s", id="minutes"),
        pytest.param("14:01:30Z", "2h 1m", id="hours"),
    ],
)
def test_span_fits_its_length(end: str, shown: str) -> None:
    """The longer something took, the coarser it is told."""
    assert span("2027-03-01T12:00:00Z", f"2027-03-01T{end}") == shown


def test_span_is_unknown_until_the_end() -> None:
    """What has not begun or ended took no time yet."""
    assert span(None, None) is None
    assert span("2027-03-01T12:00:00Z", None) is None


def test_account_is_told_unless_it_is_the_default() -> None:
    """On a host without accounts nobody reads the word."""
    assert full_name({"account": "default", "name": "a"}) == "a"
    assert full_name({"account": "ops", "name": "a"}) == "ops/a"
    assert full_name({"account": "ops", "flow": "b"}) == "ops/b"


@pytest.mark.parametrize("output", ["text", "wide"])
def test_show_makes_text_for_people(output: str) -> None:
    """`-o text` and `-o wide` show the text, which knows how wide it may be."""
    process = Process()
    show(process.host, output, {}, lambda wide: f"wide={wide}")
    assert process.out == f"wide={output == 'wide'}\n"


def test_show_makes_json_that_any_program_reads() -> None:
    """`-o json` is the document, indented, with an end of line."""
    process = Process()
    show(process.host, "json", {"a": ["ä\x1b"]}, str)
    assert json.loads(process.out) == {"a": ["ä\x1b"]}
    assert process.out.endswith("}\n")


def test_show_makes_yaml() -> None:
    """`-o yaml` is the document in block style."""
    process = Process()
    show(process.host, "yaml", {"a": [1]}, str)
    assert process.out == "a:\n  - 1\n"


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({}, "output: misfit"),
        ({"exit_code": 3}, "output: misfit"),
        ({"value": "a\x1b"}, "output: misfit (value: 'a\\x1b')"),
    ],
)
def test_error_tells_the_data_it_is_about(details: dict[str, object], told: str) -> None:
    """Messages are free of data; a person who may see it is told it, on one line."""
    assert error_text({"code": "output", "message": "misfit", "details": details}) == told


@pytest.mark.parametrize("indent", [None, 2], ids=["a-line", "indented"])
def test_json_cannot_steer_a_terminal(indent: int | None) -> None:
    """Every control is escaped, C1 and DEL too; the value stays, and so do other scripts."""
    value = {"text": "\x1b[2J\x9b2J\x85\x7f\u202e ä漢"}
    shown = to_json(value, indent=indent)
    assert shown.replace("\n", "").isprintable()
    assert "ä漢" in shown
    assert json.loads(shown) == value
