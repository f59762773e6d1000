"""From tokens to a tree, by recursive descent; operators are joined by how tightly they bind.

The depth is counted where the grammar nests (parentheses, calls, `!`), so neither this nor
anything that walks the tree can run out of stack. Whether names exist is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable

from flowrunner.model.expressions.errors import ExpressionSyntaxError
from flowrunner.model.expressions.function_table import Function
from flowrunner.model.expressions.functions import FUNCTIONS, hint_for_function
from flowrunner.model.expressions.lexer import (
    END,
    NUMBER,
    STRING,
    WORD,
    Token,
    tokens_of,
)
from flowrunner.model.expressions.syntax import (
    MAX_DEPTH,
    Call,
    Comparison,
    Key,
    Literal,
    Logical,
    Name,
    Node,
    Not,
    Path,
    Scalar,
)

_AND = 2
_RANKS = {
    "||": 1,
    "&&": _AND,
    **dict.fromkeys(("==", "!="), 3),
    **dict.fromkeys(("<", "<=", ">", ">="), 4),
}
"""How tightly an operator binds; up to `&&` it joins any number of operands, else two."""
_LITERALS = frozenset({STRING, NUMBER})
_BEFORE_KEY = frozenset({".", "["})
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_FOREIGN = {
    "and": "write &&",
    "or": "write ||",
    "not": "write !",
    "is": "write ==",
    "in": "write contains(list, item)",
    "none": "write null",
    "nil": "write null",
    "undefined": "write null",
    "null": "write null",
    "true": "write true",
    "false": "write false",
}
"""Words of other languages, lower-case, and what to write instead."""

_JOIN = "join two values with an operator such as && or =="
_AFTER_VALUE = {
    ")": "nothing opens it",
    "]": "nothing opens it",
    ".": "a literal has no members",
    "[": "a literal has no members",
    ",": "commas stand only between the arguments of a function",
    "!": "write != to compare",
}
"""What to say about a sign that follows a whole expression."""


def parse_node(text: str, start: int, end: int) -> Node:
    """Returns the tree of the expression between two offsets of a text.

    Raises:
        ExpressionSyntaxError: with an offset in the whole text.
    """
    return _Parser(tokens_of(text, start, end)).whole()


class _Parser:
    """One pass over the tokens; `_token` is the next one not yet taken."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._token = tokens[0]
        self._depth = 0

    def whole(self) -> Node:
        if self._token.kind == END:
            raise ExpressionSyntaxError("the expression is empty", self._token.offset)
        node = self._tree()
        if self._token.kind != END:
            raise self._unexpected(self._hint_after_value())
        return node

    def _hint_after_value(self) -> str:
        token = self._token
        if token.kind == NUMBER and str(token.value).startswith("-"):
            return "there is no arithmetic"
        return _AFTER_VALUE.get(token.kind, _JOIN)

    def _tree(self, least: int = 1) -> Node:
        """Takes operands for as long as what stands between them binds at least so tightly."""
        start = self._token.offset
        tree = self._negation()
        while (rank := _RANKS.get(self._token.kind, 0)) >= least:
            join = self._comparison if rank > _AND else self._logical
            tree = join(tree, rank, start)
        return tree

    def _logical(self, first: Node, rank: int, start: int) -> Node:
        operator, operands = self._token.kind, [first]
        while self._token.kind == operator:
            self._take()
            operands.append(self._tree(rank + 1))
        return Logical(
            operator=operator,
            operands=tuple(operands),
            offset=start,
            end=self._end,
        )

    def _comparison(self, left: Node, rank: int, start: int) -> Node:
        operator = self._take().kind
        right = self._tree(rank + 1)
        if _RANKS.get(self._token.kind) == rank:
            raise ExpressionSyntaxError(
                "comparisons do not chain",
                self._token.offset,
                "join two of them, as in a < b && b < c",
            )
        return Comparison(operator=operator, left=left, right=right, offset=start, end=self._end)

    def _negation(self) -> Node:
        if self._token.kind != "!":
            return self._value()
        sign = self._take()
        self._enter(sign)
        operand = self._negation()
        self._depth -= 1
        return Not(operand=operand, offset=sign.offset, end=self._end)

    def _value(self) -> Node:
        token = self._token
        kind, value, offset, end = token
        if kind in _LITERALS:
            self._take()
            return Literal(value=value, offset=offset, end=end)
        if kind == "(":
            return self._members(self._group(), offset)
        if kind != WORD:
            raise self._unexpected("")
        name, *keys = str(value).split(".")
        self._take()
        if not keys and self._token.kind == "(":
            return self._members(self._call(name, token), offset)
        if name in _WORDS:  # never before a dot
            return Literal(value=_WORDS[name], offset=offset, end=end)
        if name in FUNCTIONS or name.lower() in _FOREIGN:
            raise self._no_name(name, token)
        return self._members(Name(name=name, offset=offset, end=offset + len(name)), offset, keys)

    def _no_name(self, name: str, token: Token) -> ExpressionSyntaxError:
        if name in FUNCTIONS:
            hint = "call it, with parentheses"
            return ExpressionSyntaxError(f"{name} is a function", token.offset, hint)
        return ExpressionSyntaxError(f"unexpected `{name}`", token.offset, _FOREIGN[name.lower()])

    def _group(self) -> Node:
        opening = self._take()
        self._enter(opening)
        node = self._tree()
        self._close(")", opening)
        self._depth -= 1
        return node

    def _call(self, name: str, token: Token) -> Call:
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExpressionSyntaxError(
                f"there is no function {name[:80]}",
                token.offset,
                hint_for_function(name),
                code="expression.unknown_function",
            )
        opening = self._take()
        self._enter(opening)
        arguments: list[Node] = []
        if self._token.kind != ")":
            arguments.append(self._tree())
            while self._token.kind == ",":
                self._take()
                arguments.append(self._tree())
        closing = self._close(")", opening)
        self._depth -= 1
        _check_arity(name, function, len(arguments), token.offset)
        if function.check is not None:
            function.check(arguments)
        return Call(function=name, arguments=tuple(arguments), offset=token.offset, end=closing.end)

    def _members(self, base: Node, offset: int, names: Iterable[str] = ()) -> Node:
        """Returns a part with the members of it that are named so far, and those that follow."""
        keys: list[Key] = [*names]
        while (kind := self._token.kind) in _BEFORE_KEY:
            self._take()
            if kind == ".":
                keys += self._named()
            else:
                keys.append(self._indexed())
        if kind == "(":
            raise ExpressionSyntaxError(
                "only a function can be called",
                self._token.offset,
                "functions stand before their arguments, as in length(inputs.files)",
            )
        if not keys:
            return base
        if isinstance(base, Path):
            return Path(base=base.base, keys=(*base.keys, *keys), offset=offset, end=self._end)
        return Path(base=base, keys=tuple(keys), offset=offset, end=self._end)

    def _named(self) -> list[str]:
        if self._token.kind == WORD:
            return str(self._take().value).split(".")
        raise self._unexpected("after a dot stands a name; others are written ['name'] or [0]")

    def _indexed(self) -> Key:
        opening = self._tokens[self._index - 1]
        token = self._token
        is_index = isinstance(token.value, int) and token.value >= 0
        if token.kind != STRING and not is_index:
            raise self._unexpected("in brackets stands a key in single quotes or an index from 0")
        self._take()
        self._close("]", opening)
        return token.value if isinstance(token.value, int) else str(token.value)

    @property
    def _end(self) -> int:
        """Where the last token that was taken ends: parentheses around a part belong to it."""
        return self._tokens[self._index - 1].end

    def _take(self) -> Token:
        token = self._token
        self._index += 1
        self._token = self._tokens[self._index]
        return token

    def _close(self, sign: str, opening: Token) -> Token:
        if self._token.kind == sign:
            return self._take()
        if self._token.kind == END:
            raise ExpressionSyntaxError(
                f"the `{opening.kind}` is not closed", opening.offset, f"add `{sign}`"
            )
        raise self._unexpected(f"close the `{opening.kind}` with `{sign}`, or add an operator")

    def _enter(self, token: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionSyntaxError(
                f"the expression is nested deeper than {MAX_DEPTH} levels",
                token.offset,
                "compute parts of it in a node of type set",
            )

    def _unexpected(self, hint: str) -> ExpressionSyntaxError:
        """Returns the error for the next token, with a hint of its own where there is one."""
        token, value = self._token, str(self._token.value)
        if token.kind == END:
            return ExpressionSyntaxError("a value is missing at the end", token.offset, hint)
        if token.kind == WORD:
            value = value.partition(".")[0]
            hint = _FOREIGN.get(value.lower(), hint)
        shown = "string" if token.kind == STRING else f"`{value[:40]}`"
        return ExpressionSyntaxError(f"unexpected {shown}", token.offset, hint)


def _check_arity(name: str, function: Function, count: int, offset: int) -> None:
    least, most = function.least, function.most
    if count >= least and (most is None or count <= most):
        return
    wanted = str(least or "no")
    if most != least:
        wanted = f"{least} or {'more' if most is None else most}"
    plural = "argument" if wanted == "1" else "arguments"
    raise ExpressionSyntaxError(f"{name} takes {wanted} {plural}, not {count}", offset)
