"""Bugs to plant in what becomes of late slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from flowrunner.model.flow import Catchup
from flowrunner.triggers.armed import Armed
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.schedules import Schedules
from flowrunner.triggers.slot_keeper import SlotKeeper
from tests.simulation.bugs import Bug, exchange


def _takes(catchup: Catchup, for_catchup: Catchup) -> Callable[[Any], Any]:
    """Returns what catches up by one word as if it were another."""

    def make(original: Any) -> Any:
        async def catch_up(self: SlotKeeper, armed: Armed, until: datetime) -> None:
            trigger = armed.trigger
            if trigger.catchup is catchup:
                armed.trigger = replace(trigger, catchup=for_catchup)
            try:
                await original(self, armed, until)
            finally:
                armed.trigger = trigger

        return catch_up

    return make


def _has_no_window(original: Any) -> Any:
    async def catch_up(self: SlotKeeper, armed: Armed, until: datetime) -> None:
        trigger = armed.trigger
        armed.trigger = replace(trigger, catchup_window_s=10**9)
        try:
            await original(self, armed, until)
        finally:
            armed.trigger = trigger

    return catch_up


def _wakes_nobody(_: Any) -> Any:
    def lift_catchup(self: Schedules, why: str) -> None:
        self._holds.discard(why)

    return lift_catchup


def _starts_nothing(_: Any) -> Any:
    def started_by(*_: Any) -> int:
        """Takes everything for ended."""
        return 0

    return started_by


def _hears_of_no_end(_: Any) -> Any:
    def note_ended(self: Schedules, *_: Any) -> None:
        """Leaves what waits for the end to wait."""

    return note_ended


SLOT_BUGS = {
    "catch up in spite of none": Bug(
        plant=exchange(SlotKeeper, "_catch_up", _takes(Catchup.NONE, Catchup.LATEST)),
        found_as="s late, and none lets none start|superseded, and its word|beyond a window",
    ),
    "leave what all would catch up": Bug(
        plant=exchange(SlotKeeper, "_catch_up", _takes(Catchup.ALL, Catchup.LATEST)),
        found_as="is superseded, and its word is",
        seed=2,
    ),
    "catch up whatever the window": Bug(
        plant=exchange(SlotKeeper, "_catch_up", _has_no_window),
        found_as="s late, and .* lets none",
    ),
    "catch up all at once": Bug(
        plant=exchange(Dispatcher, "started_by", _starts_nothing),
        found_as="starts beside",
        seed=11,
    ),
    "hear of no end of what was caught up": Bug(
        plant=exchange(Schedules, "note_ended", _hears_of_no_end),
        found_as="nobody has looked at the slot",
        seed=22,
    ),
    "wake nobody when catching up may begin": Bug(
        plant=exchange(Schedules, "lift_catchup", _wakes_nobody),
        found_as="nobody has looked at the slot",
        seed=22,
    ),
}
