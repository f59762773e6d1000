"""The JSON Schema of triggers of the types `start`, `flow` and `file`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.definitions.build_events import SETTLE
from flowrunner.definitions.schema_parts import FLOW_NAME, described, duration
from flowrunner.model.event_triggers import OncePer
from flowrunner.model.states import ExecutionState

LONGEST_PATH = 4_096
"""Characters of a glob. Source: PATH_MAX of Linux, `limits.h`."""


def event_schemas(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the definitions by type; `shared` are the keys of every trigger."""
    return {"start": _start(shared), "flow": _flow(shared), "file": _file(shared)}


def _start(shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "x-kind": "start-trigger",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **shared,
            "once_per": described(
                "Once after each boot of the host, or at each start of the daemon.",
                "boot",
                enum=[str(word) for word in OncePer],
                default=str(OncePer.BOOT),
            ),
        },
    }


def _flow(shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "x-kind": "flow-trigger",
        "type": "object",
        "required": ["flow"],
        "additionalProperties": False,
        "properties": {
            **shared,
            "flow": described(
                "The flow, of the same account, whose end starts this one.",
                "fetch-orders",
                type="string",
                pattern=FLOW_NAME,
            ),
            "states": described(
                "The states in which it must have ended.",
                ["failed", "timed_out"],
                type="array",
                minItems=1,
                uniqueItems=True,
                items={"enum": [str(state) for state in ExecutionState if state.is_final]},
                default=[str(ExecutionState.SUCCEEDED)],
            ),
        },
    }


def _file(shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "x-kind": "file-trigger",
        "type": "object",
        "required": ["path"],
        "additionalProperties": False,
        "properties": {
            **shared,
            "path": described(
                "Absolute path of files; * and ? stand for characters of a name, ** for folders.",
                "/srv/inbox/*.csv",
                type="string",
                maxLength=LONGEST_PATH,
            ),
            "settle": duration(
                "How long a file must stay as it is before it counts.", "1m", SETTLE
            ),
        },
    }
