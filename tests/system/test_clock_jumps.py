"""A real daemon whose wall clock is set an hour back and an hour forward, each of them twice.

Its monotonic clock goes on as it does under settimeofday(2). What the ledger has is compared with
the multiples of each period, which are all that an oracle needs here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.states import SlotOutcome
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.faked_time import LIBRARY, Recorded, SetClock, recorded
from tests.system.flow_files import says, write_flow

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    pytest.mark.skipif(LIBRARY is None, reason="needs faketime"),
]

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FLOW = FlowKey("default", "jumps")
START = datetime(2026, 6, 15, 12, 1, 30, tzinfo=UTC)
"""Only the beat has slots in the next three minutes and a half; the test needs half a minute."""
LATE = [datetime(2026, 6, 15, 12, 5, tzinfo=UTC) + n * timedelta(minutes=5) for n in range(12)]
"""The slots of a period of five minutes that the first jump ahead of its time passes over."""
PERIODS_S = {"beat": 1, "none": 300, "latest": 300, "all": 300, "windowed": 300}
CATCHUP: dict[str, Json] = {
    "none": {"catchup": "none"},
    "latest": {"catchup": "latest"},
    "all": {"catchup": "all"},
    "windowed": {"catchup": "all", "catchup_window": "20m"},
}


class Account(NamedTuple):
    """What became of a slot: `started`, or its outcome with the reason."""

    slot: datetime
    words: str


def definition() -> Json:
    """One flow with a schedule for each word of `catchup`, and one that beats."""
    triggers = [
        {"id": name, "type": "schedule", "every": f"{period_s}s", **CATCHUP.get(name, {})}
        for name, period_s in PERIODS_S.items()
    ]
    return {
        "version": 1,
        "name": FLOW.name,
        "triggers": triggers,
        "concurrency": {"on_conflict": "allow"},
        "retention": {"executions": 10_000},
        "nodes": [{"id": "brief", "type": "wait", "params": {"for": "300ms"}}],
    }


class Life:
    """The daemon, and the hands on its clock."""

    def __init__(self, running: RunningDaemon, clock: SetClock) -> None:
        self.running = running
        self._clock = clock
        self._ahead = timedelta(0)

    def set_clock(self, ahead: timedelta) -> None:
        """Sets the clock, and waits until the daemon has seen by how much it jumped."""
        jump = (ahead - self._ahead).total_seconds()
        self._ahead = ahead
        seen = self._seen(jump)
        self._clock.set(ahead)
        eventually(lambda: self._seen(jump) > seen, lambda: self.running.events)

    def goes_on(self) -> None:
        """Waits until two more slots have started."""
        before = len(self._started())
        eventually(lambda: len(self._started()) > before + 1, lambda: self.running.events)

    def caught_up(self, trigger: str) -> int:
        """Returns how many slots that the clock has passed over have started."""
        slots = {slot.timestamp() for slot in LATE}
        found = self.running.executions(FLOW.name)
        mine = (moment(each["slot_at"]) for each in found if each["trigger"]["id"] == trigger)
        return len(slots & set(mine))

    def has_caught_up(self, trigger: str, count: int) -> bool:
        return self.caught_up(trigger) == count

    def waits(self) -> None:
        """Sees that no slot starts for as long as two of the beat take, while other work does."""
        self.running.ended(self.running.start("by-hand"))
        before = self._started()
        shown = self._wall()
        eventually(lambda: self._wall() > shown + 2 * SECOND, lambda: self.running.events)
        assert self._started() == before

    def _seen(self, jump: float) -> int:
        """Returns how often a jump was seen, as exactly as a busy machine reads two clocks."""
        told = re.findall(r"clock\.jumped seconds=(\S+)", self.running.output)
        return sum(1 for seconds in told if float(seconds) == pytest.approx(jump, abs=5.0))

    def _started(self) -> set[str]:
        return {str(item["id"]) for item in self.running.executions(FLOW.name)}

    def _wall(self) -> datetime:
        """Asks the daemon for its time, by a flow that it starts."""
        ended = self.running.ended(self.running.start("by-hand"))
        return datetime.fromisoformat(ended["created_at"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def multiples(trigger: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """Every slot from one to another, as the multiples of the period since the epoch."""
    period_s = PERIODS_S[trigger]
    for second in range(int(first.timestamp()), int(last.timestamp()) + 1):
        if second % period_s == 0:
            yield datetime.fromtimestamp(second, UTC)


def accounts_of(found: Recorded) -> dict[str, list[Account]]:
    """Returns what became of each slot, by trigger; one with two accounts stands there twice."""
    accounts: defaultdict[str, list[Account]] = defaultdict(list)
    for execution in found.executions:
        accounts[execution.cause.trigger_id].append(Account(slot_of(execution), "started"))
    for row in found.rows:
        slots = list(multiples(row.schedule.trigger, row.first, row.last))
        assert len(slots) == row.count, row
        words = f"{row.outcome} ({row.reason})"
        accounts[row.schedule.trigger] += [Account(slot, words) for slot in slots]
    return {name: sorted(each) for name, each in accounts.items()}


def slot_of(execution: Execution) -> datetime:
    assert execution.cause.slot_at is not None
    return execution.cause.slot_at


def started_at(execution: Execution) -> datetime:
    assert execution.started_at is not None
    return execution.started_at


def ended_at(execution: Execution) -> datetime:
    assert execution.ended_at is not None
    return execution.ended_at


def lag_of(execution: Execution) -> float:
    """Returns how late it started, in seconds; 0 if the clock was set back meanwhile."""
    return max((started_at(execution) - slot_of(execution)).total_seconds(), 0.0)


def as_declared(words: str, missed: int, then: str) -> list[Account]:
    """Returns the accounts of the slots of the jump: the oldest were missed, the rest not."""
    reasons = [f"{SlotOutcome.MISSED} ({words})"] * missed + [then] * (len(LATE) - missed)
    return [Account(slot, reason) for slot, reason in zip(LATE, reasons, strict=True)]


def told_of(found: Recorded) -> float:
    """Returns how late the one execution for the first slot of the jump was created."""
    (made,) = (each for each in found.executions if slot_of(each) == LATE[0])
    return (made.created_at - LATE[0]).total_seconds()


def assert_caught_up_in_order(found: Recorded) -> None:
    """What was late began when the clock had jumped, one after the other, the oldest first.

    One of each trigger may have been decided in the moment in which the clock was set back.
    """
    for trigger in CATCHUP:
        of_trigger = (each for each in found.executions if each.cause.trigger_id == trigger)
        late = sorted((each for each in of_trigger if slot_of(each) in LATE), key=slot_of)
        jumped = [each for each in late if each.created_at >= START + HOUR]
        assert len(late) - len(jumped) <= 1, trigger
        assert all(one.id < then.id for one, then in pairwise(late)), trigger
        assert all(ended_at(one) <= then.created_at for one, then in pairwise(jumped)), trigger


def test_slots_have_one_account_over_jumps_of_an_hour(flows: Path, state: Path) -> None:
    """None starts twice, each has one outcome, as `catchup` says and as late as it was."""
    (flows / "jumps.yaml").write_text(json.dumps(definition()), encoding="utf-8")
    write_flow(flows, "by-hand", says("one"))
    clock = SetClock(state.parent / "clock", START)

    with daemon(flows, state, env={**OPEN, **clock.environment}) as running:
        life = Life(running, clock)
        life.goes_on()
        life.set_clock(-HOUR)
        life.waits()
        life.set_clock(0 * HOUR)
        life.goes_on()
        life.set_clock(HOUR)
        life.goes_on()
        life.set_clock(0 * HOUR)
        life.waits()
        assert life.caught_up("all") < len(LATE), "the clock was to be set back meanwhile"
        life.set_clock(HOUR)
        life.goes_on()
        for trigger, count in {"all": len(LATE), "windowed": 4}.items():
            eventually(partial(life.has_caught_up, trigger, count), lambda: running.events)
        answer = running.command("why", FLOW.name, "--at", LATE[0].isoformat()).stdout
        count = int(running.metric("flowrunner_slot_lag_seconds_count") or 0)
        lag_s = running.metric("flowrunner_slot_lag_seconds_sum")
        assert running.stop() == 0, running.events

    found = asyncio.run(recorded(state, FLOW))
    accounts = accounts_of(found)
    for trigger, each in accounts.items():
        slots = [account.slot for account in each]
        assert slots == list(multiples(trigger, slots[0], slots[-1])), trigger
    beats = [account.slot for account in accounts["beat"]]
    assert (beats[0] < START + HOUR / 60, beats[-1] > START + HOUR) == (True, True)
    assert accounts["none"] == as_declared("down", len(LATE), "")
    assert accounts["latest"] == as_declared("superseded", len(LATE) - 1, "started")
    assert accounts["all"] == as_declared("", 0, "started")
    assert accounts["windowed"] == as_declared("window", 8, "started")
    told_s = re.findall(r"started \S+ (\d+\.\d)s after the slot", answer)
    assert [float(each) for each in told_s] == [pytest.approx(told_of(found), abs=0.1)]
    assert_caught_up_in_order(found)
    in_order = sorted(found.executions, key=started_at)
    assert sum(map(lag_of, in_order[:count])) == pytest.approx(lag_s, abs=0.01)
