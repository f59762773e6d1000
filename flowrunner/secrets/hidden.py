"""Which texts must not be seen of what an attempt is given: its secrets, and what was made of them.

Finds them in resolved values; `flowrunner.secrets.masking` hides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.model.values import text_of


def secret_texts(value: Json) -> Iterator[str]:
    """Yields the texts of every secret at any depth of a value, in no order.

    A secret is hidden as it would stand in `env`, a list or map also by each text in it. Null and
    booleans are not hidden: `true` in stars would hide nothing and spoil much.
    """
    for each in leaves(value):
        if isinstance(each, SecretValue):
            yield from _texts_of(each.reveal())


def leaves(value: Json) -> Iterator[Json]:
    """Yields what lists and maps hold at any depth, keys left out; another value as it is.

    Without recursion: data from outside may be nested deeper than Python's stack.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, list | tuple):
            waiting.extend(each)
        else:
            yield each


def _texts_of(secret: Json) -> Iterator[str]:
    if secret is not None and not isinstance(secret, bool):
        yield text_of(secret)
    if isinstance(secret, Mapping | list | tuple):
        yield from (text for text in leaves(secret) if isinstance(text, str))
