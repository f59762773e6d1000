"""What an earlier life of the daemon journaled of an execution, and where it left each node.

Pure. What is done about it is decided here, and done in `flowrunner.engine.part`.
Source: FLOW_FORMAT 4, `on_interrupt`; DESIGN 3, recovery.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from functools import cached_property

from flowrunner.dataclass import dataclass
from flowrunner.engine.output_size import size_of
from flowrunner.model.execution import Attempt, Execution, NodeStatus
from flowrunner.model.flow import RetrySpec
from flowrunner.model.ids import AttemptKey, ExecutionId
from flowrunner.model.states import AttemptState, Reason

ITEM = "item_index"
"""Key of the details of an error of a node: the index of the item at fault."""


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


def standing_of(attempts: Sequence[Attempt], retry: RetrySpec, chance: float) -> Standing:
    """Returns where a node, or an item, stands that is not final after at least one attempt."""
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


def first_begin(attempts: Sequence[Attempt], execution: Execution) -> datetime | None:
    """Returns when the first of some attempts began, but for those that a retry has taken over."""
    since = None if execution.retry_of is None else execution.created_at
    begun = (each.started_at for each in attempts)
    return min((at for at in begun if since is None or at >= since), default=None)


@dataclass(frozen=True, kw_only=True)
class History:
    """Final nodes in the order of their ends, and attempts in the order of their keys.

    Attributes:
        children: Executions that have not ended, by the attempt that waits for them.
    """

    nodes: Sequence[NodeStatus] = ()
    attempts: Sequence[Attempt] = ()
    children: Mapping[AttemptKey, ExecutionId] = field(default_factory=dict)

    def exit_code(self, status: NodeStatus) -> int | None:
        """Returns the exit code of a final node: of its last attempt, or of the item at fault."""
        attempts = self.of_node(status.node)
        if isinstance(status.outputs, list):
            at_fault = None if status.error is None else status.error.details.get(ITEM)
            attempts = [each for each in attempts if each.key.item_index == at_fault]
        return attempts[-1].exit_code if attempts else None

    @property
    def output_bytes(self) -> int:
        """How much the outputs of nodes and of items take that ended well."""
        nodes = (each.outputs for each in self.nodes if isinstance(each.outputs, dict))
        ends = (each.item_end for each in self.attempts if each.item_end is not None)
        items = (end.outputs for end in ends if end.outputs is not None)
        return sum(map(size_of, (*nodes, *items)))

    @property
    def names(self) -> list[str]:
        """The nodes that it knows: those that ended in the order of their ends, then others."""
        begun = (attempt.key.node for attempt in self.attempts)
        return [*dict.fromkeys((*(status.node for status in self.nodes), *begun))]

    def standing(self, node: str, retry: RetrySpec, chance: float) -> Standing:
        """Returns where a node stands that is not final; `FRESH` when it has not begun."""
        attempts = self.of_node(node)
        return standing_of(attempts, retry, chance) if attempts else FRESH

    def began_at(self, nodes: Collection[str]) -> datetime | None:
        """Returns when the first of some nodes began or was decided; None when none has."""
        attempts = [each.started_at for each in self.attempts if each.key.node in nodes]
        decided = [each.started_at or each.ended_at for each in self.nodes if each.node in nodes]
        return min((at for at in (*attempts, *decided) if at is not None), default=None)

    def open_attempts(self, node: str) -> list[Attempt]:
        """Returns the attempts of a node that the journal knows as running; one of each item."""
        return [each for each in self.of_node(node) if each.state is AttemptState.RUNNING]

    def of_node(self, node: str) -> Sequence[Attempt]:
        """Returns the attempts of a node, those of an item side by side."""
        return self._by_node.get(node, ())

    def children_of(self, node: str) -> list[ExecutionId]:
        """Returns the executions that attempts of a node wait for."""
        return [child for key, child in self.children.items() if key.node == node]

    @property
    def orphans(self) -> list[ExecutionId]:
        """The executions that attempts waited for which have ended."""
        running = {each.key for each in self.attempts if each.state is AttemptState.RUNNING}
        return [child for key, child in self.children.items() if key not in running]

    @cached_property
    def stale(self) -> Sequence[Attempt]:
        """Attempts that the journal knows as running, though their node went on after them.

        While a disk fails and recovers, the end of one may be lost and a later write be kept.
        """
        final = {status.node for status in self.nodes}
        last = {attempt.key[:3]: attempt for attempt in self.attempts}
        return [
            attempt
            for attempt in self.attempts
            if attempt.state is AttemptState.RUNNING
            and (attempt.key.node in final or last[attempt.key[:3]] is not attempt)
        ]

    @cached_property
    def _by_node(self) -> Mapping[str, Sequence[Attempt]]:
        found: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.key.node, []).append(attempt)
        return found


NOTHING = History()
