"""What an attempt's processes are to whoever spawns and ends them.

A family is everything that an attempt has started: its leader, children at any distance, in
whatever group or session. How it is held together depends on the host: by a cgroup where one is
delegated to us (`flowrunner.system.cgroup_family`), else by descent and marks
(`flowrunner.system.descent`). Both know who belongs; time limits are the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

SHELL = ("/bin/sh", "-c")
"""How a prologue begins, if there is one."""


class Family(Protocol):
    """The family of one leader; used in the event loop, until its leader is reaped."""

    async def signal(self, *numbers: int) -> None:
        """Sends signals, in this order, to everybody; processes of other users are out of reach."""

    async def until_empty(self) -> None:
        """Returns once nobody is alive. Safe to cancel.

        Raises:
            OSError: It cannot be told for want of descriptors.
        """

    def end(self) -> bool:
        """Kills at once whom that takes no wait, and returns whether nobody is left.

        The leader has ended and is not reaped. When somebody may be left, `kill` does the rest.
        """

    async def kill(self, timeout_s: float) -> bool:
        """Kills everybody and waits until they are gone; the leader has ended and is not reaped.

        Returns:
            False if somebody is left after `timeout_s` seconds; it is logged.
        """

    def close(self) -> None:
        """Forgets the family; its leader is reaped."""


class Enclosure(Protocol):
    """The place that a family will have; made before its leader is started.

    Attributes:
        prologue: Words before the command: none, or `SHELL`, a script and its arguments. It enters
            the enclosure and becomes the command.
    """

    @property
    def prologue(self) -> Sequence[str]:
        """Words before the command."""

    def found(self, leader: int) -> Family:
        """Returns the family of a leader; called in the event loop."""

    def abandon(self) -> None:
        """Ends what has entered, since nobody will found a family; blocks."""


class Families(Protocol):
    """Makes enclosures, and cares for what outlived its family.

    Attributes:
        kind: ``cgroup`` or ``descent``, for people.
    """

    @property
    def kind(self) -> str:
        """``cgroup`` or ``descent``."""

    def enclose(self, environment: Mapping[str, str]) -> Enclosure:
        """Makes room for the attempt that the environment names; blocks, and runs in any thread.

        Raises:
            OSError: The system refuses.
        """

    async def tidy(self) -> None:
        """Buries orphans that have ended, and kills what outlived all families.

        Cheap as a rule; called in the main thread now and then.
        """
