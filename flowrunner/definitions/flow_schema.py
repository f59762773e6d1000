"""The JSON Schema of a flow file, version 1: the one source of what a flow may contain.

`schemas/flow.v1.schema.json` is generated from here and from the node types, which bring the
schema of their own `params`. `x-expression` marks strings that may hold `${{ }}`, `x-condition`
beside it those that are a condition, `x-moment` those that are a time or an expression that gives
one, `x-secret` those that may be secret, `x-interpreted` text that an interpreter parses, `x-kind`
names a mapping for the hint "planned".
Source: JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.definitions.notify_schema import notify_schema
from flowrunner.definitions.process_schema import process_keys
from flowrunner.definitions.schema_parts import (
    FLOW_NAME,
    INNER_NAME,
    SECRET_NAME,
    described,
    duration,
)
from flowrunner.definitions.shared_schema import (
    environment,
    labels,
    node_defaults,
    retention,
    trying_keys,
)
from flowrunner.definitions.sla_schema import sla_schema
from flowrunner.definitions.trigger_schema import trigger_schemas
from flowrunner.model.flow import OnConflict, OnInterrupt, ValueType
from flowrunner.model.formats import TextFormat
from flowrunner.model.host import HOST_LABEL

SCHEMA_ID = "https://flowrunner.dev/schemas/flow.v1.schema.json"
_VALUES = ["string", "integer", "number", "boolean"]
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
            "node": _node(params),
            **trigger_schemas(),
            **{
                f"params-{name}": {"x-kind": f"params-{name}", **params[name]}
                for name in sorted(params)
            },
        },
    }


def _top_level() -> dict[str, Any]:
    return {
        "version": described("Version of the format.", 1, const=1),
        "name": described(
            "Identity of the flow in its account; the file may be renamed freely.",
            "nightly-orders",
            type="string",
            pattern=FLOW_NAME,
        ),
        "description": described("For people.", "Fetch the orders.", type="string"),
        "labels": labels(),
        "inputs": described(
            "What a start may or must bring; required without `default`.",
            {"day": {"type": "string"}},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties=_input(),
        ),
        "vars": described(
            "Constants for expressions, as `vars.x`.",
            {"limit": 90},
            type="object",
            propertyNames={"pattern": INNER_NAME},
        ),
        "env": environment("Environment of every shell-like node.", {"LANG": "C"}),
        "secrets": described(
            "Names of the secrets this flow may use.",
            ["DEPLOY_TOKEN"],
            type="array",
            uniqueItems=True,
            items={"type": "string", "pattern": SECRET_NAME},
        ),
        "triggers": described(
            "What starts the flow.",
            [{"type": "schedule", "cron": "@daily", "timezone": "Europe/Berlin"}],
            type="array",
            maxItems=1_000,
            items={"$ref": "#/$defs/trigger"},
        ),
        "concurrency": _concurrency(),
        "timeout": duration(
            "Bound of an execution from its start, waits and restarts included; then its nodes are "
            "cancelled. The default is the setting engine.timeout.",
            "2h",
        ),
        **_holds(),
        "retention": retention(),
        "defaults": node_defaults(),
        **_graph(),
        "outputs": described(
            "The result of a successful execution: values or expressions over its nodes.",
            {"rows": "${{ nodes.count.outputs.rows }}"},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties={"type": _VALUES, "x-expression": True},
        ),
    }


def _graph() -> dict[str, Any]:
    return {
        "nodes": described(
            "The graph; a list runs in order unless `needs` says otherwise.",
            [{"id": "hello", "run": "echo hello"}],
            type="array",
            minItems=1,
            maxItems=10_000,
            items={"$ref": "#/$defs/node"},
        ),
        "finally": described(
            "Nodes that run when all others have ended, however they did; `if` is `always()` by "
            "default, `needs` only orders.",
            [{"id": "unlock", "run": "rm -f /srv/lock"}],
            type="array",
            minItems=1,
            maxItems=10_000,
            items={"$ref": "#/$defs/node"},
        ),
        "finally_timeout": duration(
            "Bound of `finally`; then its nodes are cancelled.", "2m", "5m"
        ),
    }


def _holds() -> dict[str, Any]:
    """Returns what keeps a flow from starting and from leaving, and who is told of it."""
    return {
        "runs_on": described(
            "Labels that a host must have, all of them: the setting `server.labels`. On any other "
            "host the flow is valid, and starts nothing.",
            ["db"],
            type=["string", "array"],
            minItems=1,
            uniqueItems=True,
            pattern=HOST_LABEL,
            items={"type": "string", "pattern": HOST_LABEL},
        ),
        "protect": described(
            "While true, neither removing the file nor this line takes effect before somebody has "
            "approved it with `flowrunner reconcile --allow-prune`.",
            True,
            type="boolean",
            default=False,
        ),
        "suspend": described(
            "While true nothing starts: slots are skipped, deliveries refused, queued executions "
            "stay queued. What runs goes on, and nothing is caught up later.",
            True,
            type="boolean",
            default=False,
        ),
        "pause_after_failures": described(
            "Executions that fail or time out in a row, after which the flow is paused until its "
            "definition changes or somebody resumes it.",
            3,
            type="integer",
            minimum=1,
            maximum=1_000,
        ),
        "sla": sla_schema(),
        "notify": notify_schema(),
    }


def _input() -> dict[str, Any]:
    return {
        "x-kind": "input",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_value(),
            "items": {
                **described("What each item of an array must be.", {"type": "integer"}),
                "x-kind": "items",
                "type": "object",
                "additionalProperties": False,
                "properties": _value(),
            },
            "default": described("Value when a start brings none; a literal.", 7),
            "description": described("For people.", "The day to fetch.", type="string"),
        },
    }


def _value() -> dict[str, Any]:
    """Returns the keywords about one value; which of them suit its type is told by a check."""
    return {
        "type": described("Type of the value.", "integer", enum=_TYPES, default="string"),
        "enum": described("The allowed values.", ["a", "b"], type="array", minItems=1),
        "minimum": described("Smallest number.", 0, type="number"),
        "maximum": described("Largest number.", 100, type="number"),
        "pattern": described(
            "Regular expression that must be found in the text; linear time, so without looking "
            "around and back references.",
            "^[0-9a-f]{40}$",
            type="string",
        ),
        "format": described(
            "What the text must be; a duration is one of the flow format.",
            "date",
            enum=[str(member) for member in TextFormat],
        ),
    }


def _concurrency() -> dict[str, Any]:
    return {
        **described(
            "How many executions of a group run at once, and what becomes of the others.",
            {"group": "inputs.host", "limit": 1, "on_conflict": "skip"},
        ),
        "x-kind": "concurrency",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "group": described(
                "Names the group of an execution, over all flows of the account; omitted: the "
                "flow's own. Sees inputs, vars, env, trigger and flow.",
                "inputs.host",
                **{"type": "string", "minLength": 1, "x-expression": True},
            ),
            "limit": described(
                "Executions of the group at once.",
                1,
                type="integer",
                minimum=1,
                maximum=1000,
                default=1,
            ),
            "on_conflict": described(
                "What happens to a start beyond the limit: it waits, is refused, ends those who "
                "run and takes their place, or starts all the same.",
                "skip",
                enum=[str(member) for member in OnConflict],
                default="queue",
            ),
            "queue_limit": described(
                "Deliveries, completions and files of the flow that may wait, together.",
                100,
                type="integer",
                minimum=0,
                maximum=10_000,
                default=100,
            ),
        },
    }


def _node(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "x-kind": "node",
        "type": "object",
        "required": ["id"],
        "additionalProperties": False,
        "properties": _node_properties(sorted(params)),
        "allOf": [
            {
                "if": {"required": ["run"]},
                "then": {"properties": {"type": {"not": {}}, "params": {"not": {}}}},
                "else": {"required": ["type"]},
            },
            *(_params_of(name, params[name]) for name in sorted(params)),
        ],
    }


def _params_of(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the rule for the params of a node of one type."""
    then: dict[str, Any] = {"properties": {"params": {"$ref": f"#/$defs/params-{name}"}}}
    if schema.get("required"):
        then["required"] = ["params"]
    is_type = {"required": ["type"], "properties": {"type": {"const": name}, "run": False}}
    return {"if": is_type, "then": then}


def _node_properties(types: list[str]) -> dict[str, Any]:
    return {
        "id": described("Name of the node.", "fetch", type="string", pattern=INNER_NAME),
        "type": described("What the node does.", "exec", enum=types),
        "params": described("Parameters of the type.", {"argv": ["true"]}, type="object"),
        "run": described(
            "A shell script; short for `type: shell` with `params.script`.",
            "echo hello",
            **{"type": "string", "minLength": 1, "x-interpreted": True},
        ),
        "needs": described(
            "Nodes that come first; omitted: the node above; empty: at once.",
            ["fetch"],
            type="array",
            uniqueItems=True,
            items={"type": "string"},
        ),
        "if": described(
            "Runs only when this expression is true.",
            "nodes.fetch.outputs.status == 200",
            **{"type": ["string", "boolean"], "x-expression": True},
        ),
        "env": environment("Environment of a shell-like node.", {"DAY": "${{ inputs.day }}"}),
        **trying_keys(),
        **process_keys(),
        "outputs": described(
            "Outputs a shell-like node writes to $FLOW_OUTPUT, with their types.",
            {"rows": {"type": "integer"}},
            type="object",
            propertyNames={"pattern": INNER_NAME},
            additionalProperties={
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "type": described("Type.", "integer", enum=_TYPES, default="string")
                },
            },
        ),
        "continue_on_error": described(
            "Whether a failure of the node stops nobody and does not fail the execution.",
            True,
            type="boolean",
            default=False,
        ),
        "on_interrupt": described(
            "What becomes of an attempt that the daemon's end cut short: it has failed, or another "
            "one follows. The default depends on the type.",
            "rerun",
            enum=[str(member) for member in OnInterrupt],
        ),
        "success_exit_codes": described(
            "Exit codes of a shell-like node that are no failure.",
            [0, 1],
            type="array",
            minItems=1,
            uniqueItems=True,
            items={"type": "integer", "minimum": 0, "maximum": 255},
            default=[0],
        ),
    }
