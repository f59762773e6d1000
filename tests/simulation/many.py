"""The items of one node that is final: what each must come to, and the node because of them.

Source: FLOW_FORMAT 4, `foreach`. As `semantics.py`, it reads the flow's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowrunner.model.ids import Json
from tests.simulation.retrying import Try, judge_tries

_FAILED = ("failed", "timed_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """What is durable of the items of a node.

    Attributes:
        tries: The attempts of those that had begun, by index.
        outputs: Whether each has outputs, in the order of the list; None: there is no such list.
        at_fault: The index that the error of the node names.
    """

    tries: Mapping[int, Sequence[Try]]
    outputs: Sequence[bool] | None
    at_fault: int | None = None

    @property
    def well(self) -> set[int]:
        """Those that succeeded."""
        return {index for index, tries in self.tries.items() if tries[-1].state == "succeeded"}


def stops_at_failure(node: Mapping[str, Json]) -> bool:
    """Whether the first item that fails for good ends the others."""
    return bool(node.get("fail_fast", True)) and not node.get("continue_on_error")


def judge_items(
    node: Mapping[str, Json], state: str, items: Items, *, is_cut: bool
) -> Iterator[str]:
    """Yields what is wrong with the items of a node that has run and was not cancelled.

    Args:
        node: Its text.
        state: What it came to.
        items: All that is known of them.
        is_cut: Whether its execution was asked to end.
    """
    total, failed = len(node["foreach"]), state in _FAILED
    strangers = [index for index in items.tries if index >= total]
    if strangers:
        yield f"has an item {strangers[0]} of {total}"
    wanted = [index in items.well for index in range(total)]
    if list(items.outputs or ()) != wanted or items.outputs is None:
        yield f"has outputs of the items {items.outputs}, succeeded are {wanted}"
    if not failed and len(items.well) != total:
        yield f"is {state}, and {len(items.well)} of its {total} items succeeded"
    may_end_others = failed and stops_at_failure(node)
    for index in range(total):
        tries = items.tries.get(index, ())
        if not tries and may_end_others:
            continue
        is_ended = is_cut or (may_end_others and index != items.at_fault)
        told = judge_tries(node, tries, is_cut=is_ended)
        yield from (f"item {index} {each}" for each in told)
    if failed:
        yield from _judge_fault(state, items)


def _judge_fault(state: str, items: Items) -> Iterator[str]:
    """Yields what is wrong with the item that the node has failed by."""
    tries = items.tries.get(-1 if items.at_fault is None else items.at_fault, ())
    if not tries:
        yield f"is {state}, and says that its item {items.at_fault} is at fault"
    elif tries[-1].state != state:
        yield f"is {state}, its item at fault {tries[-1].state}"
