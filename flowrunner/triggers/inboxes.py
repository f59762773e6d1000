"""Triggers of type `file`: a flow starts once for each new content of a file.

A content is an inode with its size and time, as FLOW_FORMAT 3 says: a file that is written again
counts again, one that is only moved does not. Which ones are done with is written in the
transaction that accepts the execution, so that no restart starts one twice.

Files are found by looking, every few seconds: a look tells more than events do, which are lost
while the daemon is down, on network file systems, and in folders that come later. An event is a
hint to look now. A file waits where it lies while its flow cannot take it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.conditions import Condition
from flowrunner.model.event_triggers import FileTrigger
from flowrunner.model.execution import FILE_PATH, Cause
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.states import Reason
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.inbox_look import MOST_FILES, Content, Found, InboxLooks, Sought
from flowrunner.triggers.inbox_notes import files_unwatched
from flowrunner.triggers.occasions import Occasion, Occasions

_LOG = logging.getLogger(__name__)

LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 10.0, 1.0
"""Between two looks: half of `settle`, within these bounds."""

HINTED_PAUSE_S = 0.5
"""Between two looks where hints of something new keep coming."""

_REST = 20
"""How many times as long as a look nothing is looked at after it: it may not take all the time."""

_AT_ONCE = 2
"""Looks that go on beside each other: should a file system hang, others have threads left."""

_TOGETHER = 50
"""Files of one look that are asked for together, in their order: they share commits."""

_WAITING = frozenset(
    map(
        str,
        (
            Reason.SUSPENDED,
            Reason.PAUSED,
            Reason.NOT_READY,
            Reason.QUEUE_FULL,
            Reason.DISK,
            Reason.DRAINING,
        ),
    )
)
"""Refusals of a flow that will pass: its files stay where they are."""


@dataclass(slots=True)
class _Inbox:
    """One trigger in force.

    Attributes:
        done: The contents that are done with.
        settling: Since when a file has been as it is, by path; monotonic seconds.
        next_at: When to look again, monotonic seconds.
        rested_at: When to look again at the soonest, should there be a hint.
        is_hinted: Whether there was a hint since the last look began.
        waits: Why its files wait, as it was last told.
        trouble: What was last told of its folder.
        unheard: Why nothing tells of new files, as it was last told.
    """

    flow: FlowKey
    trigger: FileTrigger
    done: set[Content] = field(default_factory=set)
    settling: dict[str, tuple[Content, float]] = field(default_factory=dict)
    next_at: float = 0.0
    rested_at: float = 0.0
    is_hinted: bool = False
    waits: str = ""
    trouble: str = ""
    unheard: str = ""

    @property
    def pause_s(self) -> float:
        """How long after a look the next one comes."""
        return min(max(self.trigger.settle_s / 2, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)

    @property
    def sought(self) -> Sought:
        """What it looks for."""
        return self.flow.account, self.trigger.glob


class Inboxes:
    """Looks for the files of the triggers in force, and starts flows for them."""

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        occasions: Occasions,
        marks: MarkStore,
        looks: InboxLooks,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._occasions = occasions
        self._marks = marks
        self._looks = looks
        self._clock = clock
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._inboxes: dict[tuple[FlowKey, str], _Inbox] = {}
        self._changed = asyncio.Event()
        self._is_loaded = False
        self._sought: frozenset[Sought] = frozenset()
        self._unheard_since: datetime | None = None
        looks.listen(self._hint)

    def unheard(self) -> int:
        """Returns of how many triggers new files are found by looking alone."""
        return sum(1 for each in list(self._inboxes.values()) if each.unheard)

    def conditions(self) -> tuple[Condition, ...]:
        """Returns `FilesWatched`, while it is False."""
        unheard = [each for each in self._inboxes.values() if each.unheard]
        if not unheard or self._unheard_since is None:
            return ()
        return (files_unwatched(unheard[0].unheard, len(unheard), self._unheard_since),)

    def close(self) -> None:
        """Ends what gives hints; blocks."""
        self._looks.close()

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Arms what is new, disarms what is gone, leaves what has not changed untouched."""
        wanted = {
            key: self._wanted(entries.get(key))
            for key in sorted(changed_keys(self._entries, entries))
        }
        for flow, trigger_id in list(self._inboxes):
            if trigger_id not in wanted.get(flow, (trigger_id,)):
                del self._inboxes[flow, trigger_id]
        for key, triggers in wanted.items():
            for trigger in triggers.values():
                self._arm(key, trigger)
        self._entries = entries

    async def run(self) -> None:
        """Looks until it is cancelled; called once the flows are in force."""
        while True:
            self._changed.clear()
            await self._look_where_due()
            now = self._clock.monotonic()
            next_at = min((each.next_at for each in self._inboxes.values()), default=None)
            with suppress(TimeoutError):
                wait_s = None if next_at is None else max(next_at - now, 0.0)
                # Not `wait_for`: on Python 3.11 it loses a cancel that comes with the event.
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    def _wanted(self, entry: FlowEntry | None) -> dict[str, FileTrigger]:
        if entry is None or entry.spec is None or self._registry.lacking_labels(entry.spec):
            return {}
        return {trigger.id: trigger for trigger in entry.spec.inboxes}

    def _arm(self, key: FlowKey, trigger: FileTrigger) -> None:
        known = self._inboxes.get((key, trigger.id))
        if known is None:
            self._inboxes[(key, trigger.id)] = _Inbox(flow=key, trigger=trigger)
            self._is_loaded = False  # it may have marks of an earlier time in force
            self._changed.set()
        else:
            known.trigger = trigger

    async def _load(self) -> None:
        """Learns what is done with, and forgets it of triggers that are no more."""
        while not self._is_loaded:
            try:
                self._is_loaded = True
                known = await self._marks.list(MarkKind.FILE)
                gone = frozenset(key for key in known if not self._is_of_a_trigger(key))
                if gone:
                    await self._marks.change(MarkChange(drop=gone))
                for key in known:
                    if inbox := self._inboxes.get((key.flow, key.trigger)):
                        inbox.done.add(Content.of(key.name))
            except StorageError as error:
                self._is_loaded = False
                _LOG.error("files.unknown code=%s: %s", error.code, error.message)
                await asyncio.sleep(LONGEST_PAUSE_S)

    def _is_of_a_trigger(self, key: MarkKey) -> bool:
        entry = self._registry.get(key.flow)
        triggers = entry.spec.triggers if entry is not None and entry.spec is not None else ()
        return any(each.id == key.trigger and isinstance(each, FileTrigger) for each in triggers)

    def _hint(self, sought: Sought) -> None:
        """Looks soon where something has come."""
        for inbox in self._inboxes.values():
            if inbox.sought == sought:
                inbox.is_hinted = True
                inbox.next_at = min(inbox.next_at, inbox.rested_at)
                self._changed.set()

    async def _leave_folders(self) -> None:
        """Lets folders rest that nobody looks into any more."""
        before = self._sought
        self._sought = frozenset(each.sought for each in self._inboxes.values())
        if gone := before - self._sought:
            await self._looks.forget(gone)

    async def _look_where_due(self) -> None:
        await self._load()
        await self._leave_folders()
        now = self._clock.monotonic()
        due = [each for each in self._inboxes.values() if each.next_at <= now]
        for begin in range(0, len(due), _AT_ONCE):
            await asyncio.gather(*map(self._look, due[begin : begin + _AT_ONCE]))

    async def _look(self, inbox: _Inbox) -> None:
        begun, inbox.is_hinted = self._clock.monotonic(), False
        found = await self._looks.look(*inbox.sought)
        now = self._clock.monotonic()
        rest_s = _REST * (now - begun)
        inbox.rested_at = now + max(HINTED_PAUSE_S, rest_s)
        inbox.next_at = now + max(inbox.pause_s, rest_s)
        if inbox.is_hinted or found.followed.is_new:
            inbox.next_at = inbox.rested_at
        self._tell(inbox, found)
        ready = _settled(inbox, found.contents, now)
        for begin in range(0, len(ready), _TOGETHER):
            some = ready[begin : begin + _TOGETHER]
            taken = (self._is_taken(inbox, path, found.contents[path]) for path in some)
            if not all(await asyncio.gather(*taken)):
                break
        await self._forget_old(inbox, found.contents)

    def _tell(self, inbox: _Inbox, found: Found) -> None:
        """Logs once what keeps a look from seeing all of it, and what from being told of more."""
        place = (inbox.flow, inbox.trigger.id)
        if found.trouble not in ("", inbox.trouble):
            _LOG.warning("files.not_seen flow=%s trigger=%s: %s", *place, found.trouble)
        unheard = found.followed.failure
        if unheard not in ("", inbox.unheard):
            _LOG.warning("files.not_watched flow=%s trigger=%s: %s", *place, unheard)
        if unheard and not inbox.unheard and not self.unheard():
            self._unheard_since = self._clock.now()
        inbox.trouble, inbox.unheard = found.trouble, unheard

    async def _is_taken(self, inbox: _Inbox, path: str, content: Content) -> bool:
        """Starts the flow for a file, or decides that it does not; False: the file waits."""
        done = MarkChange(put={_mark(inbox, content): path})
        occasion = _occasion(inbox, path, content, done)
        try:
            if await self._occasions.start(occasion, later=_WAITING):
                await self._marks.change(done)
        except (RefusedError, StorageError) as error:
            if error.code != inbox.waits:
                inbox.waits = error.code
                _LOG.warning("files.waiting flow=%s reason=%s", inbox.flow, error.code)
            return False
        inbox.waits = ""
        inbox.done.add(content)
        inbox.settling.pop(path, None)
        return True

    async def _forget_old(self, inbox: _Inbox, contents: Mapping[str, Content]) -> None:
        """Forgets the oldest contents that are no more, once there are too many.

        Not sooner: a folder that is not mounted for a while must not make its files new.
        """
        if len(inbox.done) <= MOST_FILES:
            return
        absent = sorted(inbox.done.difference(contents.values()))
        gone = absent[: len(inbox.done) - MOST_FILES]
        keys = frozenset(_mark(inbox, content) for content in gone)
        with suppress(StorageError):  # the next look tries again
            await self._marks.change(MarkChange(drop=keys))
            inbox.done.difference_update(gone)


def _settled(inbox: _Inbox, contents: Mapping[str, Content], now: float) -> list[str]:
    """Returns the paths of new contents that have been as they are for long enough, oldest first.

    Two names of one file are one content, which is found by the first of them.
    """
    before, inbox.settling = inbox.settling, {}
    ready: dict[Content, str] = {}
    for path, content in contents.items():
        if content in inbox.done:
            continue
        known, since = before.get(path, (None, now))
        if known != content:
            since = now
        inbox.settling[path] = (content, since)
        if now - since >= inbox.trigger.settle_s:
            ready.setdefault(content, path)
        else:
            inbox.next_at = min(inbox.next_at, since + inbox.trigger.settle_s)
    return [path for _, path in sorted(ready.items())]


def _mark(inbox: _Inbox, content: Content) -> MarkKey:
    return MarkKey(MarkKind.FILE, inbox.flow, inbox.trigger.id, content.text)


def _occasion(inbox: _Inbox, path: str, content: Content, done: MarkChange) -> Occasion:
    trigger = inbox.trigger
    return Occasion(
        flow=inbox.flow,
        trigger=trigger,
        cause=Cause(trigger_id=trigger.id, trigger_type="file", context={FILE_PATH: path}),
        start_key=f"file:{inbox.flow}:{trigger.id}:{content.text}",
        marks=done,
    )
