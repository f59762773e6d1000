"""Pages that are written from the code are what the code says now."""

from __future__ import annotations

from flowrunner.config.settings_page import render_settings_table
from flowrunner.definitions.codes import CODES
from flowrunner.definitions.codes_page import render_codes_page
from tests.unit.docs.pages import read


def test_findings_page_is_current() -> None:
    """docs/findings.md is the rendered page; write it anew with `.make/docs`."""
    assert read("docs/findings.md") == render_codes_page()


def test_findings_page_has_every_code() -> None:
    """No code is left out of the page, whatever its first digit."""
    page = render_codes_page()

    assert [code for code in CODES if f"### {code}: " not in page] == []


def test_settings_table_is_current() -> None:
    """The table in docs/operating.md is the rendered one; write it anew with `.make/docs`."""
    assert render_settings_table() in read("docs/operating.md")
