"""Triggers of the types `start`, `flow` and `file`, from a checked definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.definitions.templates import if_of, templated_deep
from flowrunner.errors import ValidationError
from flowrunner.model.event_triggers import (
    EventTrigger,
    FileTrigger,
    FlowTrigger,
    OncePer,
    StartTrigger,
)
from flowrunner.model.globs import parse_glob
from flowrunner.model.ids import Json
from flowrunner.model.quantities import parse_duration
from flowrunner.model.states import ExecutionState

SETTLE = "10s"
"""How long a file stays as it is before it counts. Source: FLOW_FORMAT 3."""


def build_event_trigger(trigger_id: str, raw: Mapping[str, Json]) -> EventTrigger:
    """Returns the trigger; raises `ValidationError` for one of another type."""
    shared: dict[str, Any] = {
        "id": trigger_id,
        "is_enabled": raw.get("enabled", True),
        "condition": if_of(raw),
        "inputs": {name: templated_deep(value) for name, value in raw.get("inputs", {}).items()},
    }
    match raw["type"]:
        case "start":
            return StartTrigger(once_per=OncePer(raw.get("once_per", OncePer.BOOT)), **shared)
        case "flow":
            states = raw.get("states", [ExecutionState.SUCCEEDED])
            return FlowTrigger(
                flow=raw["flow"], states=frozenset(map(ExecutionState, states)), **shared
            )
        case "file":
            settle_s = parse_duration(raw.get("settle", SETTLE))
            path = raw["path"]
            return FileTrigger(path=path, glob=parse_glob(path), settle_s=settle_s, **shared)
        case other:
            raise ValidationError(f"there is no type of trigger {other!r}")
