"""How a bug is planted.

Elsewhere nothing is patched. Here it is the subject: a bug is the product with one method
exchanged, and no constructor takes a broken one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.simulation.life import Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A bug.

    Attributes:
        plant: Plants it for as long as the context is entered.
        prepare: Plants it in the ground of one simulation.
        found_as: Words of the verdict that tell this bug from another.
        seed: One that finds it, tried before the others: those are for a product that has changed.
    """

    found_as: str
    plant: Callable[[], AbstractContextManager[Any]] = nullcontext
    prepare: Callable[[Ground], None] = lambda _: None
    seed: int = 0


def exchange(owner: type, name: str, make: Callable[[Any], Any]) -> Callable[[], Any]:
    """Returns how to exchange a method for one made of it."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))
