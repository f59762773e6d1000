"""The type of a secret value: it prints as stars wherever it turns up by accident.

A secret travels from its source to the one place that needs it (the environment of a child
process, a signature check) as a `SecretValue`, and so does everything that an expression makes of
it. It is no `str`, so neither a log line nor a JSON encoder gets at the text without saying so.
Where secrets come from is the business of `flowrunner.secrets`, what may be done with them that
of `flowrunner.model.expressions`.
"""

from __future__ import annotations

from typing import NoReturn

from flowrunner.model.ids import Json

MASK = "***"
"""What stands for a secret in everything a person reads."""


class SecretValue:
    """A secret. `repr`, `str` and `format` give `***`; only `reveal` gives what it is.

    Two values are equal only when they are the same object: comparing secrets in a way that
    takes the same time for every input is the caller's business.

    Args:
        value: The text of a secret, or any JSON that an expression made of one. It holds no
            `SecretValue` itself.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Json) -> None:
        self._value = value

    def reveal(self) -> Json:
        """Returns what is secret. Bytes that are not UTF-8 are kept as lone surrogates."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value is neither pickled nor copied")


def revealed(value: Json) -> Json:
    """Returns what a secret is, and any other value as it is."""
    return value.reveal() if isinstance(value, SecretValue) else value
