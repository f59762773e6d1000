"""A crew that works in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flowrunner.definitions.ahead_wire import AheadCompiler
from flowrunner.system.crew import Answers
from tests.fakes.nodes import builtin_compiler

Spoil = Callable[[bytes], bytes | None]
"""What becomes of an answer on its way."""


class HereCrew:
    """Meets `Crew` for those who compile ahead.

    Attributes:
        works: The pieces that it was given.
        is_closed: Whether the last stream of work has ended.
    """

    def __init__(self, spoil: Spoil = lambda answer: answer) -> None:
        self._compiler = AheadCompiler(builtin_compiler())
        self._spoil = spoil
        self.works: list[bytes] = []
        self.is_closed = False

    def carry(self, works: Iterable[bytes]) -> Answers:
        try:
            for work in works:
                self.works.append(work)
                yield self._spoil(self._compiler.answer(work))
        finally:
            self.is_closed = True
