"""What admission promises for every sequence of starts, ends, changed rules and crashes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.engine.admission import Admission, Group, Limits, Ticket, Verdict
from flowrunner.model.flow import ConcurrencySpec, OnConflict, StartRules
from flowrunner.model.ids import ExecutionId, FlowKey
from tests.fakes.ids import sequential_id
from tests.profile import examples

FLOWS = [FlowKey("default", "a"), FlowKey("default", "b"), FlowKey("pay", "a")]
KINDS = ("manual", "schedule", "webhook", "flow", "completion")
LIMITED = ("webhook", "completion")
"""An execution of the last kind has a parent that waits for it."""

RULES = st.builds(
    ConcurrencySpec,
    limit=st.integers(1, 2),
    on_conflict=st.sampled_from([OnConflict.QUEUE] * 4 + list(OnConflict)),
    queue_limit=st.integers(0, 2),
)
FLOW = st.sampled_from(FLOWS)
STARTS = st.tuples(
    st.just("start"),
    FLOW,
    st.sampled_from([None, "db", "db"]),
    st.sampled_from(KINDS),
    st.booleans(),
)
ENDS = st.tuples(st.just("end"), st.integers(0, 20))
CANCELS = st.tuples(st.just("cancel"), st.integers(0, 20))
CHANGES = st.tuples(st.just("change"), FLOW, RULES)
HOLDS = st.tuples(st.just("hold"), FLOW, st.booleans())
CRASHES = st.tuples(st.just("crash"))
STEPS = st.lists(
    st.one_of([STARTS] * 8 + [ENDS] * 4 + [CANCELS, CHANGES, HOLDS, CRASHES]),
    min_size=20,
    max_size=60,
)
"""Long enough for lines to form, and mostly starts."""


@dataclass
class Host:
    """Does with admission what the engine does, and keeps its own books."""

    most: int
    rules: dict[FlowKey, ConcurrencySpec]
    most_of: dict[str, int] = field(default_factory=dict)
    held: set[FlowKey] = field(default_factory=set)
    running: dict[ExecutionId, Ticket] = field(default_factory=dict)
    waiting: dict[ExecutionId, Ticket] = field(default_factory=dict)
    placed: set[ExecutionId] = field(default_factory=set)
    ended: set[ExecutionId] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.admission = Admission(self.rules_of, Limits(self.most, self.most_of))

    def rules_of(self, flow: FlowKey) -> StartRules:
        return StartRules(concurrency=self.rules[flow], is_held=flow in self.held)

    def start(self, flow: FlowKey, name: str | None, kind: str, *, is_forced: bool) -> None:
        self.count += 1
        group = Group(flow.account, name is not None, name or flow.name)
        ticket = Ticket(
            id=sequential_id(self.count),
            flow=flow,
            group=group,
            trigger_id=kind,
            trigger_type="flow" if kind == "completion" else kind,
            is_forced=is_forced,
            is_guest=kind == "flow",
            is_limited=kind in LIMITED,
        )
        rules = self.rules[flow]
        decision = self.admission.request(ticket, rules)
        if decision.verdict is Verdict.REFUSE:
            assert kind in (*LIMITED, "schedule") or rules.on_conflict is OnConflict.SKIP
            self.assert_refused_for_a_reason(ticket, rules)
            return
        if decision.verdict is Verdict.START:
            self.assert_passes_nobody(ticket)
            self.begin(ticket)
            return
        self.waiting[ticket.id] = ticket
        for each in (*decision.superseded, *decision.replaced):
            self.end(each)
        self.assert_bounds(ticket, rules)
        self.assert_nobody_sticks()

    def assert_refused_for_a_reason(self, ticket: Ticket, rules: ConcurrencySpec) -> None:
        """Who makes way for a start is not counted against it."""
        if rules.on_conflict is OnConflict.REPLACE:
            stay = [
                each
                for each in self.waiting.values()
                if each.line == ticket.line
                and (each.group != ticket.group or not self.may_go(each))
            ]
            assert len(stay) >= rules.queue_limit

    def assert_bounds(self, ticket: Ticket, rules: ConcurrencySpec) -> None:
        """Of a flow that was let in, no more wait than its rules allow."""
        alike = [each for each in self.waiting.values() if each.line == ticket.line]
        if ticket.is_limited and ticket in alike:
            assert len(alike) <= rules.queue_limit
        if ticket.trigger_type == "schedule":
            assert len(alike) <= 1

    def begin(self, ticket: Ticket) -> None:
        rules = self.rules[ticket.flow]
        beside = sum(1 for each in self.placed if self.running[each].group == ticket.group)
        if rules.on_conflict is not OnConflict.ALLOW:
            assert beside < rules.limit, "more run than the limit allows"
            self.placed.add(ticket.id)
        self.running[ticket.id] = ticket
        assert self.places_taken() <= self.most
        for account, most in self.most_of.items():
            assert self.places_taken(account) <= most

    def places_taken(self, account: str | None = None) -> int:
        """Returns how many run that take a place, of one account or of all."""
        counted = (it for it in self.running.values() if account in (None, it.flow.account))
        return sum(not each.is_guest for each in counted)

    def may_enter(self, ticket: Ticket) -> bool:
        account = ticket.flow.account
        has_room = self.places_taken(account) < self.most_of.get(account, self.most)
        return ticket.is_guest or (has_room and self.places_taken() < self.most)

    def end(self, execution_id: ExecutionId) -> None:
        ticket = self.running.pop(execution_id, None) or self.waiting.pop(execution_id, None)
        if ticket is None:
            return
        self.ended.add(execution_id)
        self.placed.discard(execution_id)
        was_full = self.admission.is_full(ticket.flow.account)
        self.admission.release(ticket)
        self.admit(None if was_full else ticket.group)

    def admit(self, group: Group | None = None) -> None:
        while (found := self.admission.next_ready(group)) is not None:
            ticket = self.waiting.pop(found)
            self.assert_passes_nobody(ticket)
            self.begin(ticket)
        self.assert_nobody_sticks()

    def may_go(self, ticket: Ticket) -> bool:
        return ticket.is_forced or ticket.flow not in self.held

    def assert_passes_nobody(self, ticket: Ticket) -> None:
        """Who starts out of the line is the first of its group, unless it needs no room."""
        if self.rules[ticket.flow].on_conflict is OnConflict.ALLOW:
            return
        ahead = [
            each
            for each in self.waiting.values()
            if each.group == ticket.group and self.may_go(each) and each.rank < ticket.rank
        ]
        assert not any(map(self.may_enter, ahead))

    def assert_nobody_sticks(self) -> None:
        """Whom host and account have room for waits for the limit of its group and nothing else."""
        free = [e for e in self.waiting.values() if self.may_go(e) and self.may_enter(e)]
        assert not any(self.rules[each.flow].on_conflict is OnConflict.ALLOW for each in free)
        firsts: dict[Group, Ticket] = {}
        for ticket in sorted(free, key=lambda each: each.rank):
            firsts.setdefault(ticket.group, ticket)
        taken = Counter(self.running[each].group for each in self.placed)
        for group, ticket in firsts.items():
            rules = self.rules[ticket.flow]
            assert taken[group] >= rules.limit

    def crash(self) -> None:
        """Nothing is left but the journal: all that was accepted and has not ended."""
        self.admission = Admission(self.rules_of, Limits(self.most, self.most_of))
        self.waiting |= self.running
        self.running, self.placed = {}, set()
        for ticket in self.waiting.values():
            self.admission.put_back(ticket)
        self.admit()

    def step(self, what: str, *facts: object) -> None:
        match what, *facts:
            case "start", FlowKey() as flow, name, kind, is_forced:
                self.start(flow, name, str(kind), is_forced=bool(is_forced))  # type: ignore[arg-type] # drawn
            case ("end" | "cancel") as kind, int(number):
                among = list(self.running if kind == "end" else self.waiting)
                if among:
                    self.end(among[number % len(among)])
            case "change", FlowKey() as flow, ConcurrencySpec() as rules:
                self.rules[flow] = rules
                self.admit()
            case "hold", FlowKey() as flow, is_held:
                (self.held.add if is_held else self.held.discard)(flow)
                self.admit()
            case _:
                self.crash()


@settings(max_examples=examples(200))  # lines of two flows with different rules are rare
@given(
    STEPS,
    st.sampled_from([1, 2, 3, 9]),
    st.tuples(RULES, RULES, RULES),
    st.dictionaries(st.sampled_from(["default", "pay"]), st.integers(1, 2)),
)
def test_limits_hold_and_nobody_sticks(
    steps: list[tuple[object, ...]],
    most: int,
    rules: tuple[ConcurrencySpec, ...],
    most_of: dict[str, int],
) -> None:
    """Never more than the limit runs, lines are bounded and in order, and all come to an end."""
    host = Host(most=most, rules=dict(zip(FLOWS, rules, strict=True)), most_of=most_of)
    for what, *facts in steps:
        host.step(str(what), *facts)
    host.held.clear()
    host.admit()
    while host.running:
        host.end(next(iter(host.running)))
    assert host.waiting == {}
    assert host.admission.is_empty
