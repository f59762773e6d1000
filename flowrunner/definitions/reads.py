"""Reads from a definition which outputs of other flows its expressions read.

Those of nodes that wait for a flow of a literal name: whether there are such outputs, only that
flow can tell. A definition without such a node is not searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flowrunner.dataclass import dataclass
from flowrunner.definitions.templates import condition_of, holds_expression, template_of
from flowrunner.model.expressions import ExpressionSyntaxError, Template, references
from flowrunner.model.ids import Json

_BARE = frozenset({"if", "when", "until", "foreach"})
"""Keys whose texts are expressions with or without the wrapper. Source: FLOW_FORMAT 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One use of an output.

    Attributes:
        flow: Whose output it is.
        output: Its name.
        path: Of the text in the definition.
        offset: Where in the text the use begins.
    """

    flow: str
    output: str
    path: tuple[str | int, ...]
    offset: int

    @property
    def name(self) -> str:
        """What is read, as `flow.output`."""
        return f"{self.flow}.{self.output}"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A node that waits for a flow; with items its outputs are a list of the children's."""

    flow: str
    has_items: bool


def reads_of(definition: Mapping[str, Json]) -> Iterator[Read]:
    """Yields every use of an output of another flow, in the order of the definition."""
    waiting = {
        raw["id"]: _Waiting(raw["params"]["flow"], "foreach" in raw)
        for part in ("nodes", "finally")
        for raw in definition.get(part, ())
        if _waits(raw)
    }
    if not waiting:
        return
    for part in ("nodes", "finally", "outputs"):
        for path, text in _texts(definition.get(part, ()), (part,)):
            if "nodes" in text:
                yield from _of_text(path, text, waiting)


def _waits(raw: Mapping[str, Json]) -> bool:
    params = raw.get("params", {})
    name = params.get("flow")
    is_call = raw.get("type") == "flow" and isinstance(name, str) and "id" in raw
    return is_call and bool(params.get("wait", True)) and not holds_expression(name)


def _texts(value: Json, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _of_text(
    path: tuple[str | int, ...], text: str, waiting: Mapping[str, _Waiting]
) -> Iterator[Read]:
    template = _template(path, text)
    for expression in template.expressions if template else ():
        for root, keys, offset in references(expression):
            node = waiting.get(str(keys[0])) if root == "nodes" and keys else None
            if node is None or keys[1:2] != ("outputs",):
                continue
            rest = keys[3:] if node.has_items else keys[2:]
            if rest and isinstance(rest[0], str):
                yield Read(flow=node.flow, output=rest[0], path=path, offset=offset)


def _template(path: tuple[str | int, ...], text: str) -> Template | None:
    """Returns what a text is; None for one that holds no expression."""
    is_bare = path[-1] in _BARE
    if not is_bare and not holds_expression(text):
        return None
    try:
        return condition_of(text) if is_bare else template_of(text)
    except ExpressionSyntaxError:
        return None
