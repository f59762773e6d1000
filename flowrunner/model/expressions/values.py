"""What values mean to expressions: kinds, truth, equality, order, and their text.

A value that is not JSON, such as a secret, is opaque: it is handed on, its members are opaque
too, and it refuses everything else. All of this takes time linear in its operands and never
recurses into them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue

MAX_RESULT = 1_048_576
"""Largest text an expression may produce, in bytes of UTF-8. Source: FLOW_FORMAT 5."""

NULL_HINT = "give a value for null: default(value, fallback)"
UNDECIDED_HINT = "give it to a program through env, and let the program decide"
NO_DECISION = "a secret cannot decide anything"
NO_COMPARISON = "a secret cannot be compared"


def no_answer(function: str) -> str:
    """Returns what to say of a function that would answer a question about a secret."""
    return f"{function} would tell something about a secret"


class Kind(StrEnum):
    """What a value is; a boolean is not a number."""

    NULL = "null"
    BOOLEAN = "boolean"
    NUMBER = "number"
    STRING = "string"
    LIST = "list"
    MAP = "map"
    OPAQUE = "secret"


_KINDS: dict[type, Kind] = {
    type(None): Kind.NULL,
    bool: Kind.BOOLEAN,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.MAP,
}

_KIND_BASES: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
    (str, Kind.STRING),
    ((int, float), Kind.NUMBER),
    ((list, tuple), Kind.LIST),
    (Mapping, Kind.MAP),
)


def kind_of(value: Json) -> Kind:
    """Returns the kind of a value; tuples are lists and every `Mapping` is a map."""
    known = _KINDS.get(type(value))
    if known is not None:
        return known
    for base, kind in _KIND_BASES:
        if isinstance(value, base):
            return kind
    return Kind.OPAQUE


def truth(value: Json, offset: int = 0) -> bool:
    """Whether a value counts as true: everything but false, null, 0 and the empty string.

    Empty lists and maps are true, as in GitHub Actions.

    Raises:
        ExpressionError: ``expression`` for an opaque value; `offset` is where it stands.
    """
    if value is None or value is False:
        return False
    if value is True:
        return True
    kind = kind_of(value)
    if kind is Kind.OPAQUE:
        raise ExpressionError(NO_DECISION, offset=offset, hint=UNDECIDED_HINT)
    return kind in {Kind.LIST, Kind.MAP} or bool(value)


def member(value: Json, key: str | int) -> Json:
    """Returns the member of a map or list; null when there is none or the value has no members.

    A member of a secret is a secret, also when there is none.
    """
    if isinstance(value, SecretValue):
        return SecretValue(member(value.reveal(), key))
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(key, int) and isinstance(value, list | tuple):
        return value[key] if 0 <= key < len(value) else None
    return None


ITEM_WORK = 8
"""What comparing an item costs, next to handling a character."""

_CONTAINERS = frozenset({Kind.LIST, Kind.MAP})
_SCALARS = frozenset({type(None), bool, int, float, str})


def equal(left: Json, right: Json, offset: int, spend: Callable[[int, int], None]) -> bool:
    """Whether two values are the same, lists and maps in depth; unlike kinds never are.

    `spend` is told of the work in lists and maps before it is done.

    Raises:
        ExpressionError: ``expression`` for an opaque value; `offset` is where they are compared.
    """
    same = type(left)
    if same is type(right) and same in _SCALARS:
        return bool(left == right)
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        kind, other_kind = kind_of(one), kind_of(other)
        if Kind.OPAQUE in (kind, other_kind):
            raise ExpressionError(NO_COMPARISON, offset=offset, hint=UNDECIDED_HINT)
        if kind is not other_kind:
            return False
        if kind in _CONTAINERS:
            if len(one) != len(other):
                return False
            spend(len(one) * ITEM_WORK, offset)
            if kind is Kind.MAP and one.keys() != other.keys():
                return False
            pairs.extend(_members_of(one, other))
        elif one != other:
            return False
    return True


def _members_of(one: Json, other: Json) -> Iterable[tuple[Json, Json]]:
    """Returns the members of two lists of one length, or of two maps of the same keys."""
    if isinstance(one, Mapping):
        return ((item, other[key]) for key, item in one.items())
    return zip(one, other, strict=True)


def check_order(left: Json, right: Json, offsets: tuple[int, int]) -> None:
    """Returns when two values have an order: both numbers, or both strings.

    Raises:
        ExpressionError: ``expression`` otherwise; `offsets` are where the operands stand.
    """
    kinds = kind_of(left), kind_of(right)
    for kind, offset in zip(kinds, offsets, strict=True):
        if kind is Kind.NULL:
            raise ExpressionError("null has no order", offset=offset, hint=NULL_HINT)
        if kind not in {Kind.NUMBER, Kind.STRING}:
            raise ExpressionError(
                f"a {kind} has no order", offset=offset, hint="only numbers and strings have one"
            )
    if kinds[0] is not kinds[1]:
        raise ExpressionError(
            f"a {kinds[0]} and a {kinds[1]} have no order", offset=offsets[0], hint="convert one"
        )


def _plain(value: Json) -> Json:
    """Returns a `Mapping` that is no dict as one, for the JSON encoder."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
)


def json_text(value: Json, offset: int) -> str:
    """Returns compact JSON, at most `MAX_RESULT` bytes.

    Raises:
        ExpressionError: ``expression`` for what JSON cannot say, or when it is longer.
    """
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):
        raise ExpressionError("the value cannot be written as JSON", offset=offset) from None
    return bounded((text,), offset)


def text_of(value: Json, offset: int) -> str:
    """Returns a value as it stands in mixed text: null is empty, lists and maps are JSON.

    Raises:
        ExpressionError: ``expression`` for what JSON cannot say, or when it is longer than
            `MAX_RESULT` bytes.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json_text(value, offset)


def bounded(pieces: Iterable[str], offset: int) -> str:
    """Returns the pieces joined; stops taking pieces as soon as they exceed the bound.

    Raises:
        ExpressionError: ``expression`` above `MAX_RESULT` bytes.
    """
    kept: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogatepass"))
        if size > MAX_RESULT:
            raise ExpressionError("the result is larger than 1 MiB", offset=offset)
        kept.append(piece)
    return "".join(kept)
