"""Users of a host that a test makes up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from flowrunner.errors import ExecutionError
from flowrunner.system.identity import Identity


class FakeUsers:
    """Meets `Users`: everybody may be, but for those with a problem.

    Attributes:
        problems: Name, or account and name with a slash between → problem; a test may change
            them.
        asked: Whom `problem` was asked about, in order.
        handed: What was handed over to whom: name, way, paths.
    """

    def __init__(self, *, has_others: bool = True) -> None:
        self.has_others = has_others
        self.problems: dict[str, str] = {}
        self.asked: list[str] = []
        self.handed: list[tuple[str, tuple[Path, ...], tuple[Path, ...]]] = []

    def problem(self, name: str, account: str) -> str:
        self.asked.append(name)
        own = self.problems.get(f"{account}/{name}", "")
        return own or self.problems.get(name, "")

    def identity(self, name: str, account: str) -> Identity | None:
        if problem := self.problems.get(name):
            raise ExecutionError(problem, code="user_not_permitted", final=True)
        home, setpriv = f"/home/{name}", "/usr/bin/setpriv"
        return Identity(name=name, uid=1000, gid=100, groups=(100,), home=home, setpriv=setpriv)

    def hand_over(self, identity: Identity, way: Sequence[Path], own: Iterable[Path]) -> None:
        self.handed.append((identity.name, tuple(way), tuple(own)))
