"""From a checked definition to a `FlowSpec`: no findings, no positions, only construction.

Works on plain JSON data, so that a definition kept from an earlier revision compiles the same
way as a file just read. What cannot be built raises `ValidationError`; for a definition that
went through `flowrunner.definitions.checks` nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from types import MappingProxyType
from typing import Any

from flowrunner.definitions.build_triggers import build_triggers
from flowrunner.definitions.catalog import NodeCatalog, NodeFacts
from flowrunner.definitions.channel_uses import channels_named
from flowrunner.definitions.references import references_of
from flowrunner.definitions.sla_schema import build_sla
from flowrunner.definitions.switches import naming_switches
from flowrunner.definitions.templates import (
    condition_of,
    if_of,
    if_template,
    templated_deep,
    text_or_template,
)
from flowrunner.errors import ValidationError
from flowrunner.model.expressions import Condition, Template
from flowrunner.model.flow import (
    MAX_DELAY_S,
    Backoff,
    ConcurrencySpec,
    FlowSpec,
    InputSpec,
    NodeSpec,
    OnConflict,
    OnInterrupt,
    RetentionSpec,
    RetrySpec,
    ValueSpec,
    ValueType,
)
from flowrunner.model.formats import TextFormat, is_written_moment
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.notify import build_rules
from flowrunner.model.patterns import parse_pattern
from flowrunner.model.process import SHELLS, Limits, ProcessSpec
from flowrunner.model.quantities import parse_duration, parse_size

NODE_LISTS = ("nodes", "finally")
"""The keys of a flow that hold nodes, in the order in which they run."""

NODE_FIELDS = ("nodes", "finals")
"""The fields of a `FlowSpec` that they become."""

PARTS: Mapping[str, str] = MappingProxyType(
    {
        **dict(zip(NODE_FIELDS, NODE_LISTS, strict=True)),
        "inputs": "inputs",
        "env": "env",
        "outputs": "outputs",
    }
)
"""The fields that nobody looks into before an execution; the key of a definition for each."""


def build_flow(
    key: FlowKey,
    digest: Digest,
    definition: Mapping[str, Json],
    catalog: NodeCatalog,
    parts: Mapping[str, Any] | None = None,
) -> FlowSpec:
    """Returns the spec of a definition.

    Args:
        key: Of the flow.
        digest: Of the definition.
        definition: Without what the parts come from, if those are given.
        catalog: The node types.
        parts: What `flow_parts` gives, if it is at hand.

    Raises:
        ValidationError: The definition is not one that the checks let through.
    """
    return FlowSpec(
        key=key,
        digest=digest,
        description=definition.get("description", ""),
        labels=definition.get("labels", {}),
        vars=definition.get("vars", {}),
        concurrency=_concurrency(definition.get("concurrency")),
        timeout_s=parse_duration(definition["timeout"]) if "timeout" in definition else None,
        finally_timeout_s=parse_duration(definition.get("finally_timeout", "5m")),
        **arming_fields(key, definition),
        **(flow_parts(definition, catalog) if parts is None else parts),
    )


def arming_fields(key: FlowKey, definition: Mapping[str, Json]) -> dict[str, Any]:
    """Returns the fields of a `FlowSpec` that are asked for of every flow, at every start.

    Other keys of a definition are passed over; most flows have one or two of these.
    """
    fields = {**_UNARMED}
    for word, value in definition.items():
        known = _ARMING.get(word)
        if known is not None:
            field, build = known
            fields[field] = build(value)
    if "triggers" in definition:
        fields["triggers"] = build_triggers(key, definition["triggers"])
    return fields


def flow_parts(definition: Mapping[str, Json], catalog: NodeCatalog) -> dict[str, Any]:
    """Returns the fields of a `FlowSpec` that need not be built, or found, at every start."""
    built = {field: build_part(field, definition, catalog) for field in PARTS}
    return {**built, **said_by_nodes(definition)}


def build_part(field: str, definition: Mapping[str, Json], catalog: NodeCatalog) -> Any:
    """Returns what belongs into one of the fields of `PARTS`; raises as `build_flow`."""
    if field == "nodes":
        return flow_nodes(definition["nodes"], catalog)
    raw = definition.get(PARTS[field])
    if field == "finals":
        return flow_nodes(raw or [], catalog)
    return _MAPPED[field](raw or {})


def _labels(written: Json) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)


def said_by_nodes(definition: Mapping[str, Json]) -> dict[str, Any]:
    """Returns the fields of a `FlowSpec` that come from nodes, but for the nodes themselves.

    Who puts off building the nodes needs these all the same.
    """
    return {
        "users": _users(definition),
        "node_types": _types(definition),
        "channels": channels_named(definition),
        "references": references_of(definition),
    }


def templated(value: Json, schema: Mapping[str, Any]) -> Json:
    """Returns a value of `params` with templates where its schema allows expressions."""
    if schema.get("x-condition"):
        return Condition(template=if_template(value))
    if schema.get("x-moment"):
        return value if is_written_moment(value) else condition_of(value)
    if schema.get("x-expression"):
        return templated_deep(value)
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        other = rest if isinstance(rest, Mapping) else {}
        return {name: templated(item, known.get(name, other)) for name, item in value.items()}
    if isinstance(value, list):
        return [templated(item, schema.get("items", {})) for item in value]
    return value


def resolved_needs(nodes: list[dict[str, Json]]) -> list[tuple[str, ...]]:
    """Returns the needs of each node.

    Omitted means the switches above that name it, else the node above. Source: FLOW_FORMAT 4.
    """
    switches = naming_switches(nodes)
    return [
        tuple(raw["needs"])
        if "needs" in raw
        else switches.get(index) or ((nodes[index - 1]["id"],) if index else ())
        for index, raw in enumerate(nodes)
    ]


def node_type(raw: Mapping[str, Json]) -> str:
    """Returns the type of a node as written; `run` is short for `shell`."""
    return "shell" if "run" in raw else str(raw["type"])


def node_params(raw: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the params of a node as written, `run` resolved."""
    return {"script": raw["run"]} if "run" in raw else dict(raw.get("params") or {})


def has_script(raw: Mapping[str, Json]) -> bool:
    """Whether a node as written has a text that its `shell` runs."""
    return node_type(raw) == "shell" or (node_type(raw) == "wait" and "probe" in node_params(raw))


def facts_of(raw: Mapping[str, Json], catalog: NodeCatalog) -> NodeFacts | None:
    """Returns the facts of a node as written, which its params may decide; None if unknown."""
    if "run" in raw:
        return catalog.get("shell", {"script": raw["run"]})
    return catalog.get(str(raw["type"]), raw.get("params") or {})


def value_spec(raw: Mapping[str, Json]) -> ValueSpec:
    """Returns what a value must be, out of an input or its `items`."""
    return ValueSpec(**_constraints(raw))


def _input(raw: Mapping[str, Json]) -> InputSpec:
    return InputSpec(
        **_constraints(raw),
        required="default" not in raw,
        default=raw.get("default"),
        description=raw.get("description", ""),
    )


def _constraints(raw: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "type": ValueType(raw.get("type", "string")),
        "enum": tuple(raw.get("enum", ())),
        "minimum": raw.get("minimum"),
        "maximum": raw.get("maximum"),
        "pattern": parse_pattern(raw["pattern"]) if "pattern" in raw else None,
        "format": TextFormat(raw["format"]) if "format" in raw else None,
        "items": value_spec(raw["items"]) if "items" in raw else None,
    }


def _inputs(raw: Mapping[str, Json]) -> dict[str, InputSpec]:
    return {name: _input(each) for name, each in raw.items()}


def _env(raw: Mapping[str, Json]) -> dict[str, Template | str | None]:
    return {name: text_or_template(value) for name, value in raw.items()}


_MAPPED: Mapping[str, Callable[[Mapping[str, Json]], dict[str, Any]]] = MappingProxyType(
    {"inputs": _inputs, "env": _env, "outputs": _env}
)


_USUAL_CONCURRENCY, _USUAL_RETENTION = ConcurrencySpec(), RetentionSpec()
"""Most flows share them."""


def _concurrency(raw: Mapping[str, Json] | None) -> ConcurrencySpec:
    if not raw:
        return _USUAL_CONCURRENCY
    group = raw.get("group")
    return ConcurrencySpec(
        group=None if group is None else condition_of(group),
        limit=int(raw.get("limit", 1)),  # JSON Schema takes 1.0 for an integer too
        on_conflict=OnConflict(raw.get("on_conflict", "queue")),
        queue_limit=int(raw.get("queue_limit", 100)),
    )


def _retention(raw: Mapping[str, Json] | None) -> RetentionSpec:
    if not raw:
        return _USUAL_RETENTION
    return RetentionSpec(
        executions=_maybe_int(raw.get("executions")),
        age_s=parse_duration(raw["age"]) if "age" in raw else None,
        log_bytes=parse_size(raw["log_bytes"]) if "log_bytes" in raw else None,
    )


def _maybe_int(value: Json) -> int | None:
    return None if value is None else int(value)


_ARMING: Mapping[str, tuple[str, Callable[[Json], Any]]] = {
    "secrets": ("secrets", tuple),
    "runs_on": ("runs_on", _labels),
    "suspend": ("is_suspended", bool),
    "protect": ("is_protected", bool),
    "pause_after_failures": ("pause_after_failures", _maybe_int),
    "sla": ("sla", build_sla),
    "retention": ("retention", _retention),
    "notify": ("notify", build_rules),
}
_UNARMED: Mapping[str, Any] = {
    "secrets": (),
    "triggers": (),
    "runs_on": (),
    "is_suspended": False,
    "is_protected": False,
    "pause_after_failures": None,
    "sla": None,
    "retention": _USUAL_RETENTION,
    "notify": None,
}
ARMING = (*_ARMING, "triggers")
"""The keys of a flow that `arming_fields` are made of."""


def flow_nodes(raw: list[dict[str, Json]], catalog: NodeCatalog) -> tuple[NodeSpec, ...]:
    """Returns the nodes of one list; raises as `build_flow`."""
    needs, switches = resolved_needs(raw), naming_switches(raw)
    return tuple(
        _node(node, needs[index], switches.get(index, ()), catalog)
        for index, node in enumerate(raw)
    )


def _node(
    raw: Mapping[str, Json],
    needs: tuple[str, ...],
    chosen_by: tuple[str, ...],
    catalog: NodeCatalog,
) -> NodeSpec:
    facts = facts_of(raw, catalog)
    if facts is None:
        raise ValidationError(f"there is no node type {node_type(raw)!r}", code="node.unknown")
    return NodeSpec(
        id=raw["id"],
        type=node_type(raw),
        needs=needs,
        chosen_by=chosen_by,
        condition=if_of(raw),
        params=templated(node_params(raw), facts.schema),
        env=_env(raw.get("env", {})),
        timeout_s=parse_duration(raw["timeout"]) if "timeout" in raw else None,
        kill_after_s=parse_duration(raw.get("kill_after", "10s")),
        retry=_retry(raw.get("retry", {})),
        outputs={
            name: ValueType(declared.get("type", "string"))
            for name, declared in raw.get("outputs", {}).items()
        },
        on_interrupt=OnInterrupt(raw.get("on_interrupt", facts.on_interrupt)),
        continue_on_error=raw.get("continue_on_error", False),
        success_exit_codes=frozenset(int(code) for code in raw.get("success_exit_codes", (0,))),
        process=_process(raw),
        foreach=_foreach(raw.get("foreach")),
        max_parallel=int(raw.get("max_parallel", 1)),
        fail_fast=raw.get("fail_fast", True),
    )


def types_in(raw: Mapping[str, Json]) -> set[str]:
    """Returns the types that a node as written takes: its own, and `shell` for its script."""
    return {node_type(raw), "shell"} if has_script(raw) else {node_type(raw)}


def _types(definition: Mapping[str, Json]) -> tuple[str, ...]:
    nodes = [node for part in NODE_LISTS for node in definition.get(part, ())]
    found = set(map(node_type, nodes))
    if "shell" not in found and any(map(has_script, nodes)):
        found.add("shell")
    return tuple(sorted(found))


def _users(definition: Mapping[str, Json]) -> tuple[str, ...]:
    nodes = (node for part in NODE_LISTS for node in definition.get(part, ()))
    return tuple(sorted({node["user"] for node in nodes if "user" in node}))


def _foreach(value: Json) -> Template | tuple[Json, ...] | None:
    if value is None:
        return None
    return condition_of(value) if isinstance(value, str) else tuple(templated_deep(value))


def _retry(raw: Mapping[str, Json]) -> RetrySpec:
    """Returns what `retry` says; a delay that is longer than the default bound raises it."""
    delay_s = parse_duration(raw.get("delay", "1s"))
    longest = raw.get("max_delay")
    default_s = max(delay_s, MAX_DELAY_S)
    return RetrySpec(
        max_attempts=int(raw.get("max_attempts", 1)),
        delay_s=delay_s,
        backoff=Backoff(raw.get("backoff", "constant")),
        max_delay_s=default_s if longest is None else parse_duration(longest),
        jitter=float(raw.get("jitter", 0)),
        condition=if_of(raw),
    )


def _process(raw: Mapping[str, Json]) -> ProcessSpec:
    shell = raw.get("shell", "sh")
    return ProcessSpec(
        shell=SHELLS[shell] if isinstance(shell, str) else tuple(shell),
        working_dir=raw.get("working_dir"),
        umask=raw.get("umask"),
        nice=int(raw.get("nice", 0)),
        stdin=text_or_template(raw.get("stdin")),
        user=raw.get("user"),
        limits=_limits(raw.get("limits", {})),
    )


def _limits(raw: Mapping[str, Json]) -> Limits:
    return Limits(
        memory=parse_size(raw["memory"]) if "memory" in raw else None,
        cpu_time_s=ceil(parse_duration(raw["cpu_time"])) if "cpu_time" in raw else None,
        files=int(raw["files"]) if "files" in raw else None,
        processes=int(raw["processes"]) if "processes" in raw else None,
    )
