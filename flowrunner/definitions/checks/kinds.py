"""What kinds of values the names of a flow have, as far as its file tells.

From declarations and literals: a name that is doubtful, or that no declaration speaks about, may
be of any kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from flowrunner.definitions.build import facts_of, node_type
from flowrunner.definitions.checks.places import OF_ITEMS, Place
from flowrunner.definitions.checks.places import Kind as PlaceKind
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.checks.texts import Uses
from flowrunner.definitions.document import Path
from flowrunner.definitions.references import is_computed
from flowrunner.definitions.templates import condition_of
from flowrunner.model.expressions import Expression, ExpressionSyntaxError, Reference, Template
from flowrunner.model.expressions.function_table import ANY, BOOLEAN, LIST, NUMBER, TEXT, Kinds
from flowrunner.model.expressions.syntax import Name
from flowrunner.model.expressions.syntax import Path as PathTree
from flowrunner.model.expressions.types import NULL, Misfit, members, shown
from flowrunner.model.expressions.values import Kind, kind_of, member
from flowrunner.model.ids import Json

_MAP: Kinds = frozenset({Kind.MAP})
_TYPES: Mapping[str, Kinds] = {
    "string": TEXT,
    "integer": NUMBER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "array": LIST,
    "object": _MAP,
}
_Shape: TypeAlias = "Kinds | Mapping[str, _Shape]"
"""The kinds of a value, or the shapes of the members of a map; `*` stands for any other name."""

_TEXTS: _Shape = {"*": TEXT | NULL}
_CONTEXTS: Mapping[str, _Shape] = {
    "trigger": {
        **dict.fromkeys(("id", "type"), TEXT),
        "headers": _TEXTS,
        "query": _TEXTS,
        "flow": TEXT | NULL,
        "path": TEXT | NULL,
    },
    "execution": {
        **dict.fromkeys(("id", "revision", "created_at", "work_dir", "flow_dir"), TEXT),
        **dict.fromkeys(("retry_of", "slot_at", "slot_date"), TEXT | NULL),
    },
    "flow": {"name": TEXT, "account": TEXT, "labels": _TEXTS},
    "host": {"name": TEXT, "labels": LIST, "facts": {"*": TEXT | NUMBER | BOOLEAN | NULL}},
    "attempt": {
        "number": NUMBER,
        "exit_code": NUMBER | NULL,
        "reason": TEXT,
        "error": {"code": TEXT, "message": TEXT},
        "outputs": {"*": ANY},
    },
}
_NODE: Mapping[str, _Shape] = {
    "state": TEXT,
    "exit_code": NUMBER | NULL,
    "duration_s": NUMBER | NULL,
    "outputs": _MAP | NULL,
    "error": _MAP | NULL,
}
_ERROR: Mapping[str, _Shape] = {"code": TEXT | NULL, "message": TEXT | NULL}
TYPED = frozenset({PlaceKind.GROUP, PlaceKind.FOREACH, PlaceKind.MOMENT, PlaceKind.TRIGGER_INPUT})
"""Places that do not take every kind."""
ITEM_CONTEXTS = ("item", "index")
"""What is known in `OF_ITEMS` of a node with `foreach`."""


class FlowKinds:
    """Answers for one definition; called with a reference and the place in which it stands."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._known: dict[tuple[str, tuple[str | int, ...]], Kinds] = {}
        self._nodes = {raw["id"]: (path, raw) for path, raw in subject.all_nodes}
        self._foreach = {
            path: raw["foreach"] for path, raw in subject.all_nodes if "foreach" in raw
        }

    def has_items(self, node: Path | None) -> bool:
        """Whether the node at a path has `foreach`."""
        return node in self._foreach

    def speaks_of_items(self, place: Place) -> bool:
        """Whether `item` and `index` are known at a place."""
        return place.kind in OF_ITEMS and self.has_items(place.node)

    def __call__(self, reference: Reference, place: Place | None = None) -> Kinds:
        """Returns the kinds that the reference may have."""
        root, keys = reference.root, reference.path
        if root == "item":
            return self._item(place.node, keys) if place and place.node in self._foreach else ANY
        known = self._known.get((root, keys))
        if known is None:
            known = self._known[root, keys] = self._of(root, keys)
        return known

    def _of(self, root: str, keys: tuple[str | int, ...]) -> Kinds:
        if root == "index":
            return _below(NUMBER, keys)
        if root in _CONTEXTS:
            return _below(_CONTEXTS[root], keys)
        if root in {"inputs", "vars", "env"}:
            return self._declared(root, keys) if keys else _MAP
        return self._node(keys) if root == "nodes" and keys else ANY

    def input_kinds(self, name: Json) -> Kinds:
        """Returns the kinds that an input takes."""
        raw = self._subject.inputs.get(name)
        if raw is None or self._subject.is_doubtful("inputs", name):
            return ANY
        return _TYPES.get(raw.get("type", "string"), ANY)

    def _declared(self, root: str, keys: tuple[str | int, ...]) -> Kinds:
        name, rest = keys[0], keys[1:]
        if name not in self._subject.data.get(root, {}) or self._subject.is_doubtful(root, name):
            return ANY
        if root == "inputs":
            return _below(self.input_kinds(name), rest)
        if root == "env":
            return _below(TEXT, rest)
        return _of_literal(self._subject.data["vars"][name], rest)

    def _item(self, node: Path | None, keys: tuple[str | int, ...]) -> Kinds:
        """Returns the kinds of `item`, or of a member of it, for a node."""
        if node is None or self._subject.is_doubtful(*node):
            return ANY
        items = self._foreach[node]
        if isinstance(items, list):
            if not items or any(map(is_computed, items)):
                return ANY
            return frozenset().union(*(_of_literal(each, keys) for each in items))
        return _below(self._members_of(items), keys)

    def _members_of(self, foreach: str) -> Kinds:
        """Returns the kinds of the items of an input, as far as it declares them."""
        try:
            tree = condition_of(foreach).expressions[0].tree
        except ExpressionSyntaxError:
            return ANY
        match tree:
            case PathTree(base=Name(name="inputs"), keys=(str() as name,)):
                raw = self._subject.inputs.get(name, {})
                declared = raw.get("items") if raw.get("type") == "array" else None
                if declared is None or self._subject.is_doubtful("inputs", name):
                    return ANY
                return _TYPES.get(declared.get("type", "string"), ANY)
        return ANY

    def _node(self, keys: tuple[str | int, ...]) -> Kinds:
        path, raw = self._nodes.get(str(keys[0]), ((), {}))
        if not path or self._subject.is_doubtful(*path):
            return ANY
        if keys[1:2] == ("outputs",) and path in self._foreach:
            return self._outputs_of_items(raw, keys[2:])
        if keys[1:2] == ("outputs",) and len(keys) > 2:  # noqa: PLR2004 - nodes.x.outputs.y
            return self._output(raw, keys[2], keys[3:]) | NULL
        shape = {**_NODE, "error": _ERROR} if len(keys) > 2 else _NODE  # noqa: PLR2004 - its member
        return _below(shape, keys[1:])

    def _outputs_of_items(self, node: Mapping[str, Json], keys: tuple[str | int, ...]) -> Kinds:
        """Returns the kinds of the outputs of a node with `foreach`: a list of maps and nulls."""
        match keys:
            case ():
                return LIST | NULL
            case (_,):
                return _MAP | NULL
            case (_, name, *rest):
                return self._output(node, name, tuple(rest)) | NULL
        return ANY

    def _output(
        self, node: Mapping[str, Json], name: str | int, rest: tuple[str | int, ...]
    ) -> Kinds:
        facts = facts_of(node, self._subject.catalog)
        if facts is None:
            return ANY
        if facts.is_shell_like:
            declared = node.get("outputs", {}).get(name)
            return ANY if declared is None else _below(_TYPES[declared.get("type", "string")], rest)
        values = node.get("params", {}).get("values", {}) if node_type(node) == "set" else {}
        if name not in values or is_computed(values[name]):
            return ANY
        return _of_literal(values[name], rest)


def misfits(
    kinds: FlowKinds, place: Place, template: Template, expressions: Sequence[Uses]
) -> Iterator[Misfit]:
    """Yields what can never work in the expressions of a place, or as a value of the place."""
    is_typed = place.kind in TYPED
    for uses in expressions:
        if uses.is_name and not is_typed:
            continue
        found, problems = uses.inferred(tuple([kinds(each, place) for each in uses.references]))
        yield from problems
        if is_typed:
            yield from _misfits_of_place(kinds, place, template, uses.expression, found)


def _misfits_of_place(
    kinds: FlowKinds, place: Place, template: Template, expression: Expression, found: Kinds
) -> Iterator[Misfit]:
    """Yields what a value of these kinds can never be, where it stands."""
    if place.kind is PlaceKind.GROUP and not found & (TEXT | NUMBER):
        message = f"a group is named by a text or a whole number, never by {shown(found)}"
        yield Misfit(node=expression.tree, message=message, offset=expression.tree.offset)
    if place.kind is PlaceKind.FOREACH and not found & LIST:
        message = f"a foreach goes through a list, never {shown(found)}"
        yield Misfit(node=expression.tree, message=message, offset=expression.tree.offset)
    if place.kind is PlaceKind.MOMENT and not found & TEXT:
        message = f"a time is an RFC 3339 text, never {shown(found)}"
        yield Misfit(node=expression.tree, message=message, offset=expression.tree.offset)
    if place.kind is PlaceKind.TRIGGER_INPUT and place.path[3:-1] == ():
        given = found if template.sole_expression else TEXT
        wanted = kinds.input_kinds(place.path[-1])
        if not given & wanted:
            tree = expression.tree
            message = f"the input {place.path[-1]!r} is {shown(wanted)}, never {shown(given)}"
            yield Misfit(node=tree, message=message, offset=tree.offset)


def _below(shape: _Shape, keys: tuple[str | int, ...]) -> Kinds:
    """Returns the kinds of a member of a shape."""
    if isinstance(shape, frozenset):
        return members(shape) if keys else shape
    if not keys:
        return _MAP
    known = shape.get(str(keys[0]), shape.get("*"))
    return ANY if known is None else _below(known, keys[1:])


def _of_literal(value: Json, keys: tuple[str | int, ...]) -> Kinds:
    for key in keys:
        value = member(value, key)
    return frozenset({kind_of(value)})
