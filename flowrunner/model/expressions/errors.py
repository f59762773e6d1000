"""What can go wrong with an expression: how it is written, and what it meets when evaluated.

Messages name kinds of values and never values, so a secret or a payload cannot leak through one.
"""

from __future__ import annotations

from flowrunner.errors import ExecutionError, ValidationError
from flowrunner.model.expressions.syntax import MAX_LENGTH


class ExpressionSyntaxError(ValidationError):
    """A text is not an expression or not a template.

    Codes: ``expression.syntax``, ``expression.unknown_function``.

    Attributes:
        offset: Where, in code points from 0 in the text that was given to the parser; equal to
            its length when something is missing at the end.
        hint: What to write instead; empty when there is nothing to say.
    """

    default_code = "expression.syntax"

    def __init__(
        self, message: str, offset: int, hint: str = "", *, code: str | None = None
    ) -> None:
        super().__init__(message, code=code, details={"offset": offset, "hint": hint})
        self.offset = offset
        self.hint = hint


class ExpressionError(ExecutionError):
    """An expression cannot be evaluated over the data it met; another attempt does not help.

    Attributes:
        problem: The message without the expression.
        offset: Where in `expression`, in code points from 0.
        hint: What to write instead; empty when there is nothing to say.
        expression: The text of the expression, or of the whole template when the problem is
            theirs together; empty until it is known. Never cut in the case of an expression.
    """

    default_code = "expression"

    def __init__(self, problem: str, *, offset: int, hint: str = "", expression: str = "") -> None:
        message = f"{problem}: {expression}" if expression else problem
        details = {"offset": offset, "hint": hint, "expression": expression}
        super().__init__(message, details=details, final=True)
        self.problem = problem
        self.offset = offset
        self.hint = hint
        self.expression = expression

    def within(self, expression: str, start: int) -> ExpressionError:
        """Returns the same error with its expression, which starts at `start` of `offset`'s text.

        An error that knows its expression already is returned as it is.
        """
        if self.expression:
            return self
        return ExpressionError(
            self.problem,
            offset=self.offset - start,
            hint=self.hint,
            expression=expression[:MAX_LENGTH],
        )
