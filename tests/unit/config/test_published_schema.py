"""The settings schema that is published."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from flowrunner.config.describe import settings_schema

PUBLISHED = Path(__file__).parents[3] / "schemas" / "settings.v1.schema.json"


def test_published_schema_is_current() -> None:
    """The file in `schemas/` is what the settings say; `make generate` writes it anew."""
    expected = json.dumps(settings_schema(), indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text() == expected


def test_settings_schema_is_a_schema() -> None:
    """The document is a valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(settings_schema())
