"""Judges items while they go on: in which order they begin, how many at once, how often.

Looks at what is durable at the moment at which a begin or an end becomes so. Types of nodes that
journal no begin are judged by their ends alone. Source: FLOW_FORMAT 4, `foreach`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flowrunner.model.execution import Attempt
from flowrunner.model.ids import Json
from tests.simulation.many import stops_at_failure

_FAILED = ("failed", "timed_out")

Known = Mapping[int, Sequence[Attempt]]
"""The durable attempts of the items of a node, by index."""


def judge_begin(
    node: Mapping[str, Json], attempt: Attempt, known: Known, *, is_calm: bool
) -> Iterator[str]:
    """Yields why an attempt of an item must not begin now.

    Args:
        node: The text of its node.
        attempt: It.
        known: What has begun before it.
        is_calm: Whether the disk has been well in this life. Else it may have lost the end of an
            item, and kept the begin of the next one, which the fault then keeps from its work.
    """
    index = attempt.key.item_index
    yield from judge_repeat(attempt, known)
    failed = [other for other, tries in known.items() if _has_failed(tries)]
    if failed and stops_at_failure(node):
        yield f"begins after the item {failed[0]} has failed"
    if index in known:
        return
    missing = [other for other in range(index) if other not in known]
    if missing:
        yield f"begins before the item {missing[0]}"
    others = [other for other, tries in known.items() if not _is_over(tries)]
    if is_calm and len(others) >= node.get("max_parallel", 1):
        yield f"begins beside the items {others}"


def judge_repeat(attempt: Attempt, known: Known) -> Iterator[str]:
    """Yields that an item goes on which has come to its end."""
    over = [each for each in known.get(attempt.key.item_index, ()) if each.item_end is not None]
    if over:
        yield f"follows attempt {over[0].key.number}, which ended the item"


def _is_over(tries: Sequence[Attempt]) -> bool:
    return any(each.item_end is not None for each in tries)


def _has_failed(tries: Sequence[Attempt]) -> bool:
    return any(each.item_end is not None and each.state in _FAILED for each in tries)
