"""A newcomer is judged without a look through the line: a long line costs it nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest

from flowrunner.engine.admission import Admission, Group, Limits, Ticket, Verdict
from flowrunner.model.flow import ConcurrencySpec, StartRules
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import Reason
from tests.fakes.ids import sequential_id

FLOW = FlowKey("default", "a")
RULES = ConcurrencySpec(limit=1, queue_limit=4)


class Unseen(dict[ExecutionId, Ticket]):
    """Who waits of a flow; nobody may look at all of them."""

    def __iter__(self) -> Iterator[ExecutionId]:
        self._refuse()

    def values(self) -> NoReturn:
        self._refuse()

    def items(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise AssertionError("somebody looks through the line")


class UnseenList(list[Ticket]):
    """Who waits in a group; nobody may look at all of them."""

    def __iter__(self) -> Iterator[Ticket]:
        raise AssertionError("somebody looks through the line")


def delivery(number: int) -> Ticket:
    return Ticket(
        id=sequential_id(number),
        flow=FLOW,
        group=Group("default", is_shared=False, name="a"),
        trigger_id="push",
        trigger_type="webhook",
        is_limited=True,
    )


@pytest.mark.parametrize("host", [1, 10], ids=["host-full", "host-has-room"])
def test_delivery_behind_a_line_is_judged_without_a_look_at_it(host: int) -> None:
    """Whether it waits, or finds the queue full, follows from numbers that are kept."""
    rules = StartRules(concurrency=RULES, is_held=False)
    admission = Admission(lambda _: rules, Limits(host, {}))
    verdicts = [admission.request(delivery(number), RULES).verdict for number in (1, 2, 3)]
    assert verdicts == [Verdict.START, Verdict.WAIT, Verdict.WAIT]
    admission._lines = {key: Unseen(line) for key, line in admission._lines.items()}
    for group in admission._groups.values():
        group.waiting = UnseenList(group.waiting)

    decisions = [admission.request(delivery(number), RULES) for number in (4, 5, 6)]

    assert [each.verdict for each in decisions] == [Verdict.WAIT, Verdict.WAIT, Verdict.REFUSE]
    assert decisions[-1].reason is Reason.QUEUE_FULL
