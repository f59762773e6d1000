"""Parts of the schema that a flow and a `_defaults.yaml` share: what either may say of nodes."""

from __future__ import annotations

from typing import Any

from flowrunner.definitions.process_schema import default_process_keys
from flowrunner.definitions.schema_parts import ENV_NAME, LABEL_NAME, described, duration, size
from flowrunner.model.flow import MOST_ITEMS, Backoff

_SCALAR = ["string", "integer", "number", "boolean", "null"]


def labels() -> dict[str, Any]:
    """Returns the schema of labels."""
    return described(
        "Free labels.",
        {"team": "orders"},
        type="object",
        propertyNames={"pattern": LABEL_NAME},
        additionalProperties={"type": "string", "maxLength": 256},
    )


def retention() -> dict[str, Any]:
    """Returns the schema of what is kept of a flow's executions."""
    return {
        **described(
            "What is kept of the flow's executions; for what it does not say, the settings hold.",
            {"executions": 1000, "age": "90d"},
        ),
        "x-kind": "retention",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "executions": described(
                "Most executions kept, the newest; those that wait or run, and the newest that has "
                "ended, are kept in any case. The default is the setting "
                "engine.retention_executions.",
                1000,
                type="integer",
                minimum=1,
                maximum=10_000_000,
            ),
            "age": duration(
                "Age at which executions go with their logs, from 1h to 3650d. The default is the "
                "setting engine.retention_age.",
                "90d",
            ),
            "log_bytes": size(
                "Most bytes of the log of one attempt, from 1KiB to 1TiB; the rest of its output "
                "is dropped, and a last line says so. The default is the setting "
                "engine.attempt_log_bytes.",
                "20MiB",
            ),
        },
    }


def environment(text: str, example: object) -> dict[str, Any]:
    """Returns the schema of an `env`, described by `text`."""
    return described(
        text,
        example,
        type="object",
        propertyNames={"pattern": ENV_NAME},
        additionalProperties={"type": _SCALAR, "x-expression": True},
    )


def attempt_keys() -> dict[str, Any]:
    """Returns the keys that bound the attempts of a node."""
    return {
        "timeout": duration("Bound of each attempt.", "15m"),
        "kill_after": duration("Between SIGTERM and SIGKILL.", "10s", "10s"),
        "retry": {
            **described("Tries again after a failure.", {"max_attempts": 3, "delay": "2s"}),
            "x-kind": "retry",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                "max_attempts": described(
                    "How often it is tried, the first included.",
                    5,
                    type="integer",
                    minimum=1,
                    maximum=1000,
                    default=1,
                ),
                "delay": duration("Pause after the first attempt.", "2s", "1s"),
                "backoff": described(
                    "How the pause grows: the same, times 1 2 3 4, or times 1 2 4 8.",
                    "exponential",
                    enum=[str(member) for member in Backoff],
                    default="constant",
                ),
                "max_delay": duration(
                    "Longest pause; by default 5m, or `delay` when that is longer.", "1m"
                ),
                "jitter": described(
                    "The part of each pause of which chance takes something off.",
                    0.5,
                    type="number",
                    minimum=0,
                    maximum=1,
                    default=0,
                ),
                "if": described(
                    "Tries again only when this expression over `attempt` is true.",
                    "attempt.exit_code == 75",
                    **{"type": ["string", "boolean"], "x-expression": True},
                ),
            },
        },
    }


def trying_keys() -> dict[str, Any]:
    """Returns the keys that say how a node is tried, and for which items."""
    return {
        "foreach": described(
            "Tries the node for each item of a list, or of what an expression gives, as `item` and "
            "`index`; its outputs are a list.",
            ["web1", "web2"],
            **{
                "type": ["array", "string"],
                "minLength": 1,
                "maxItems": MOST_ITEMS,
                "x-expression": True,
            },
        ),
        "max_parallel": described(
            "How many items are tried at once.",
            4,
            type="integer",
            minimum=1,
            maximum=1_000,
            default=1,
        ),
        "fail_fast": described(
            "Whether an item that failed ends those in progress and lets no other start.",
            False,
            type="boolean",
            default=True,
        ),
        **attempt_keys(),
    }


def node_defaults() -> dict[str, Any]:
    """Returns the schema of `defaults`."""
    return {
        **described(
            "What nodes have that do not say it themselves; `timeout` and `retry` reach types that "
            "act outside, `kill_after`, `working_dir` and `user` those that start a process, "
            "`shell` those with a script.",
            {"timeout": "15m", "retry": {"max_attempts": 3}},
        ),
        "x-kind": "defaults",
        "type": "object",
        "additionalProperties": False,
        "properties": {**attempt_keys(), **default_process_keys()},
    }
