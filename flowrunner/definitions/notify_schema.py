"""The JSON Schema of `notify`, which a flow and a `_defaults.yaml` share."""

from __future__ import annotations

from typing import Any

from flowrunner.definitions.schema_parts import described, duration
from flowrunner.model.notify import CHANNEL_NAME, MOST_IN_A_ROW, MOST_IN_WINDOW, RULE_WORDS


def notify_schema() -> dict[str, Any]:
    """Returns the schema of the key."""
    return described(
        "Who is told what; over which channels is a setting of the host. An empty list: nobody. "
        "The default is that of the account, or the setting notify.default.",
        [{"on": ["failed", "recovered"], "channels": ["oncall"]}],
        type="array",
        maxItems=20,
        items={
            "x-kind": "notify",
            "type": "object",
            "required": ["on", "channels"],
            "additionalProperties": False,
            "properties": {
                "on": described(
                    "What is told.",
                    ["failed", "recovered"],
                    type="array",
                    minItems=1,
                    uniqueItems=True,
                    items={"enum": list(RULE_WORDS)},
                ),
                "channels": described(
                    "Over which channels, by their names in the settings.",
                    ["oncall"],
                    type="array",
                    minItems=1,
                    uniqueItems=True,
                    items={"type": "string", "pattern": CHANNEL_NAME},
                ),
                "after_consecutive": described(
                    "From which failure in a row on failures are told.",
                    3,
                    type="integer",
                    minimum=1,
                    maximum=MOST_IN_A_ROW,
                    default=1,
                ),
                "window": _window(),
            },
        },
    )


def _window() -> dict[str, Any]:
    return {
        **described(
            "Failures are told when there were so many within a time, in a row or not.",
            {"failures": 3, "within": "1h"},
        ),
        "x-kind": "notify-window",
        "type": "object",
        "required": ["failures", "within"],
        "additionalProperties": False,
        "properties": {
            "failures": described(
                "How many.", 3, type="integer", minimum=2, maximum=MOST_IN_WINDOW
            ),
            "within": duration("Within which time, up to 30d.", "1h"),
        },
    }
