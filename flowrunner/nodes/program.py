"""A program to run for an attempt, and who can run it: the words, without the machinery.

Kept apart from `flowrunner.nodes.programs` so that checking a flow, which needs the node types
but executes none, does not load the event loop.
"""

from __future__ import annotations

from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.nodes.base import NodeResult
from flowrunner.nodes.context import ExecutionContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run: an argument list; in it `SCRIPT` stands for the path of the script, if any.

    Attributes:
        is_repeated: Whether the attempt may have run it before: outputs of then are forgotten.
    """

    argv: tuple[str, ...]
    script: str | None = None
    is_repeated: bool = False


class RunsPrograms(Protocol):
    """Runs programs for attempts."""

    async def run(self, ctx: ExecutionContext, program: Program) -> NodeResult:
        """Runs one program to its end; see `flowrunner.nodes.programs.ProgramRunner`."""
