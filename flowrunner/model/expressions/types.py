"""Which kinds of values an expression may have, and what in it can never work.

Nothing is evaluated over data: whoever knows the flow tells the kinds of the names. What is not
known may be of any kind and is never complained of, so a complaint is always true: what it is
about fails, or says the same, whatever the data are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluate import compile_node
from flowrunner.model.expressions.evaluation import Evaluation
from flowrunner.model.expressions.function_table import (
    ANY,
    BOOLEAN,
    NUMBER,
    TEXT,
    Kinds,
    refusal,
)
from flowrunner.model.expressions.functions import FUNCTIONS
from flowrunner.model.expressions.references import Reference
from flowrunner.model.expressions.syntax import (
    Call,
    Comparison,
    Literal,
    Logical,
    Name,
    Node,
    Not,
    Path,
)
from flowrunner.model.expressions.values import NULL_HINT, Kind, kind_of
from flowrunner.model.ids import Json

NULL: Kinds = frozenset({Kind.NULL})
CONTAINERS: Kinds = frozenset({Kind.LIST, Kind.MAP})

KindsOf: TypeAlias = Callable[[Reference], Kinds]
"""Tells the kinds that a name may have; `ANY` where they are not known."""

_ORDERED = NUMBER | TEXT
_FALSY = NULL | BOOLEAN | NUMBER | TEXT
_CONVERT_HINT = "convert one with string(value) or number(text)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Something in an expression that can never work.

    Attributes:
        node: The comparison or call it is about.
        offset: Where to point.
        is_error: Whether evaluating `node` always fails, or compares what is never equal; else
            it compares with null what is never null.
    """

    node: Node
    message: str
    offset: int
    hint: str = ""
    is_error: bool = True


def infer(tree: Node, kinds_of: KindsOf) -> tuple[Kinds, tuple[Misfit, ...]]:
    """Returns the kinds that the value may have, and every misfit in the order of evaluation."""
    inference = _Inference(kinds_of)
    kinds = inference.kinds(tree)
    return kinds, tuple(inference.misfits)


class _Inference:
    def __init__(self, kinds_of: KindsOf) -> None:
        self._kinds_of = kinds_of
        self.misfits: list[Misfit] = []

    def kinds(self, node: Node) -> Kinds:
        match node:
            case Literal():
                return frozenset({kind_of(node.value)})
            case Name():
                return self._kinds_of(Reference(node.name, (), node.offset))
            case Path(base=Name(name=name)):
                return self._kinds_of(Reference(name, node.keys, node.offset))
            case Path():
                return members(self.kinds(node.base))
            case Not():
                self.kinds(node.operand)
                return BOOLEAN
            case Comparison():
                self.misfits.extend(self._comparison(node))
                return BOOLEAN
            case Logical():
                return self._logical(node)
            case Call():
                return self._call(node)

    def _logical(self, node: Logical) -> Kinds:
        deciding = _FALSY if node.operator == "&&" else ANY - NULL
        *first, last = [self.kinds(operand) for operand in node.operands]
        return frozenset().union(*(kinds & deciding for kinds in first), last)

    def _comparison(self, node: Comparison) -> Iterator[Misfit]:
        left, right = self.kinds(node.left), self.kinds(node.right)
        if node.operator not in {"==", "!="}:
            if not left & right & _ORDERED:
                yield _no_order(node, left, right)
        elif not left & right and Kind.OPAQUE not in left | right:
            yield _never_equal(node, left, right)

    def _call(self, node: Call) -> Kinds:
        function, given = FUNCTIONS[node.function], [*map(self.kinds, node.arguments)]
        misfits = list(_refused(node, given))
        if function.run is not None and not misfits:
            misfits = list(_fails_as_written(node))
        self.misfits.extend(misfits)
        if node.function == "default":
            return _first_not_null(given)
        return _first_not_null(given) if node.function == "coalesce" else function.gives


def members(kinds: Kinds) -> Kinds:
    """Returns the kinds that a member of a value of these kinds may have."""
    return ANY if kinds & CONTAINERS else NULL


def _first_not_null(given: list[Kinds]) -> Kinds:
    """Returns the kinds of the first value that is not null, or else of the last."""
    found: Kinds = frozenset()
    for kinds in given:
        found |= kinds - NULL
        if not kinds & NULL:
            return found
    return found | NULL


def _refused(node: Call, given: list[Kinds]) -> Iterator[Misfit]:
    """Yields arguments of a kind that the function never takes."""
    function = FUNCTIONS[node.function]
    for index, (argument, kinds) in enumerate(zip(node.arguments, given, strict=True)):
        wanted = function.kinds_at(index)
        if node.function == "contains" and index and not given[0] & {Kind.LIST}:
            wanted = TEXT
        if not kinds & wanted:
            kind = next((each for each in Kind if each in kinds - NULL), Kind.NULL)
            yield Misfit(
                node=node,
                message=refusal(node.function, wanted, kind),
                offset=argument.offset,
                hint=NULL_HINT if kind is Kind.NULL else "",
            )


class _Nowhere:
    """A scope without anything: only literals are evaluated over it."""

    def lookup(self, _name: str) -> Json:
        return None

    def status(self, _name: str) -> bool:
        return False

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)


def _fails_as_written(node: Call) -> Iterator[Misfit]:
    """Yields the error of a call over literals alone, such as `number('x')`."""
    if not all(isinstance(argument, Literal) for argument in node.arguments):
        return
    try:
        compile_node(node)(Evaluation(_Nowhere()))
    except ExpressionError as error:
        yield Misfit(node=node, message=error.problem, offset=error.offset, hint=error.hint)


def _no_order(node: Comparison, left: Kinds, right: Kinds) -> Misfit:
    for kinds, operand in ((left, node.left), (right, node.right)):
        if not kinds & _ORDERED:
            hint = NULL_HINT if kinds <= NULL else "only numbers and strings have one"
            message = f"{shown(kinds)} has no order"
            return Misfit(node=node, message=message, offset=operand.offset, hint=hint)
    message = f"{shown(left & _ORDERED)} and {shown(right & _ORDERED)} have no order"
    return Misfit(node=node, message=message, offset=node.left.offset, hint=_CONVERT_HINT)


def _never_equal(node: Comparison, left: Kinds, right: Kinds) -> Misfit:
    always = "false" if node.operator == "==" else "true"
    is_about_null = left <= NULL or right <= NULL
    one, other = (right, left) if left <= NULL else (left, right)
    verb = "is never" if is_about_null else "never equals"
    return Misfit(
        node=node,
        message=f"{shown(one)} {verb} {shown(other)}, so this is always {always}",
        offset=node.left.offset,
        hint="" if is_about_null else _hint_to_convert(left | right),
        is_error=not is_about_null,
    )


def _hint_to_convert(kinds: Kinds) -> str:
    return "write true or false without quotes" if kinds & BOOLEAN else _CONVERT_HINT


def shown(kinds: Kinds) -> str:
    """Returns kinds in words for a message; null only where there is nothing else."""
    names = [f"a {kind}" for kind in Kind if kind in kinds - NULL]
    return " or ".join(names) or "null"
