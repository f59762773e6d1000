"""What goes next over a channel: grouping, the rate with its summary, order, the bound."""

from __future__ import annotations

from flowrunner.model.ids import FlowKey
from flowrunner.model.notify import NotifyOn
from flowrunner.notify.line import GROUP_S, MOST_WAITING, Batch, Bucket, Line
from tests.unit.notify.notices import key_of_notice, make_notice

OTHER = FlowKey("default", "other")


def line(most: int | None = None, *, is_for_people: bool = True, takes_many: bool = False) -> Line:
    return Line(Bucket(most, 60.0), is_for_people=is_for_people, takes_many=takes_many)


def put(to: Line, *numbers: int, on: NotifyOn = NotifyOn.FAILED, flow: FlowKey = OTHER) -> None:
    for number in numbers:
        notice = make_notice(number, on, flow=flow)
        to.add(key_of_notice(notice), notice)


def numbers(batch: Batch) -> list[int]:
    ids = [make_notice(number).execution for number in range(2_000)]
    return [ids.index(kept.notice.execution) for kept in batch]


def test_equal_notices_are_grouped_after_the_first() -> None:
    """The first goes at once; those of the next minute go together when it is over."""
    waiting = line()
    put(waiting, 1)
    assert numbers(waiting.next_batch(100.0)[0]) == [1]
    put(waiting, 2, 3)
    batch, wait_s = waiting.next_batch(101.0)
    assert (batch, wait_s) == ((), GROUP_S - 1)
    assert numbers(waiting.next_batch(100.0 + GROUP_S)[0]) == [2, 3]
    assert waiting.next_batch(100.0 + GROUP_S) == ((), None)


def test_other_flows_and_other_events_do_not_wait() -> None:
    """What happens next to a flow takes along what was held back of it; others pass it."""
    waiting = line()
    put(waiting, 1)
    waiting.next_batch(0.0)
    put(waiting, 2)
    put(waiting, 3, flow=FlowKey("default", "third"))
    assert numbers(waiting.next_batch(1.0)[0]) == [3]
    put(waiting, 4, on=NotifyOn.RECOVERED)
    assert numbers(waiting.next_batch(2.0)[0]) == [2, 4]


def test_beyond_the_rate_everything_waits_for_one_summary() -> None:
    """A burst goes through as long as there is room; the rest is one message."""
    waiting = line(most=2)
    for number in range(14):
        put(waiting, number, flow=FlowKey("default", f"flow-{number}"))
    assert [len(waiting.next_batch(0.0)[0]) for _ in range(2)] == [1, 1]
    batch, wait_s = waiting.next_batch(0.0)
    assert (batch, wait_s) == ((), 30.0)
    assert len(waiting.next_batch(30.0)[0]) == 12
    assert waiting.is_empty


def test_machines_get_each_or_all_at_once() -> None:
    """Pings go one by one in order; alerts go together."""
    pings = line(is_for_people=False)
    put(pings, 1, 2)
    assert [numbers(pings.next_batch(0.0)[0]) for _ in range(2)] == [[1], [2]]
    alerts = line(is_for_people=False, takes_many=True)
    put(alerts, 1, 2)
    assert numbers(alerts.next_batch(0.0)[0]) == [1, 2]


def test_line_has_a_bound() -> None:
    """What is decided about counts like what waits."""
    waiting = line()
    put(waiting, *range(MOST_WAITING - 1))
    assert not waiting.is_full
    waiting.expected = 1
    assert waiting.is_full


def test_what_nodes_say_is_never_joined_nor_held_back() -> None:
    """Each message of a node goes by itself, at once, beside what happens to its flow."""
    waiting = line()
    put(waiting, 1)
    put(waiting, 2, 3, on=NotifyOn.MESSAGE)
    assert numbers(waiting.next_batch(0.0)[0]) == [1]
    put(waiting, 4)
    batches = [numbers(waiting.next_batch(1.0)[0]) for _ in range(3)]
    assert batches == [[2], [3], []]
    assert numbers(waiting.next_batch(GROUP_S)[0]) == [4]


def test_what_nodes_say_beyond_the_rate_is_summed_up() -> None:
    """A flow that says very much is told in one summary, by its subjects."""
    waiting = line(most=1)
    put(waiting, 1, 2, 3, on=NotifyOn.MESSAGE)
    assert numbers(waiting.next_batch(0.0)[0]) == [1]
    assert waiting.next_batch(0.0) == ((), 60.0)
    assert numbers(waiting.next_batch(60.0)[0]) == [2, 3]


def test_line_follows_the_rules_of_another() -> None:
    """What waits stays, in order, when a channel gets another rate or type."""
    waiting = line(most=1)
    put(waiting, 1, 2, 3, on=NotifyOn.MESSAGE)
    waiting.next_batch(0.0)
    waiting.follow(line(is_for_people=False))
    assert numbers(waiting.next_batch(0.0)[0]) == [2]
    assert numbers(waiting.empty()) == [3]
    assert waiting.is_empty
