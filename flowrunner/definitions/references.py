"""Reads from a definition which other flows it names: nodes and triggers of type `flow`.

Neither type is needed for this, only their words.
Source: FLOW_FORMAT 2 (`concurrency`), 3 and 4 (`type: flow`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from flowrunner.dataclass import dataclass
from flowrunner.definitions.reads import reads_of
from flowrunner.definitions.templates import condition_of, holds_expression
from flowrunner.model.expressions import ExpressionSyntaxError
from flowrunner.model.expressions.syntax import Literal
from flowrunner.model.ids import Json
from flowrunner.model.references import NO_REFERENCES, Call, FlowReferences
from flowrunner.model.values import text_of

_FLOW = "flow"


class Use(Enum):
    """What a flow has to do with one that it names."""

    WAITS_FOR = auto()
    STARTS = auto()
    FOLLOWS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowName:
    """A literal name of another flow, and where it stands in the definition."""

    name: str
    use: Use
    path: tuple[str | int, ...]


def flow_names(definition: Mapping[str, Json]) -> Iterator[FlowName]:
    """Yields every literal name of a flow in a definition that fits the schema."""
    for part in ("nodes", "finally"):
        for index, raw in enumerate(definition.get(part, ())):
            if raw.get("type") == _FLOW:
                params = raw.get("params", {})
                use = Use.WAITS_FOR if params.get("wait", True) else Use.STARTS
                yield from _literal(params, use, (part, index, "params", _FLOW))
    for index, raw in enumerate(definition.get("triggers", ())):
        if raw.get("type") == _FLOW and raw.get("enabled", True):
            yield from _literal(raw, Use.FOLLOWS, ("triggers", index, _FLOW))


def references_of(definition: Mapping[str, Json]) -> FlowReferences:
    """Returns what a definition has to do with other flows."""
    found = list(flow_names(definition))
    group = _group(definition.get("concurrency", {}))
    if not found and group is None:
        return NO_REFERENCES
    named = {use: frozenset(f.name for f in found if f.use is use) for use in Use}
    return FlowReferences(
        waits_for=named[Use.WAITS_FOR],
        starts=named[Use.STARTS],
        follows=named[Use.FOLLOWS],
        group=group,
        calls=tuple(_calls(definition)),
        reads=frozenset(read.name for read in reads_of(definition)),
    )


def _calls(definition: Mapping[str, Json]) -> Iterator[Call]:
    for part in ("nodes", "finally"):
        for index, raw in enumerate(definition.get(part, ())):
            params = raw.get("params", {})
            if raw.get("type") == _FLOW and not holds_expression(str(params.get(_FLOW, ""))):
                inputs = params.get("inputs", {})
                yield Call(
                    flow=str(params.get(_FLOW)),
                    path=(part, index, "params"),
                    inputs=inputs,
                    literals=frozenset(n for n, value in inputs.items() if _is_plain(value)),
                )


def _is_plain(value: Json) -> bool:
    """Whether a value is what it says: nothing in it is computed, nor escaped."""
    return "${{" not in text_of(value)


def is_computed(value: Json) -> bool:
    """Whether an expression stands in a value, at any depth."""
    if isinstance(value, dict | list):
        return any(map(is_computed, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and holds_expression(value)


def _literal(
    holder: Mapping[str, Json], use: Use, path: tuple[str | int, ...]
) -> Iterator[FlowName]:
    name = holder.get(_FLOW)
    if isinstance(name, str) and not holds_expression(name):
        yield FlowName(name=name, use=use, path=path)


def _group(concurrency: Mapping[str, Json]) -> str | None:
    """Returns the group when its expression is a literal text."""
    written = concurrency.get("group")
    if not isinstance(written, str) or concurrency.get("on_conflict") == "allow":
        return None
    try:
        tree = condition_of(written).expressions[0].tree
    except ExpressionSyntaxError:
        return None
    is_text = isinstance(tree, Literal) and isinstance(tree.value, str)
    return str(tree.value) if is_text and isinstance(tree, Literal) else None
