"""Nothing that was printed or named elsewhere can steer the terminal it is shown on."""

from __future__ import annotations

import pytest

from flowrunner.cli.text import safe, safe_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain ä 漢 😀", "plain ä 漢 😀", id="printable"),
        pytest.param("a\nb\tc", "a\\nb\\tc", id="breaks-and-tabs"),
        pytest.param("\x1b[2Jx\x07", "\\x1b[2Jx\\x07", id="terminal-codes"),
        pytest.param("abc\u202edef", "abc\\u202edef", id="right-to-left"),
        pytest.param("name\udcff", "name\\udcff", id="no-utf-8"),
    ],
)
def test_safe_text_has_escapes_for_what_cannot_be_seen(text: str, shown: str) -> None:
    """Text in a table or a message stays on one line and is only text."""
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain", "plain", id="printable"),
        pytest.param("a\tb", "a\tb", id="tab"),
        pytest.param("\x1b[1;31mred", "\x1b[1;31mred\x1b[0m", id="colour-ends-with-the-line"),
        pytest.param("\x1b]0;title\x07", "\\x1b]0;title\\x07\x1b[0m", id="title"),
        pytest.param("\x9b2J \x7f", "\\x9b2J \\x7f", id="c1-and-delete"),
        pytest.param("10%\r20%", "10%\\r20%", id="carriage-return"),
    ],
)
def test_safe_line_keeps_tabs_and_colours(text: str, shown: str) -> None:
    """A log line on a terminal keeps its look, but cannot move the cursor or set titles."""
    assert safe_line(text) == shown
