"""Judges processes: once for each attempt, but for probes, and each within a place of the host.

A probe is repeated until it succeeds, with its pause between, and holds no place meanwhile.
Source: FLOW_FORMAT 4, `wait`; `engine.max_running_nodes`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from flowrunner.engine.node_slots import NodeSlots
from flowrunner.model.ids import AttemptKey, ExecutionId, Json
from tests.fakes.simulated_host import Group
from tests.simulation.retrying import seconds

_IDLE_S = 20.0
"""How long a place may be held without a process: until it begins, and after it has ended."""
_PREPARING_S = 0.05
"""How much later than the one before a process may have been prepared."""


def key_of_process(env: Mapping[str, str]) -> AttemptKey:
    """Returns whose process it is: its environment names all but the item, and flows name that."""
    return AttemptKey(
        ExecutionId(env["EXECUTION_ID"]),
        env["NODE_ID"],
        int(env.get("ITEM", "0")),
        int(env["ATTEMPT"]),
    )


class WatchedSlots(NodeSlots):
    """The places of one life, and who holds one since when.

    Args:
        most: How many there are.
        now: The monotonic time, in seconds.

    Attributes:
        most: The same.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        super().__init__(most)
        self.most = most
        self._now = now
        self._held: dict[object, float] = {}

    @asynccontextmanager
    async def place(self, account: str, *, by_hand: bool) -> AsyncIterator[None]:
        async with super().place(account, by_hand=by_hand):
            holder = object()
            self._held[holder] = self._now()
            try:
                yield
            finally:
                del self._held[holder]

    def held_for(self, seconds_: float) -> int:
        """Returns how many places are held so long already."""
        return sum(self._now() - since >= seconds_ for since in self._held.values())


class ProcessJudge:
    """Knows the processes of all lives.

    Args:
        now: The time that all lives share, in seconds.
        fail: Called with what does not hold.

    Attributes:
        slots: The places of the living daemon.
    """

    def __init__(self, now: Callable[[], float], fail: Callable[[str], None]) -> None:
        self.slots: WatchedSlots | None = None
        self._now = now
        self._fail = fail
        self._last: dict[AttemptKey, Group] = {}
        self._begun: dict[AttemptKey, float] = {}
        self._living: list[Group] = []
        self._life = 0

    def life_begins(self) -> None:
        """Learns that the places of the life before are gone."""
        self.slots = None
        self._living.clear()
        self._life += 1

    def spawns(
        self, key: AttemptKey, node: Mapping[str, Json], group: Group, *, is_calm: bool
    ) -> None:
        """Judges a process at the moment at which it begins.

        Args:
            key: Whose it is.
            node: The text of that node.
            group: It.
            is_calm: Whether the disk has been well in this life: else the end of an attempt may
                be lost, and then it goes on.
        """
        name = f"{key.node}.{key.item_index}.{key.number} of {key.execution}"
        before, now = self._last.get(key), self._now()
        if before is not None and "probe" not in node.get("params", {}):
            self._fail(f"{name} was spawned twice")
        elif before is not None and before.life == self._life and is_calm:
            self._judge_probe(name, key, node, before)
        self._last[key], self._begun[key] = group, now
        self._living.append(group)
        running = sum(each.leader_until > now for each in self._living)
        if self.slots is not None and running > self.slots.most:
            self._fail(f"{running} processes run in {self.slots.most} places")
        if "foreach" in node:
            self._judge_items(key, node.get("max_parallel", 1))

    def look(self) -> None:
        """Judges that somebody works in each place that is held."""
        if self.slots is None:
            return
        now = self._now()
        self._living = [each for each in self._living if each.lives(now - _IDLE_S)]
        held = self.slots.held_for(_IDLE_S)
        if held > len(self._living):
            self._fail(f"{held} places are held, and {len(self._living)} processes run")

    def ends(self, key: AttemptKey, node: Mapping[str, Json], state: str) -> None:
        """Judges the end of a wait: it succeeds with its last probe."""
        last = self._last.get(key)
        if state != "succeeded" or "probe" not in node.get("params", {}):
            return
        if last is None or last.status.exit_code != 0:
            self._fail(f"the wait {key} has succeeded, its last probe {last and last.status}")

    def _judge_items(self, key: AttemptKey, most: int) -> None:
        """Judges how many items of a node are at work, whatever the journal has lost of them."""
        now = self._now()
        running = (key_of_process(each.env) for each in self._living if each.leader_until > now)
        items = {each.item_index for each in running if each[:2] == key[:2]}
        if len(items) > most:
            name = f"{key.node} of {key.execution}"
            self._fail(f"the items {sorted(items)} of {name} run beside each other")

    def _judge_probe(
        self, name: str, key: AttemptKey, node: Mapping[str, Json], before: Group
    ) -> None:
        if before.status.exit_code == 0:
            self._fail(f"{name} probes again after a success")
        passed_s, every_s = self._now() - self._begun[key], seconds(node["params"]["every"])
        if passed_s < every_s - _PREPARING_S:
            self._fail(f"{name} probes again after {passed_s:.3f} s, not after {every_s:g} s")
