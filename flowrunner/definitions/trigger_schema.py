"""The JSON Schema of triggers, a part of the flow schema; here schedules and webhooks."""

from __future__ import annotations

from typing import Any

from flowrunner.definitions.body_keywords import body_keywords
from flowrunner.definitions.event_schema import event_schemas
from flowrunner.definitions.schema_parts import (
    HEADER_NAME,
    HOOK_PATH,
    INNER_NAME,
    SECRET_NAME,
    described,
    duration,
)
from flowrunner.model.body import Content
from flowrunner.model.hook_auth import AuthType
from flowrunner.model.quantities import SIZE_PATTERN
from flowrunner.model.rates import RATE_PATTERN
from flowrunner.model.schedule import Repeated, Skipped

_TYPES = ("schedule", "webhook", "start", "flow", "file")


def trigger_schemas() -> dict[str, Any]:
    """Returns the definitions that `#/$defs/trigger` consists of, by name."""
    return {
        "trigger": _trigger(),
        "schedule": _schedule(),
        "webhook": _webhook(),
        "auth": _auth(),
        "body": body_keywords(),
        **event_schemas(_every_trigger()),
    }


def _trigger() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": described("Kind of trigger.", "schedule", enum=[*_TYPES])},
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in _TYPES
        ],
    }


def _every_trigger() -> dict[str, Any]:
    return {
        "id": described(
            "Name; default: its type, when it is the only one of that type.",
            "nightly",
            type="string",
            pattern=INNER_NAME,
        ),
        "type": True,
        "enabled": described(
            "Whether it starts anything; false keeps it in the file and out of force.",
            False,
            type="boolean",
            default=True,
        ),
        "if": described(
            "Starts only when this expression is true.",
            "trigger.body.ref == 'refs/heads/main'",
            **{"type": ["string", "boolean"], "x-expression": True},
        ),
        "inputs": described(
            "Values of the flow's inputs; strings may hold expressions.",
            {"ref": "${{ trigger.body.ref }}"},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties={"x-expression": True},
        ),
    }


def _schedule() -> dict[str, Any]:
    return {
        "x-kind": "schedule",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_every_trigger(),
            "cron": described(
                "Five fields, or @hourly @daily @weekly @monthly @yearly.",
                "30 2 * * 1-5",
                type="string",
            ),
            "every": duration("A period of 1s to 366d, aligned to the epoch.", "15m"),
            "timezone": described(
                "IANA name of the zone the cron fields speak of.",
                "Europe/Berlin",
                type="string",
                default="UTC",
            ),
            "jitter": duration(
                "Starts by up to this much later than the slot: always the same for a flow on a "
                "host.",
                "10m",
                "0s",
            ),
            "dst": {
                **described(
                    "What a fixed hour does when the clock is changed.", {"skipped": "skip"}
                ),
                "x-kind": "dst",
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "skipped": described(
                        "The times lost in a gap: one start right after it, or none.",
                        "skip",
                        enum=[str(word) for word in Skipped],
                        default=str(Skipped.RUN_AFTER),
                    ),
                    "repeated": described(
                        "The times that come twice: a start at the first, or at both.",
                        "twice",
                        enum=[str(word) for word in Repeated],
                        default=str(Repeated.ONCE),
                    ),
                },
            },
            "catchup": described(
                "Which slots that were lost, as while the daemon was down, start after all.",
                "latest",
                enum=["none", "latest", "all"],
                default="latest",
            ),
            "catchup_window": duration(
                "How late a slot may be caught up, 1m to 366d; default 6h.", "6h"
            ),
        },
    }


def _webhook() -> dict[str, Any]:
    return {
        "x-kind": "webhook",
        "type": "object",
        "required": ["auth"],
        "additionalProperties": False,
        "properties": {
            **_every_trigger(),
            "path": described(
                "Below /hooks/<account>/; default <flow>/<id>.",
                "deploy/push",
                type="string",
                pattern=HOOK_PATH,
                maxLength=200,
            ),
            "methods": described(
                "Accepted methods.",
                ["POST"],
                type="array",
                minItems=1,
                uniqueItems=True,
                items={"enum": ["POST", "PUT", "PATCH", "GET"]},
            ),
            "auth": {"$ref": "#/$defs/auth", "examples": [{"type": "github", "secret": "DEPLOY"}]},
            "dedupe": {
                **described("Refuses the same delivery twice.", {"window": "24h"}),
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "key": described(
                        "Expression of the delivery's own id.",
                        "trigger.headers['x-request-id']",
                        **{"type": "string", "x-expression": True},
                    ),
                    "window": duration("How long it is remembered.", "24h", "24h"),
                },
            },
            "schema": {"$ref": "#/$defs/body", "examples": [{"type": "object"}]},
            "content": described(
                "What the body is: JSON, a form, or bytes that only the flow reads.",
                "form",
                enum=[str(each) for each in Content],
                default=str(Content.JSON),
            ),
            **_answer(),
            "rate_limit": described(
                "Most deliveries, a number per time: so many at once, more are answered 429.",
                "30/1m",
                type="string",
                pattern=RATE_PATTERN,
            ),
            "max_body": described(
                "Largest body, up to 64MiB.",
                "64KiB",
                type="string",
                pattern=SIZE_PATTERN,
                default="1MiB",
            ),
        },
    }


def _answer() -> dict[str, Any]:
    """Returns the keys that say when a delivery is answered."""
    return {
        "respond": described(
            "Whether the answer comes when the execution is accepted, or when it has ended.",
            "wait",
            enum=["accepted", "wait"],
            default="accepted",
        ),
        "wait_timeout": duration(
            "How long such an answer waits, 1s to 5m; then it is that of accepted.",
            "30s",
            "30s",
        ),
    }


def _auth() -> dict[str, Any]:
    return {
        **described("How a delivery is verified.", {"type": "github", "secret": "DEPLOY"}),
        "x-kind": "auth",
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": described("The scheme.", "hmac", enum=[str(each) for each in AuthType]),
            "secret": described(
                "Name of the secret.", "DEPLOY", type="string", pattern=SECRET_NAME
            ),
            "secrets": described(
                "Names of several secrets, for rotation.",
                ["NEW", "OLD"],
                type="array",
                minItems=1,
                uniqueItems=True,
                items={"type": "string", "pattern": SECRET_NAME},
            ),
            "tolerance": duration(
                "How far a signed time may be off, 1s to 1h (stripe, slack, standard, gitlab).",
                "5m",
                "5m",
            ),
            "header": described(
                "Header with the signature (hmac).",
                "X-Signature",
                type="string",
                pattern=HEADER_NAME,
            ),
            "algorithm": described(
                "Digest (hmac).", "sha256", enum=["sha256", "sha512"], default="sha256"
            ),
            "encoding": described(
                "Encoding of the signature (hmac).", "hex", enum=["hex", "base64"], default="hex"
            ),
            "prefix": described(
                "Text before the signature (hmac).", "sha256=", type="string", default=""
            ),
        },
    }
