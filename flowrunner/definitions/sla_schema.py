"""The JSON Schema of `sla`, and its construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.definitions.schema_parts import described, duration
from flowrunner.model.ids import Json
from flowrunner.model.quantities import parse_duration
from flowrunner.model.sla import SlaKind, SlaSpec


def sla_schema() -> dict[str, Any]:
    """Returns the schema of the key."""
    return {
        **described("Promises; one that is broken is counted and logged.", {"max_duration": "1h"}),
        "x-kind": "sla",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "start_within": duration(
                "From the moment at which a slot is to start to its start.", "5m"
            ),
            "max_duration": duration("From the start of an execution to its end.", "1h"),
            "max_since_success": duration("From one success to the next.", "26h"),
        },
    }


def build_sla(raw: Mapping[str, Json] | None) -> SlaSpec | None:
    """Returns what a checked definition says; None where it says nothing."""
    if raw is None:
        return None
    given = {f"{kind}_s": parse_duration(raw[kind]) for kind in SlaKind if kind in raw}
    return SlaSpec(**given)
