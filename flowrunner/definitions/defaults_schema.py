"""The JSON Schema of a `_defaults.yaml`: what a folder supplies to the flows below it.

`schemas/defaults.v1.schema.json` is generated from here. Source: JSON Schema 2020-12.
"""

from __future__ import annotations

from typing import Any

from flowrunner.definitions.notify_schema import notify_schema
from flowrunner.definitions.shared_schema import environment, labels, node_defaults, retention

SCHEMA_ID = "https://flowrunner.dev/schemas/defaults.v1.schema.json"


def defaults_schema() -> dict[str, Any]:
    """Returns the whole schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "FlowRunner defaults of a folder, version 1",
        "description": "What the flows in this folder and below it do not say themselves.",
        "x-kind": "folder",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": node_defaults(),
            "env": environment("Environment of every shell-like node.", {"LANG": "C"}),
            "labels": labels(),
            "notify": notify_schema(),
            "retention": retention(),
        },
    }
