"""The tree of an expression, and its way back to text.

Values only: `parser` builds the tree, `evaluate` gives it a meaning. `offset` and `end` are code
points from 0 in the text the expression was written in; they take no part in comparisons, so
two trees are equal when they were written alike, wherever they stood.
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import IntEnum
from typing import TypeAlias

from flowrunner.dataclass import dataclass

MAX_LENGTH = 4_096
"""Longest expression in code points. Source: FLOW_FORMAT 5."""

MAX_DEPTH = 32
"""How deep parentheses, calls and `!` may be nested in each other. Source: FLOW_FORMAT 5."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""A name as in GitHub Actions, with hyphens: `trigger.headers.x-github-event` needs no quotes."""

NUMBER_TEXT = re.compile(r"-?(?:0|[1-9][0-9]*+)(?P<fraction>(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)")
"""A number as in JSON; without a `fraction` it is an integer. Source: RFC 8259 section 6."""

Scalar: TypeAlias = str | float | bool | None
"""What a literal may stand for."""

Key: TypeAlias = str | int
"""What stands after a dot or in brackets: a key of a map or an index of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a part of an expression stands: `offset` is its first code point, `end` is after it."""

    offset: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Span):
    """A string, a number, a truth value or null; as in Python `1`, `1.0` and `true` are equal."""

    value: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Span):
    """A context, such as `inputs`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Span):
    """Members of members; `keys` is never empty and `base` is never itself a path."""

    base: Node
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Span):
    """`!operand`."""

    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Span):
    """Two operands and one of `== != < <= > >=`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Logical(Span):
    """Two or more operands joined by one of `&& ||`, evaluated from the left as far as needed."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Span):
    """A function of the closed table with its arguments."""

    function: str
    arguments: tuple[Node, ...]


Node: TypeAlias = Literal | Name | Path | Not | Comparison | Logical | Call


class _Rank(IntEnum):
    """How tightly a node binds; an operand of a lower rank needs parentheses."""

    OR = 1
    AND = 2
    EQUALITY = 3
    ORDER = 4
    NOT = 5
    VALUE = 6
    MEMBER = 7


def render_node(node: Node) -> str:
    """Returns text that parses to an equal tree, with the fewest parentheses.

    Spaces and long forms of numbers may make it longer than the text the tree came from.
    """
    match node:
        case Literal():
            return _literal(node.value)
        case Name():
            return node.name
        case Path():
            return _operand(node.base, _Rank.MEMBER) + "".join(map(_key, node.keys))
        case Not():
            return "!" + _operand(node.operand, _Rank.NOT)
        case Comparison():
            least = _Rank(_rank(node) + 1)
            sides = (_operand(node.left, least), _operand(node.right, least))
            return f" {node.operator} ".join(sides)
        case Logical():
            least = _Rank(_rank(node) + 1)
            return f" {node.operator} ".join(_operand(part, least) for part in node.operands)
        case Call():
            return f"{node.function}({', '.join(map(render_node, node.arguments))})"


def _operand(node: Node, least: _Rank) -> str:
    text = render_node(node)
    return text if _rank(node) >= least else f"({text})"


def _rank(node: Node) -> _Rank:
    match node:
        case Logical():
            return _Rank.OR if node.operator == "||" else _Rank.AND
        case Comparison():
            return _Rank.EQUALITY if node.operator in {"==", "!="} else _Rank.ORDER
        case Not():
            return _Rank.NOT
        case Literal() | Path():
            return _Rank.VALUE
        case Name() | Call():
            return _Rank.MEMBER


def _literal(value: Scalar) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else repr(value)


def _key(key: Key) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if NAME.fullmatch(key) else f"[{_literal(key)}]"
