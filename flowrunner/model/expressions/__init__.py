"""The expression language of the flow format, section 5: parse, check, evaluate.

This is the public door of the package. It is pure: data come in through a `Scope`, and the
places where expressions are allowed are the business of `flowrunner.definitions`.
"""

from __future__ import annotations

from flowrunner.model.expressions.absence import why_null
from flowrunner.model.expressions.errors import ExpressionError, ExpressionSyntaxError
from flowrunner.model.expressions.evaluation import Scope
from flowrunner.model.expressions.expression import Expression, parse_expression, render
from flowrunner.model.expressions.functions import FUNCTIONS, STATUS_FUNCTIONS
from flowrunner.model.expressions.outlook import ALWAYS, EITHER, NEVER, Outlook, outlook_of
from flowrunner.model.expressions.references import (
    Reference,
    calls,
    references,
    uses_status_function,
)
from flowrunner.model.expressions.secrecy import Disclosure, disclosures
from flowrunner.model.expressions.template import Condition, Template, condition, parse_template
from flowrunner.model.expressions.values import UNDECIDED_HINT, truth

__all__ = [
    "ALWAYS",
    "EITHER",
    "FUNCTIONS",
    "NEVER",
    "STATUS_FUNCTIONS",
    "UNDECIDED_HINT",
    "Condition",
    "Disclosure",
    "Expression",
    "ExpressionError",
    "ExpressionSyntaxError",
    "Outlook",
    "Reference",
    "Scope",
    "Template",
    "calls",
    "condition",
    "disclosures",
    "outlook_of",
    "parse_expression",
    "parse_template",
    "references",
    "render",
    "truth",
    "uses_status_function",
    "why_null",
]
