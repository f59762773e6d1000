"""Who is told of what: decided once, with what it is about, over the rules that hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from flowrunner.model.channels import ChannelMap
from flowrunner.model.conditions import Status
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow_events import FlowEvent
from flowrunner.model.ids import FlowKey, Json, Revision
from flowrunner.model.mark import MarkChange, MarkKind
from flowrunner.model.notify import Notice, build_rules
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.model.states import ExecutionState
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.decisions import Decisions
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.sending import Outlet
from flowrunner.registry.channels import ChannelDirectory, ChannelRules
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory_marks import MemoryMarks
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import entries, flow_text, key_of
from tests.fakes.records import NOON, make_execution
from tests.fakes.virtual_time import run_virtual
from tests.unit.notify.notices import SENDER, Counts, FakeChannel

FAILED, SUCCEEDED = ExecutionState.FAILED, ExecutionState.SUCCEEDED
A = key_of("a")


def rule(*on: str, channels: tuple[str, ...] = ("oncall",), **more: Json) -> Json:
    return {"on": list(on), "channels": list(channels), **more}


class World:
    """Decisions of one life over marks that stay; must be made in a loop."""

    def __init__(self, *files: bytes, names: ChannelRules | None = None) -> None:
        self.marks = MemoryMarks()
        self.registry = FlowRegistry(labels=frozenset({"db"}))
        self.registry.replace(entries({f"{n}.yaml": data for n, data in enumerate(files)}))
        self.names = names or ChannelRules(
            channels=ChannelMap(host={"oncall": "exec", "alive": "ping"}),
            pings=frozenset({"alive"}),
        )
        self.restart()

    def restart(self) -> None:
        labels = ("oncall", "alive", "pay/oncall")
        self.lines = {
            label: Line(Bucket(None), is_for_people=False, takes_many=True) for label in labels
        }
        self.box = Outbox(
            outlets={
                label: Outlet(channel=FakeChannel(), line=line, news=asyncio.Event())
                for label, line in self.lines.items()
            },
            marks=self.marks,
            clock=FakeClock(),
            sender=SENDER,
            counts=Counts(),
            health=ChannelHealth(labels, FakeClock()),
        )
        self.decisions = Decisions(
            registry=self.registry,
            directory=ChannelDirectory(self.names),
            outbox=self.box,
            marks=self.marks,
            clock=FakeClock(),
        )

    def end(self, number: int, state: ExecutionState, *, flow: FlowKey = A, **more: Json) -> None:
        """Ends an execution, whose end is on disk then."""
        execution = replace(make_execution(number, flow=flow, state=state), **more)
        self.marks.apply(MarkChange(put=self.decisions.left_by(execution)))
        self.decisions.note_ended(execution)

    def sent(self, label: str = "oncall") -> list[Notice]:
        """Takes what was let go for a channel."""
        batch, _ = self.lines[label].next_batch(0.0)
        return [kept.notice for kept in batch]

    def told(self, label: str = "oncall") -> list[str]:
        return [str(notice.on) for notice in self.sent(label)]


def test_end_is_told_with_its_facts_and_without_data() -> None:
    """Reason and journaled error go along; what quotes inputs or outputs does not."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("failed")]))
        error = Failure(code="exit_code", message="curl failed")
        world.end(1, FAILED, error=error)
        world.end(2, FAILED, error=replace(error, message="private", quotes_data=True))
        first, second = world.sent()
        execution = make_execution(1, flow=A, state=FAILED)
        assert (first.flow, first.execution, first.state) == (A, execution.id, "failed")
        assert (first.reason, first.message) == ("exit_code", "curl failed")
        assert (first.at, first.revision) == (execution.ended_at, execution.revision)
        assert (second.reason, second.message) == ("exit_code", "")
        kept = "".join((await world.marks.list(MarkKind.NOTICE)).values())
        assert "private" not in kept

    run_virtual(story())


def test_end_is_decided_about_once() -> None:
    """While the disk fails it says the same again; another end takes the place of the first."""

    async def story() -> None:
        rules = [rule("failed", "recovered", after_consecutive=2)]
        world = World(flow_text("a", notify=rules))
        world.end(1, FAILED)
        execution = make_execution(2, flow=A, state=FAILED)
        marks = world.decisions.left_by(execution)
        assert world.decisions.left_by(execution) == marks
        otherwise = replace(execution, state=SUCCEEDED)
        world.marks.apply(MarkChange(put=world.decisions.left_by(otherwise)))
        world.decisions.note_ended(otherwise)
        world.end(3, FAILED)
        assert world.told() == []
        world.end(4, FAILED)
        assert world.told() == ["failed"]

    run_virtual(story())


def test_failures_are_known_after_a_restart() -> None:
    """The next life recovers from what the one before was told, and forgets flows that left."""

    async def story() -> None:
        rules = [rule("failed", "recovered")]
        world = World(flow_text("a", notify=rules), flow_text("b", notify=rules))
        world.end(1, FAILED)
        world.end(2, FAILED, flow=key_of("b"))
        assert len(world.told()) == 2
        world.registry.replace(entries({"a.yaml": flow_text("a", notify=rules)}))
        world.restart()
        await world.decisions.load()
        await world.box.settle()
        assert [key.flow for key in await world.marks.list(MarkKind.ALARM)] == [A]
        world.end(3, SUCCEEDED)
        world.end(4, SUCCEEDED)
        assert world.told() == ["recovered"]
        world.restart()
        await world.decisions.load()
        await world.box.settle()
        assert await world.marks.list(MarkKind.ALARM) == {}

    run_virtual(story())


def test_flow_that_leaves_takes_its_failures_along() -> None:
    """A flow of the same name that comes later begins anew."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("failed", after_consecutive=2)]))
        world.end(1, FAILED)
        world.decisions.flows_changed({}, frozenset({A}))
        await world.box.settle()
        assert await world.marks.list(MarkKind.ALARM) == {}
        world.end(2, FAILED)
        assert world.told() == []

    run_virtual(story())


def test_rules_of_flow_account_and_host() -> None:
    """A flow that says nothing has those of its account, else of the host; `[]` is nobody."""

    async def story() -> None:
        pay = FlowKey("pay", "a")
        names = ChannelRules(
            channels=ChannelMap(host={"oncall": "exec"}, of_accounts={"pay": {"oncall": "exec"}}),
            default=build_rules([rule("failed", channels=("oncall", "gone"))]),
            defaults={"pay": build_rules([rule("succeeded")])},
        )
        world = World(flow_text("a"), flow_text("b", notify=[]), names=names)
        elsewhere = flow_text("c", runs_on="mail", notify=[rule("failed")])
        found = dict(entries({"a.yaml": flow_text("a"), "c.yaml": elsewhere}))
        world.registry.replace({**world.registry.entries, **found, pay: replace(found[A], key=pay)})
        for number, flow in enumerate((A, key_of("b"), key_of("c"), key_of("gone"), pay)):
            world.end(2 * number, FAILED, flow=flow)
            world.end(2 * number + 1, SUCCEEDED, flow=flow)
        assert [(notice.on, notice.flow) for notice in world.sent()] == [("failed", A)]
        assert [(notice.on, notice.flow) for notice in world.sent("pay/oncall")] == [
            ("succeeded", pay)
        ]

    run_virtual(story())


def test_channel_that_two_rules_name_is_told_once() -> None:
    """One event is one notice for a channel."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("failed"), rule("failed", "late")]))
        world.end(1, FAILED)
        assert world.told() == ["failed"]

    run_virtual(story())


def test_quiet_flow_leaves_no_mark() -> None:
    """A success that nobody asked for costs nothing, nor does a flow without rules."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("failed")]), flow_text("b"))
        assert world.decisions.left_by(make_execution(1, flow=A, state=SUCCEEDED)) == {}
        assert world.decisions.left_by(make_execution(2, flow=key_of("b"), state=FAILED)) == {}
        assert (
            world.decisions.left_by(make_execution(3, flow=A, state=ExecutionState.CANCELLED)) == {}
        )

    run_virtual(story())


def test_starts_are_for_pings_alone() -> None:
    """Who watches by pings is told that an execution began."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("succeeded", channels=("oncall", "alive"))]))
        began: Execution = replace(make_execution(1, flow=A), started_at=NOON)
        world.decisions.execution_started(began)
        await world.box.settle()
        assert (world.told(), world.told("alive")) == ([], ["started"])

    run_virtual(story())


def test_breach_is_one_write_with_that_it_was_told() -> None:
    """A promise that ran out is told once; one found broken at an end is written by itself."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("late")]))
        breach = Breach(
            flow=A,
            kind=SlaKind.MAX_SINCE_SUCCESS,
            execution=None,
            since=NOON + timedelta(microseconds=1),
            limit_s=60.0,
        )
        marks = world.decisions.left_by_breach(breach)
        assert (len(marks), world.told()) == (1, [])
        world.decisions.promise_broken(breach)
        (notice,) = world.sent()
        assert (notice.reason, notice.message) == (
            "max_since_success",
            "sla.max_since_success is 60 s",
        )
        later = replace(breach, since=NOON + timedelta(hours=1), count=3)
        world.decisions.promise_broken(later)
        await world.box.settle()
        (other,) = world.sent()
        assert (other.count, other.id == notice.id) == (3, False)
        assert "." not in notice.id  # a receiver could not tell where a signed id ends
        assert len(await world.marks.list(MarkKind.NOTICE)) == 1

    run_virtual(story())


def test_changes_of_ready_are_told() -> None:
    """Only the condition `Ready`, each way under its own word."""

    async def story() -> None:
        world = World(flow_text("a", notify=[rule("ready", "not_ready")]))
        event = FlowEvent(
            flow=A,
            number=7,
            at=NOON,
            type="Ready",
            status=Status.FALSE,
            reason="SecretMissing",
            message="no secret",
            revision=Revision("r2"),
        )
        others = (replace(event, type="Paused"), replace(event, type="Definition", status=None))
        assert [world.decisions.left_by_event(other) for other in others] == [{}, {}]
        for told in (event, replace(event, number=8, status=Status.TRUE)):
            world.decisions.event_told(world.decisions.left_by_event(told))
        first, second = world.sent()
        assert (first.on, first.reason) == ("not_ready", "SecretMissing")
        assert (second.on, second.execution, second.revision) == ("ready", "", "r2")

    run_virtual(story())
