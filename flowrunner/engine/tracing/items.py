"""What items of a `foreach` were given: those that failed, those that are open, some others.

A node may have 10,000 of them, so a few are told, and of the others their attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.engine.tracing.replay import Replay
from flowrunner.engine.tracing.told import Teller
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Attempt
from flowrunner.model.flow import NodeSpec
from flowrunner.model.ids import Json
from flowrunner.model.states import AttemptState

MOST_ITEMS = 10
"""Items of one node of which it is told what they were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsToTell:
    """Some items of a node.

    Attributes:
        total: How many there are; None where the list is not known.
        values: The items to be told, by index, in their order.
        tellers: What evaluates for them.
    """

    total: int | None = None
    values: Mapping[int, Json] = field(default_factory=dict)
    tellers: Mapping[int, Teller] = field(default_factory=dict)


NO_ITEMS = ItemsToTell()


def items_to_tell(replay: Replay, spec: NodeSpec, teller: Teller) -> ItemsToTell:
    """Returns the items of a node that has begun, as far as they are told."""
    if spec.foreach is None or not replay.has_begun(spec):
        return NO_ITEMS
    try:
        found = teller.resolved(spec.foreach)
    except ExecutionError:
        return NO_ITEMS
    if not isinstance(found, list | tuple):
        return NO_ITEMS
    chosen = [index for index in _chosen(replay.attempts(spec.id)) if index < len(found)]
    values = {index: found[index] for index in chosen}
    tellers = {
        index: teller.within("item", value).within("index", index)
        for index, value in values.items()
    }
    return ItemsToTell(total=len(found), values=values, tellers=tellers)


def _chosen(attempts: Sequence[Attempt]) -> list[int]:
    """Returns the indexes of those to tell: first what failed, then what is open."""
    last = {attempt.key.item_index: attempt for attempt in attempts}
    orders: tuple[Callable[[Attempt], bool], ...] = (_has_failed, _is_open, lambda _: True)
    ranked = [index for wanted in orders for index, each in last.items() if wanted(each)]
    return sorted([*dict.fromkeys(ranked)][:MOST_ITEMS])


def _has_failed(last: Attempt) -> bool:
    is_failure = last.state in (AttemptState.FAILED, AttemptState.TIMED_OUT)
    return is_failure and last.item_end is not None


def _is_open(last: Attempt) -> bool:
    return last.item_end is None
