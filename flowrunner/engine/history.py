"""What an earlier life of the daemon journaled of an execution, and where it left each node.

Pure. What is done about it is decided here, and done in `flowrunner.engine.part`.
Source: FLOW_FORMAT 4, `on_interrupt`; DESIGN 3, recovery.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from flowrunner.model.execution import Attempt, NodeStatus
from flowrunner.model.flow import RetrySpec
from flowrunner.model.states import AttemptState, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a node stands that is not final.

    Attributes:
        number: Of the next attempt, or of the one that goes on.
        cut_short: How many attempts the ends of a daemon cut short: `max_attempts` does not count
            them.
        began_at: When its first attempt began; None for a node that has not begun.
        open: The attempt that the journal knows as running.
        due_at: When the next attempt may start, after a delay of `retry`; None: at once.
    """

    number: int = 1
    cut_short: int = 0
    began_at: datetime | None = None
    open: Attempt | None = None
    due_at: datetime | None = None

    @property
    def tries(self) -> int:
        """How many attempts count when the next one has ended."""
        return self.number - self.cut_short

    def after_cut(self) -> Standing:
        """Returns where it stands when its open attempt has been ended: the next may follow."""
        return Standing(
            number=self.number + 1, cut_short=self.cut_short + 1, began_at=self.began_at
        )

    def after(self, attempt: Attempt, due_at: datetime) -> Standing:
        """Returns where it stands after an attempt that another one follows."""
        return Standing(
            number=attempt.key.number + 1,
            cut_short=self.cut_short,
            began_at=self.began_at or attempt.started_at,
            due_at=due_at,
        )


FRESH = Standing()


@dataclass(frozen=True, kw_only=True)
class History:
    """Final nodes in the order of their ends, and attempts in the order of their keys."""

    nodes: Sequence[NodeStatus] = ()
    attempts: Sequence[Attempt] = ()

    @cached_property
    def exit_codes(self) -> Mapping[str, int | None]:
        """The exit code of the last attempt of each node."""
        return {attempt.key.node: attempt.exit_code for attempt in self.attempts}

    @property
    def names(self) -> list[str]:
        """The nodes that it knows: those that ended in the order of their ends, then others."""
        begun = (attempt.key.node for attempt in self.attempts)
        return [*dict.fromkeys((*(status.node for status in self.nodes), *begun))]

    def standing(self, node: str, retry: RetrySpec, chance: float) -> Standing:
        """Returns where a node stands that is not final; `FRESH` when it has not begun."""
        attempts = self._by_node.get(node)
        if not attempts:
            return FRESH
        last = attempts[-1]
        cut_short = sum(
            attempt.reason == Reason.INTERRUPTED
            or (attempt.state is AttemptState.RUNNING and attempt is not last)
            for attempt in attempts
        )
        began_at = attempts[0].started_at
        number = last.key.number
        if last.state is AttemptState.RUNNING:
            return Standing(number=number, cut_short=cut_short, began_at=began_at, open=last)
        due_at = None
        if last.reason != Reason.INTERRUPTED and last.ended_at is not None:
            delay_s = retry.delay_after(number - cut_short, chance)
            due_at = last.ended_at + timedelta(seconds=delay_s)
        return Standing(number=number + 1, cut_short=cut_short, began_at=began_at, due_at=due_at)

    def began_at(self, nodes: Collection[str]) -> datetime | None:
        """Returns when the first of some nodes began or was decided; None when none has."""
        attempts = [each.started_at for each in self.attempts if each.key.node in nodes]
        decided = [each.started_at or each.ended_at for each in self.nodes if each.node in nodes]
        return min((at for at in (*attempts, *decided) if at is not None), default=None)

    def open_attempt(self, node: str) -> Attempt | None:
        """Returns the attempt of a node that the journal knows as running."""
        last = self._by_node.get(node, (None,))[-1]
        return last if last is not None and last.state is AttemptState.RUNNING else None

    @cached_property
    def stale(self) -> Sequence[Attempt]:
        """Attempts that the journal knows as running, though their node went on after them.

        While a disk fails and recovers, the end of one may be lost and a later write be kept.
        """
        final = {status.node for status in self.nodes}
        return [
            attempt
            for attempt in self.attempts
            if attempt.state is AttemptState.RUNNING
            and (attempt.key.node in final or self._by_node[attempt.key.node][-1] is not attempt)
        ]

    @cached_property
    def _by_node(self) -> Mapping[str, Sequence[Attempt]]:
        found: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.key.node, []).append(attempt)
        return found


NOTHING = History()
