"""What is kept of a text answers as the text itself would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.checks.texts import Texts
from flowrunner.model.expressions.function_table import Kinds
from flowrunner.model.expressions.types import infer
from flowrunner.model.expressions.values import Kind

TEXTS = (
    "inputs.a == vars.b",
    "inputs.a < 3 || contains(nodes.b.outputs.c, vars.d) && inputs.a",
    "default(inputs.a, number(vars.b)) != null",
    "!inputs.a",
)
KINDS = st.frozensets(st.sampled_from(Kind), min_size=1)


@given(st.sampled_from(TEXTS), st.lists(st.lists(KINDS, min_size=4, max_size=4), min_size=1))
def test_kinds_are_inferred_as_for_the_first_time(text: str, turns: list[list[Kinds]]) -> None:
    """Whatever kinds the names had in the flows before, those of this flow decide."""
    _, (uses,) = Texts().parsed(text, is_bare=True)
    for drawn in turns:
        kinds = tuple(drawn[: len(uses.references)])
        known = dict(zip(uses.references, kinds, strict=True))
        expected = infer(uses.expression.tree, known.__getitem__)
        assert uses.inferred(kinds) == uses.inferred(kinds) == expected
