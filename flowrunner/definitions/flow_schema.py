"""The JSON Schema of a flow file, version 1: the one source of what a flow may contain.

`schemas/flow.v1.schema.json` is generated from here and from the node types, which bring the
schema of their own `params`. `x-expression` marks strings that may hold `${{ }}`,
`x-interpreted` text that an interpreter parses, `x-kind` names a mapping for the hint "planned".
Source: JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.model.flow import ValueType

SCHEMA_ID = "https://flowrunner.dev/schemas/flow.v1.schema.json"
FLOW_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"
INNER_NAME = "^[a-z][a-z0-9_]{0,62}$"
DURATION = "^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
SIZE = "^[0-9]+(B|KiB|MiB|GiB|TiB)$"
SECRET_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"  # noqa: S105 - a pattern, not a secret
ENV_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
HEADER_NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
HOOK_PATH = r"^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$"

_SCALAR = ["string", "integer", "number", "boolean", "null"]
_TYPES = [str(member) for member in ValueType]


def flow_schema(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the whole schema for the given node types (type → schema of its params)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "FlowRunner flow, version 1",
        "description": "One flow: its triggers and its graph of nodes.",
        "x-kind": "flow",
        "type": "object",
        "required": ["version", "name", "nodes"],
        "additionalProperties": False,
        "properties": _top_level(),
        "$defs": {
            "node": _node(sorted(params)),
            "trigger": _trigger(),
            "schedule": _schedule(),
            "webhook": _webhook(),
            "auth": _auth(),
            **{f"params-{name}": dict(schema) for name, schema in params.items()},
        },
    }


def _described(text: str, example: object, **rest: object) -> dict[str, Any]:
    return {"description": text, "examples": [example], **rest}


def _duration(text: str, example: str, default: str | None = None) -> dict[str, Any]:
    extra = {} if default is None else {"default": default}
    return _described(text, example, type="string", minLength=2, pattern=DURATION, **extra)


def _top_level() -> dict[str, Any]:
    return {
        "version": _described("Version of the format.", 1, const=1),
        "name": _described(
            "Identity of the flow in its account; the file may be renamed freely.",
            "nightly-orders",
            type="string",
            pattern=FLOW_NAME,
        ),
        "description": _described("For people.", "Fetch the orders.", type="string"),
        "labels": _described(
            "Free labels.",
            {"team": "orders"},
            type="object",
            propertyNames={"pattern": "^[a-z][a-z0-9_./-]{0,62}$"},
            additionalProperties={"type": "string", "maxLength": 256},
        ),
        "inputs": _described(
            "What a start may or must bring; required without `default`.",
            {"day": {"type": "string"}},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties=_input(),
        ),
        "vars": _described(
            "Constants for expressions, as `vars.x`.",
            {"limit": 90},
            type="object",
            propertyNames={"pattern": INNER_NAME},
        ),
        "env": _env("Environment of every shell-like node.", {"LANG": "C"}),
        "secrets": _described(
            "Names of the secrets this flow may use.",
            ["DEPLOY_TOKEN"],
            type="array",
            uniqueItems=True,
            items={"type": "string", "pattern": SECRET_NAME},
        ),
        "triggers": _described(
            "What starts the flow.",
            [{"type": "schedule", "cron": "@daily", "timezone": "Europe/Berlin"}],
            type="array",
            items={"$ref": "#/$defs/trigger"},
        ),
        "concurrency": _concurrency(),
        "nodes": _described(
            "The graph; a list runs in order unless `needs` says otherwise.",
            [{"id": "hello", "run": "echo hello"}],
            type="array",
            minItems=1,
            maxItems=10_000,
            items={"$ref": "#/$defs/node"},
        ),
    }


def _env(text: str, example: object) -> dict[str, Any]:
    return _described(
        text,
        example,
        type="object",
        propertyNames={"pattern": ENV_NAME},
        additionalProperties={"type": _SCALAR, "x-expression": True},
    )


def _input() -> dict[str, Any]:
    return {
        "x-kind": "input",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": _described("Type of the value.", "integer", enum=_TYPES, default="string"),
            "default": _described("Value when a start brings none; a literal.", 7),
            "enum": _described("The allowed values.", ["a", "b"], type="array", minItems=1),
            "minimum": _described("Smallest number.", 0, type="number"),
            "maximum": _described("Largest number.", 100, type="number"),
            "description": _described("For people.", "The day to fetch.", type="string"),
        },
    }


def _concurrency() -> dict[str, Any]:
    return {
        **_described("How many executions run at once.", {"limit": 1, "on_conflict": "skip"}),
        "x-kind": "concurrency",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "limit": _described(
                "Executions at once.", 1, type="integer", minimum=1, maximum=1000, default=1
            ),
            "on_conflict": _described(
                "What happens to a start beyond the limit.",
                "skip",
                enum=["queue", "skip"],
                default="queue",
            ),
            "queue_limit": _described(
                "Deliveries that may wait.",
                100,
                type="integer",
                minimum=0,
                maximum=10_000,
                default=100,
            ),
        },
    }


def _node(types: list[str]) -> dict[str, Any]:
    by_type = [
        {
            "if": {"required": ["type"], "properties": {"type": {"const": name}}},
            "then": {"properties": {"params": {"$ref": f"#/$defs/params-{name}"}}},
        }
        for name in types
    ]
    return {
        "x-kind": "node",
        "type": "object",
        "required": ["id"],
        "additionalProperties": False,
        "properties": _node_properties(types),
        "allOf": [
            {
                "if": {"required": ["run"]},
                "then": {"properties": {"type": False, "params": False}},
                "else": {"required": ["type"]},
            },
            *by_type,
        ],
    }


def _node_properties(types: list[str]) -> dict[str, Any]:
    return {
        "id": _described("Name of the node.", "fetch", type="string", pattern=INNER_NAME),
        "type": _described("What the node does.", "exec", enum=types),
        "params": _described("Parameters of the type.", {"argv": ["true"]}, type="object"),
        "run": _described(
            "A shell script; short for `type: shell` with `params.script`.",
            "echo hello",
            **{"type": "string", "minLength": 1, "x-interpreted": True},
        ),
        "needs": _described(
            "Nodes that come first; omitted: the node above; empty: at once.",
            ["fetch"],
            type="array",
            uniqueItems=True,
            items={"type": "string"},
        ),
        "if": _described(
            "Runs only when this expression is true.",
            "nodes.fetch.outputs.status == 200",
            **{"type": ["string", "boolean"], "x-expression": True},
        ),
        "env": _env("Environment of a shell-like node.", {"DAY": "${{ inputs.day }}"}),
        "timeout": _duration("Bound of each attempt.", "15m"),
        "kill_after": _duration("Between SIGTERM and SIGKILL.", "10s", "10s"),
        "retry": {
            **_described("Tries again after a failure.", {"max_attempts": 3, "delay": "2s"}),
            "x-kind": "retry",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "max_attempts": _described(
                    "How often it is tried, the first included.",
                    5,
                    type="integer",
                    minimum=1,
                    maximum=1000,
                    default=1,
                ),
                "delay": _duration("Pause between attempts.", "2s", "1s"),
            },
        },
        "outputs": _described(
            "Outputs a shell-like node writes to $FLOW_OUTPUT, with their types.",
            {"rows": {"type": "integer"}},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties={
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "type": _described("Type.", "integer", enum=_TYPES, default="string")
                },
            },
        ),
    }


def _trigger() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": _described("Kind of trigger.", "schedule", enum=["schedule", "webhook"])
        },
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in ("schedule", "webhook")
        ],
    }


def _every_trigger() -> dict[str, Any]:
    return {
        "id": _described(
            "Name; default: its type, when it is the only one of that type.",
            "nightly",
            type="string",
            pattern=INNER_NAME,
        ),
        "type": True,
        "if": _described(
            "Starts only when this expression is true.",
            "trigger.body.ref == 'refs/heads/main'",
            **{"type": ["string", "boolean"], "x-expression": True},
        ),
        "inputs": _described(
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
            "cron": _described(
                "Five fields, or @hourly @daily @weekly @monthly @yearly.",
                "30 2 * * 1-5",
                type="string",
            ),
            "every": _duration("A period of 1s to 366d, aligned to the epoch.", "15m"),
            "timezone": _described(
                "IANA name of the zone the cron fields speak of.",
                "Europe/Berlin",
                type="string",
                default="UTC",
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
            "path": _described(
                "Below /hooks/<account>/; default <flow>/<id>.",
                "deploy/push",
                type="string",
                pattern=HOOK_PATH,
                maxLength=200,
            ),
            "methods": _described(
                "Accepted methods.",
                ["POST"],
                type="array",
                minItems=1,
                uniqueItems=True,
                items={"enum": ["POST", "PUT", "PATCH", "GET"]},
            ),
            "auth": {"$ref": "#/$defs/auth"},
            "dedupe": {
                **_described("Refuses the same delivery twice.", {"window": "24h"}),
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "key": _described(
                        "Expression of the delivery's own id.",
                        "trigger.headers['x-request-id']",
                        **{"type": "string", "x-expression": True},
                    ),
                    "window": _duration("How long it is remembered.", "24h", "24h"),
                },
            },
            "max_body": _described(
                "Largest body.", "64KiB", type="string", pattern=SIZE, default="1MiB"
            ),
        },
    }


def _auth() -> dict[str, Any]:
    return {
        **_described("How a delivery is verified.", {"type": "github", "secret": "DEPLOY"}),
        "x-kind": "auth",
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": _described("The scheme.", "hmac", enum=["hmac", "github", "bearer"]),
            "secret": _described(
                "Name of the secret.", "DEPLOY", type="string", pattern=SECRET_NAME
            ),
            "secrets": _described(
                "Names of several secrets, for rotation.",
                ["NEW", "OLD"],
                type="array",
                minItems=1,
                items={"type": "string", "pattern": SECRET_NAME},
            ),
            "header": _described(
                "Header with the signature (hmac).",
                "X-Signature",
                type="string",
                pattern=HEADER_NAME,
            ),
            "algorithm": _described(
                "Digest (hmac).", "sha256", enum=["sha256", "sha512"], default="sha256"
            ),
            "encoding": _described(
                "Encoding of the signature (hmac).", "hex", enum=["hex", "base64"], default="hex"
            ),
            "prefix": _described(
                "Text before the signature (hmac).", "sha256=", type="string", default=""
            ),
        },
    }
