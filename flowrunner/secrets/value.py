"""The type of a secret value: it prints as stars wherever it turns up by accident.

A secret travels from its source to the one place that needs the text (the environment of a
child process, a signature check) as a `SecretValue`. It is no `str`, so neither a log line nor
a JSON encoder gets at the text without saying so.
"""

from __future__ import annotations

from typing import NoReturn

MASK = "***"
"""What stands for a secret in everything a person reads."""


class SecretValue:
    """A secret text. `repr`, `str` and `format` give `***`; only `reveal` gives the text.

    Two values are equal only when they are the same object: comparing secrets in a way that
    takes the same time for every input is the caller's business.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Returns the text itself. Bytes that are not UTF-8 are kept as lone surrogates."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value is neither pickled nor copied")
