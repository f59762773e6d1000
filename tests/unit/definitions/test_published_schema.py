"""The flow schema that is published."""

from __future__ import annotations

import json
from pathlib import Path

from flowrunner.definitions.flow_schema import flow_schema
from tests.fakes.nodes import builtin_nodes

PUBLISHED = Path(__file__).parents[3] / "schemas" / "flow.v1.schema.json"


def test_published_schema_is_current() -> None:
    """The file in `schemas/` is what the code accepts; `flowrunner schema` prints it anew."""
    document = flow_schema(builtin_nodes().schemas())

    expected = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text(encoding="utf-8") == expected
