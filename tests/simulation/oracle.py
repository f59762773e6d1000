"""The judge of a simulation: looks at every write, spawn and answer, and knows the promises.

It stands outside of the daemon and outlives it. What it compares with is what is durable.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flowrunner.model.execution import (
    Attempt,
    Execution,
    Kept,
    NodeStatus,
    ScheduleKey,
    SlotRun,
)
from flowrunner.model.flow import FlowSpec, OnConflict
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey
from flowrunner.model.schedule import Schedule, count_between
from flowrunner.model.states import ExecutionState, Reason, SlotOutcome
from flowrunner.registry.entry import FlowEntry
from flowrunner.storage.memory import MemoryStorage
from flowrunner.system.clock import Clock
from tests.fakes.simulated_host import Group
from tests.fakes.simulated_loop import is_in_dead_life
from tests.fakes.simulated_storage import Write
from tests.simulation.child_judge import ChildJudge
from tests.simulation.keeping import is_well_above, misfit_of
from tests.simulation.lines import Lines, group_of, is_guest
from tests.simulation.node_judge import NodeJudge
from tests.simulation.processes import ProcessJudge
from tests.simulation.slot_judge import SlotJudge
from tests.simulation.trace import Trace

_RANKS = {ExecutionState.QUEUED: 0, ExecutionState.RUNNING: 1}
_FINAL_RANK = 2
_GRACE_S = 5.0
_NEVER = ("internal", "definition_lost", "storage.conflict")
"""Codes that no execution of the simulation may end with: each says that something is broken."""


class Halt(SystemExit):
    """A promise was broken: the simulation ends here. asyncio lets a `SystemExit` through."""


class Oracle:
    """Knows what was promised, and raises `Halt` when it does not hold.

    Attributes:
        verdict: What was broken; empty while nothing was.
        is_stopping: Whether the daemon was asked to stop: it may interrupt what it carries.
        acknowledged: What somebody was told has been accepted.
        ended: Ends committed in this life, by flow and state.
        slots: Slots that did not start, committed in this life, by flow, outcome and reason.
        left: Flows that left force in this life.
        is_disk_well: Whether the disk was, all this life.
        nodes: Judges nodes and their attempts.
        lines: Judges who goes first.
        children: Judges executions that others have asked for.
        processes: Judges what runs on the host.
        late: Judges slots that are caught up.
        most_running: How many executions the host allows, children that are waited for apart.
    """

    most_running: float = math.inf

    def __init__(
        self,
        durable: MemoryStorage,
        trace: Trace,
        clock: Clock,
        does_disk_fail: Callable[[], bool],
    ) -> None:
        self._does_disk_fail = does_disk_fail
        self.verdict = ""
        self.is_stopping = False
        self.acknowledged: dict[ExecutionId, str] = {}
        self.ended = Counter[tuple[FlowKey, ExecutionState]]()
        self.slots = Counter[tuple[FlowKey, SlotOutcome, str]]()
        self.left: set[FlowKey] = set()
        self._tables = durable.executions._tables
        self._trace = trace
        self._now = clock.monotonic
        self.is_disk_well = True
        self.nodes = NodeJudge(self._tables, clock.monotonic, clock.now, self.fail)
        self.lines = Lines(self._tables, clock.monotonic, self.fail)
        self.children = ChildJudge(self._tables, self.lines, self.nodes, clock.monotonic, self.fail)
        self.processes = ProcessJudge(clock.monotonic, self.fail)
        self.late = SlotJudge(
            self._tables, clock.monotonic, clock.now, lambda: self.is_disk_well, self.fail
        )
        self._kept: dict[ExecutionId, Kept] = {}
        self._on_host: set[ExecutionId] = set()
        self._schedules: dict[str, Schedule] = {}
        self._specs: dict[Digest, FlowSpec] = {}
        self._slots_started: dict[ScheduleKey, set[datetime]] = {}
        self._slots_ever: dict[tuple[ScheduleKey, datetime], ExecutionId] = {}
        self._excused: set[ExecutionId] = set()
        self._running: dict[tuple[str, str], dict[ExecutionId, FlowKey]] = {}
        self._delivered: dict[tuple[str, int], ExecutionId] = {}
        self._started: set[ExecutionId] = set()
        self._need_no_room: set[ExecutionId] = set()
        self._limits: dict[FlowKey, float] = {}
        self._fell: dict[FlowKey, tuple[float, float]] = {}

    def fail(self, text: str) -> None:
        """Notes a broken promise and ends the simulation; of a dead life nothing is expected."""
        if is_in_dead_life():
            return
        self.verdict = self.verdict or text
        raise Halt

    def life_begins(self) -> None:
        """Forgets the life before, whose end has interrupted what it left."""
        self.interruption()
        self.is_stopping, self.is_disk_well = False, True
        self.left.clear()
        self._running.clear()
        self._on_host.clear()
        self.processes.life_begins()
        self.nodes.life_begins()

    def counts_anew(self) -> None:
        """Counts from here on: what the life before had on its way has become durable by now."""
        self.ended.clear()
        self.slots.clear()
        self.nodes.counted.clear()

    def interruption(self) -> None:
        """Learns of a crash or a full disk: what is under way may be interrupted."""
        self.is_disk_well = False
        self.lines.disturb()
        self._excused.update(
            id_ for id_, each in self._tables.executions.items() if not each.state.is_final
        )

    def unfinished(self) -> list[ExecutionId]:
        """Returns what is queued or running on the disk, oldest first."""
        found = self._tables.executions
        return sorted(id_ for id_, each in found.items() if not each.state.is_final)

    def ended_ones(self) -> list[ExecutionId]:
        """Returns what has ended on the disk, oldest first."""
        found = self._tables.executions
        return sorted(id_ for id_, each in found.items() if each.state.is_final)

    def state_of(self, execution_id: ExecutionId) -> ExecutionState | None:
        """Returns the durable state of an execution; None when it is not there."""
        found = self._tables.executions.get(execution_id)
        return found.state if found else None

    def flow_of(self, execution_id: ExecutionId) -> str:
        """Returns the name of an execution's flow."""
        return self._tables.executions[execution_id].flow.name

    # What the daemon decides and tells

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        """Learns what is in force."""
        self.left |= removed
        self.late.flows_changed(entries)
        for key, entry in entries.items():
            if entry.spec is None:
                continue
            self._specs[entry.digest] = entry.spec
            self.lines.change(key)
            rules = entry.spec.concurrency
            is_free = rules.on_conflict is OnConflict.ALLOW
            self._limit_changes(key, math.inf if is_free else rules.limit)
            for trigger in entry.spec.schedules:
                self._schedules[trigger.schedule.fingerprint] = trigger.schedule

    def is_told_accepted(self, execution_id: ExecutionId, to: str) -> None:
        """Judges an acknowledgement at the moment at which it is given."""
        self._trace.event(f"acknowledged {execution_id} to {to}")
        if execution_id not in self._tables.executions:
            self.fail(f"{execution_id} was acknowledged to {to} and is not durable")
        self.acknowledged[execution_id] = to

    def is_retried(self, again: ExecutionId, before: ExecutionId, start: str | None) -> None:
        """Judges what a retry has taken over, of all that the model takes over."""
        case = self.nodes.case_of(self._tables.executions[before])
        if told := misfit_of(self._kept[again], case, start):
            self.fail(f"{again} repeats {before} from {start}, and {told}")

    def is_refused(self, before: ExecutionId, start: str) -> None:
        """Judges that a retry from a node was refused for what that depends on."""
        if is_well_above(self.nodes.case_of(self._tables.executions[before]), start):
            self.fail(f"{before} is not repeated from {start}, and all above that has ended well")

    def delivers(self, delivery: tuple[str, int], execution_id: ExecutionId) -> None:
        """Judges that a delivery has started an execution."""
        other = self._delivered.setdefault(delivery, execution_id)
        if other != execution_id:
            self.fail(f"delivery {delivery} has started {other} and {execution_id}")
        if not self._tables.deliveries.tells_of(execution_id):
            self.fail(f"{execution_id} is durable, and the delivery that has started it is not")

    def starts(self, execution: Execution) -> None:
        """Judges a start: is there room under the limit in force?"""
        flow = execution.flow
        self._trace.event(f"started {execution.id} of {flow.name}")
        self.nodes.starts(execution)
        self._takes_place(execution)
        if execution.id not in self._started:
            self.lines.starts(execution)
        if execution.id in self._need_no_room or math.isinf(self._limit(flow)):
            self._need_no_room.add(execution.id)
            return
        running = self._running.setdefault(group_of(execution), {})
        running[execution.id] = flow
        # Who shares a group goes by its own limit; we hear of starts in another order.
        limit = max(map(self._limit, running.values()))
        is_resumed = execution.id in self._started  # it has its place, whatever the limit is now
        self._started.add(execution.id)
        if len(running) > limit and not is_resumed:
            self.fail(f"{len(running)} executions run beside {flow}, the limit is {limit}")

    def resumes(self, execution: Execution) -> None:
        """Learns that one goes on which an earlier life had let in, even if it told nobody."""
        self._started.add(execution.id)
        rules = self._specs[execution.digest].concurrency  # its place is that of its version
        if rules.on_conflict is OnConflict.ALLOW:
            self._need_no_room.add(execution.id)
        self.starts(execution)

    def _takes_place(self, execution: Execution) -> None:
        if not is_guest(execution):
            self._on_host.add(execution.id)
        if len(self._on_host) > self.most_running:
            self.fail(f"{len(self._on_host)} executions run on a host for {self.most_running:g}")

    def _limit_changes(self, flow: FlowKey, limit: float) -> None:
        before = self._limits.get(flow, limit)
        if limit < before:
            self._fell[flow] = (before, self._now())
        self._limits[flow] = limit

    def _limit(self, flow: FlowKey) -> float:
        """Returns how many may run: who was let in before a limit fell may be about to start."""
        before, at = self._fell.get(flow, (0, -_GRACE_S))
        limit = self._limits.get(flow, math.inf)
        return max(before, limit) if self._now() - at < _GRACE_S else limit

    def ends(self, execution: Execution) -> None:
        """Learns that the engine gave a place back."""
        self._on_host.discard(execution.id)
        self._running.get(group_of(execution), {}).pop(execution.id, None)

    def spawns(self, key: AttemptKey, group: Group) -> None:
        """Judges a process that is about to begin."""
        name = f"{key.node}.{key.item_index}.{key.number} of {key.execution}"
        self._trace.event(f"spawned {name}")
        node = self.nodes.node_of(key.execution, key.node)
        self.processes.spawns(key, node, group, is_calm=self.is_disk_well)
        if key.node in self._tables.nodes.get(key.execution, {}):
            self.fail(f"{name} was spawned, and its node is final")
        if key not in self._tables.attempts.get(key.execution, {}):
            self.fail(f"{name} was spawned before its begin was durable")
        self.nodes.spawns(key)

    # What becomes durable

    def watch(self, write: Write, apply: Callable[[], Any]) -> Any:
        """Lets a write happen between a look at what it changes and one at what it changed."""
        judges: dict[str, Callable[..., None]] = {
            "update": self._updates,
            "begin": self._begins,
            "finish": self._finishes,
            "settle": self._settles,
            "record": self._records,
            "forget": self._forgets,
        }
        self._look()
        if write.kind in judges:
            judges[write.kind](*write.values)
        cursors = dict(self._tables.cursors)
        known = dict(self._tables.executions) if write.kind == "create" else {}
        result = apply()
        accounted = 0
        if write.kind == "create":
            accounted = self._created(write.values[0], is_new=result.created)
            if result.created:
                self._kept[write.values[0].id] = write.values[3]
            for other in write.values[2] if result.created else ():
                self._changes(known.get(other.id), other)
        elif write.kind == "record":
            accounted = write.values[0].count
        for schedule, at in self._tables.cursors.items():
            if schedule in cursors and at != cursors[schedule]:
                self._cursor_moves(schedule, cursors[schedule], at, accounted)
        return result

    def _look(self) -> None:
        if self._does_disk_fail():  # a fault outlives the life that met it
            self.lines.disturb()
        self.lines.look()
        self.children.look(is_calm=self.lines.is_calm and not self.is_stopping)
        self.processes.look()

    def _created(self, execution: Execution, *, is_new: bool) -> int:
        """Returns how many slots a start accounts for."""
        self._trace.event(f"durable create {execution.id} {execution.state} new={is_new}")
        slot = execution.cause.slot_at if execution.cause.is_slot else None
        if slot is not None and is_new:
            self._slot_starts(execution, slot)
        if is_new:
            self.lines.waits(execution)
            self.children.created(execution)
            self.children.judge_place(execution, self._need_no_room)
        return 0 if slot is None else 1

    def _slot_starts(self, execution: Execution, slot: datetime) -> None:
        schedule = self._schedule_of(execution)
        if schedule is None:
            return
        other = self._slots_ever.setdefault((schedule, slot), execution.id)
        if other != execution.id:
            self.fail(f"the slot {slot} of {schedule} started {other} and {execution.id}")
        self._slots_started.setdefault(schedule, set()).add(slot)
        self.late.starts(schedule, execution, slot)

    def _schedule_of(self, execution: Execution) -> ScheduleKey | None:
        """Returns the schedule that a start is due to; None for a version that was not seen."""
        spec = self._specs.get(execution.digest)
        for trigger in spec.schedules if spec else ():
            if trigger.id == execution.cause.trigger_id:
                return ScheduleKey(
                    flow=execution.flow,
                    trigger=trigger.id,
                    fingerprint=trigger.schedule.fingerprint,
                )
        return None

    def _records(self, run: SlotRun) -> None:
        started = self._slots_started.get(run.schedule, set())
        twice = [slot for slot in started if run.first <= slot <= run.last]
        if twice:
            self.fail(f"the slot {min(twice)} of {run.schedule} started and is {run.outcome} too")
        self.slots[run.schedule.flow, run.outcome, run.reason] += run.count
        self.late.records(run)

    def _forgets(self, schedules: tuple[ScheduleKey, ...]) -> None:
        for schedule in schedules:
            self._slots_started.pop(schedule, None)

    def _cursor_moves(
        self, schedule: ScheduleKey, before: datetime, at: datetime, accounted: int
    ) -> None:
        """Judges whether a move accounts for each slot that it passes, and for no other."""
        known = self._schedules.get(schedule.fingerprint)
        if at < before:
            self.fail(f"the cursor of {schedule} goes back from {before} to {at}")
        passed = count_between(known, before, at).total if known else accounted
        if passed != accounted:
            self.fail(
                f"the cursor of {schedule} passes {passed} slots and accounts for {accounted}"
            )

    def _updates(self, execution: Execution) -> None:
        self._changes(self._tables.executions.get(execution.id), execution)

    def _changes(self, known: Execution | None, execution: Execution) -> None:
        if known is None:
            self.fail(f"{execution.id} is updated and was never accepted")
            return
        self._trace.event(f"durable {execution.id} {execution.state} {execution.reason}")
        if _rank(execution.state) < _rank(known.state) or (
            known.state.is_final and execution.state is not known.state
        ):
            self.fail(f"{execution.id} goes back from {known.state} to {execution.state}")
        if execution.state.is_final and not known.state.is_final:
            self._ends(execution, known)

    def _ends(self, execution: Execution, known: Execution) -> None:
        self.ended[execution.flow, execution.state] += 1
        if execution.cause.is_slot and execution.started_at is None:
            self.slots[execution.flow, SlotOutcome.SKIPPED, execution.reason] += 1
        code = execution.error.code if execution.error else ""
        if code in _NEVER:
            self.fail(f"{execution.id} ended with {code}: {execution.error}")
        is_excused = self.is_stopping or execution.id in self._excused
        if execution.reason == Reason.INTERRUPTED and not is_excused:
            self.fail(f"{execution.id} was interrupted, and nothing interrupted it")
        running = [
            key
            for key, attempt in self._tables.attempts.get(execution.id, {}).items()
            if not attempt.ended_at
        ]
        if running:
            self.fail(f"{execution.id} has ended, and its attempt {running[0]} has not")
        if execution.started_at is not None:
            self.nodes.ends(execution, known)

    def _begins(self, attempt: Attempt) -> None:
        self._finishes(attempt)
        self.nodes.begins(attempt, is_calm=self.is_disk_well)

    def _finishes(self, attempt: Attempt, node: NodeStatus | None = None) -> None:
        key = attempt.key
        self._trace.event(
            f"durable {key.execution} {key.node}.{key.item_index}.{key.number} {attempt.state}"
        )
        known = self._tables.attempts.get(key.execution, {}).get(key)
        if known is not None and known.ended_at is not None:
            self.fail(f"the attempt {key} ended twice: {known.state}, {attempt.state}")
        if node is not None:
            self._settles([node])
        text = self.nodes.node_of(key.execution, key.node)
        self.nodes.finishes(attempt, is_calm=self.is_disk_well)
        self.children.finishes(attempt, text.get("type", "shell"))
        self.processes.ends(key, text, str(attempt.state))

    def _settles(self, nodes: list[NodeStatus]) -> None:
        for node in nodes:
            self._trace.event(f"durable {node.execution} {node.node} {node.state}")
            known = self._tables.nodes.get(node.execution, {}).get(node.node)
            if known is not None:
                self.fail(f"{node.node} of {node.execution} ended twice: {known}, {node}")
            self.children.settles(node)


def _rank(state: ExecutionState) -> int:
    return _RANKS.get(state, _FINAL_RANK)
