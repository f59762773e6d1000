"""Pages that are written from the code are what the code says now."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from flowrunner.config.settings_page import render_settings_table
from flowrunner.daemon.offline import flow_schema_document
from flowrunner.definitions.codes import CODES
from flowrunner.definitions.codes_page import render_codes_page
from tests.unit.docs.pages import read


def test_findings_page_is_current() -> None:
    """docs/findings.md is the rendered page; `make generate` writes it anew."""
    assert read("docs/findings.md") == render_codes_page()


def test_findings_page_has_every_code() -> None:
    """No code is left out of the page, whatever its first digit."""
    page = render_codes_page()

    assert [code for code in CODES if f"### {code}: " not in page] == []


def test_settings_table_is_current() -> None:
    """The table in docs/operating.md is the rendered one; `make generate` writes it anew."""
    assert render_settings_table() in read("docs/operating.md")


def test_published_flow_schema_is_current() -> None:
    """The schema that editors use is the one that files are checked with."""
    text = json.dumps(flow_schema_document(), indent=2, ensure_ascii=False) + "\n"

    assert read("schemas/flow.v1.schema.json") == text


def test_flow_schema_is_a_schema() -> None:
    """The document is a valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(dict(flow_schema_document()))
