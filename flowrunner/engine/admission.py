"""Concurrency of executions: who may start now, who waits, who is refused. Pure bookkeeping.

It decides in memory and at once; the engine makes the decision durable. After a crash the
engine fills it again from the journal, so no limit can stick to an execution that is gone.

An execution belongs to one group for its whole life. How many of the group may run beside it is
judged by its own flow's rules, as they are at that moment. In a group those who wait start in
their order: by hand first, then by age; so nobody is passed for ever by younger ones of the same
kind. Who is held (its flow is suspended or paused) is passed, since nobody knows for how long.

An execution for which its parent waits takes no place on the host or of its account, since its
parent has one: it could wait for it for ever. In its group it stands in line like any other.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import field
from enum import StrEnum
from itertools import chain
from typing import NamedTuple, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.execution import BY_HAND
from flowrunner.model.flow import ConcurrencySpec, OnConflict, StartRules
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import Reason


class Verdict(StrEnum):
    """What becomes of a request to start."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


class Group(NamedTuple):
    """Those who share a limit; a flow's own group is nobody else's, whatever others are named."""

    account: str
    is_shared: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One execution as admission sees it.

    Attributes:
        is_forced: Whether it goes even while its flow is held.
        is_by_hand: Whether a person waits for it, whatever its trigger.
        is_guest: Whether it has part in the place of its parent on the host.
        is_limited: Whether it is one of those of which so many may wait: `queue_limit`.
    """

    id: ExecutionId
    flow: FlowKey
    group: Group
    trigger_id: str
    trigger_type: str
    is_forced: bool = False
    is_by_hand: bool = False
    is_guest: bool = False
    is_limited: bool = False

    @property
    def crowd(self) -> tuple[FlowKey, bool]:
        """Those who go or are held together."""
        return (self.flow, self.is_forced)

    @property
    def line(self) -> tuple[FlowKey, str]:
        """Those who are counted together."""
        return (self.flow, "" if self.is_limited else self.trigger_type)

    @property
    def rank(self) -> tuple[bool, ExecutionId]:
        """Its place in every line: by hand first, then by age, which the id tells."""
        return (not (self.is_by_hand or self.trigger_type in BY_HAND), self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict.

    Attributes:
        reason: Why not, when it is refused.
        superseded: Who waits in the place that this one takes; to be ended by the caller in the
            write that accepts this one.
        replaced: Who runs or waits and must go for this one, likewise.
    """

    verdict: Verdict
    reason: Reason | None = None
    superseded: tuple[ExecutionId, ...] = ()
    replaced: tuple[ExecutionId, ...] = ()

    @property
    def leaving(self) -> dict[ExecutionId, Reason]:
        """Who goes for this one, each with its reason."""
        if not (self.superseded or self.replaced):
            return {}
        superseded = dict.fromkeys(self.superseded, Reason.SUPERSEDED)
        return {**superseded, **dict.fromkeys(self.replaced, Reason.REPLACED)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What an execution in line waits for, as it is now; several may hold it up at once.

    Attributes:
        is_held: Whether its flow is suspended, paused or gone.
        is_host_full: Whether as many run as this host allows.
        is_account_full: Whether as many of its account run as that may.
        running: Who has the places of its group, oldest first; empty if there is room in it.
        ahead: How many of its group come before it.
    """

    is_held: bool
    is_host_full: bool
    is_account_full: bool
    running: tuple[ExecutionId, ...]
    ahead: int


@dataclass(slots=True)
class Limits:
    """How many executions may run, on this host and of those accounts that have a limit.

    Settings that are read again change them: what runs goes on, who waits is asked next time.
    """

    host: int
    accounts: Mapping[str, int] = field(default_factory=dict)


RulesOf: TypeAlias = Callable[[FlowKey], StartRules | None]
"""The rules of a flow; None when it is gone."""


@dataclass(slots=True)
class _Members:
    """A group: who has a place in it, and who waits, in the order of their ranks.

    Attributes:
        crowds: How many wait of each flow, those who are forced apart: a line is long, but few
            flows stand in it.
    """

    running: set[ExecutionId] = field(default_factory=set)
    waiting: list[Ticket] = field(default_factory=list)
    crowds: Counter[tuple[FlowKey, bool]] = field(default_factory=Counter)

    def add(self, ticket: Ticket) -> None:
        """Puts a ticket in line; most often it is the youngest, and so the last."""
        if self.waiting and ticket.rank < self.waiting[-1].rank:
            insort(self.waiting, ticket, key=_rank)
        else:
            self.waiting.append(ticket)
        self.crowds[ticket.crowd] += 1

    def remove(self, ticket: Ticket) -> None:
        """Takes a ticket out of the line."""
        del self.waiting[bisect_left(self.waiting, ticket.rank, key=_rank)]
        self.crowds[ticket.crowd] -= 1
        if not self.crowds[ticket.crowd]:
            del self.crowds[ticket.crowd]


class Admission:
    """Running and waiting executions by group.

    Args:
        rules: The rules of flows, asked whenever something is decided.
        limits: How many may run beside each other, whatever the rules say.
    """

    def __init__(self, rules: RulesOf, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self._running_of: dict[str, set[ExecutionId]] = {}
        self._groups: dict[Group, _Members] = {}
        self._lines: dict[tuple[FlowKey, str], dict[ExecutionId, Ticket]] = {}
        self._running: set[ExecutionId] = set()
        self._guests_waiting = 0

    def request(self, ticket: Ticket, rules: ConcurrencySpec) -> Decision:
        """Takes a place for the ticket, running or waiting, or refuses.

        At most one slot of a trigger waits: a newer one takes its place. `queue_limit` counts
        deliveries, completions and files together; starts by hand always find a place.

        Args:
            ticket: Who asks.
            rules: Of the version it will run.
        """
        group = self._members(ticket.group)
        ahead = sum(count for crowd, count in group.crowds.items() if self._may_go(crowd))
        needs_room = rules.on_conflict is not OnConflict.ALLOW
        taken = len(group.running) if needs_room else 0
        has_room = self._may_enter(ticket) and taken < rules.limit
        if has_room and not (needs_room and ahead and self._is_behind(group, ticket)):
            self._start(ticket, rules)
            return Decision(verdict=Verdict.START)
        is_conflict = needs_room and taken + ahead >= rules.limit
        if is_conflict and rules.on_conflict is OnConflict.SKIP:
            return Decision(verdict=Verdict.REFUSE, reason=Reason.CONCURRENCY)
        replaces = is_conflict and rules.on_conflict is OnConflict.REPLACE
        replaced = self._others(group) if replaces else ()
        line = self._lines.get(ticket.line, {})  # not looked through: it may be long
        staying = len(line) - sum(each in line for each in replaced)
        if ticket.is_limited and staying >= rules.queue_limit:
            return Decision(verdict=Verdict.REFUSE, reason=Reason.QUEUE_FULL)
        is_slot = ticket.trigger_type == "schedule"
        older = _superseded(line, ticket, replaced) if is_slot else ()
        self.put_back(ticket)
        return Decision(verdict=Verdict.WAIT, superseded=older, replaced=replaced)

    def put_back(self, ticket: Ticket) -> None:
        """Puts an accepted execution in line by its rank, whatever the limits say."""
        self._guests_waiting += ticket.is_guest
        self._joined(ticket.group).add(ticket)
        self._lines.setdefault(ticket.line, {})[ticket.id] = ticket

    def take(self, ticket: Ticket, rules: ConcurrencySpec) -> None:
        """Gives an execution that runs already its place, whatever the limits say."""
        self._start(ticket, rules)

    def release(self, ticket: Ticket) -> None:
        """Forgets an execution that ended, or that never came to be."""
        self._running.discard(ticket.id)
        self._running_of.get(ticket.flow.account, set()).discard(ticket.id)
        group = self._groups.get(ticket.group)
        if group is not None:
            group.running.discard(ticket.id)
        self._leave_line(ticket)

    def next_ready(self, group: Group | None = None) -> ExecutionId | None:
        """Moves the next waiting execution to running, if there is one that may start.

        Args:
            group: Looks at this one alone; None: at the first in line of every group.
        """
        if not (self._host_has_room() or self._guests_waiting):
            return None
        groups = self._groups if group is None else [group]
        heads = [head for each in groups if (head := self._head_of(each))]
        if not heads:
            return None
        ticket, rules = min(heads, key=lambda pair: pair[0].rank)
        self._start(ticket, rules)
        self._leave_line(ticket)
        return ticket.id

    def waiting(self, flow: FlowKey) -> tuple[ExecutionId, ...]:
        """Returns who waits of a flow, oldest first."""
        found = (ids for (owner, _), ids in self._lines.items() if owner == flow)
        return tuple(sorted(chain.from_iterable(found)))

    def wait_of(self, ticket: Ticket) -> Wait:
        """Returns what an execution waits for that is in line."""
        rules = self._rules_of(ticket.crowd)
        group = self._members(ticket.group)
        needs_room = rules is not None and not _needs_no_room(rules)
        has_room = rules is None or not needs_room or len(group.running) < rules.limit
        before = group.waiting[: bisect_left(group.waiting, ticket.rank, key=_rank)]
        return Wait(
            is_held=rules is None,
            is_host_full=not (ticket.is_guest or self._host_has_room()),
            is_account_full=not (ticket.is_guest or self._account_has_room(ticket.flow.account)),
            running=() if has_room else tuple(sorted(group.running)),
            ahead=sum(self._may_go(each.crowd) for each in before) if needs_room else 0,
        )

    def holds(self, group: Group, execution_id: ExecutionId) -> bool:
        """Whether an execution has one of the places of a group."""
        members = self._groups.get(group)
        return members is not None and execution_id in members.running

    def has_guests_waiting(self, group: Group) -> bool:
        """Whether an execution for which a parent waits is in line for a group."""
        members = self._groups.get(group) if self._guests_waiting else None
        return members is not None and any(each.is_guest for each in members.waiting)

    def is_full(self, account: str) -> bool:
        """Whether as many run as the host allows, or the account."""
        return not (self._host_has_room() and self._account_has_room(account))

    @property
    def is_empty(self) -> bool:
        """Whether nobody runs and nobody waits."""
        of_accounts = any(self._running_of.values())
        return not (self._groups or self._running or of_accounts or self._lines)

    def _head_of(self, name: Group) -> tuple[Ticket, ConcurrencySpec] | None:
        """Returns who of a group may start now, if its account has room."""
        group = self._groups.get(name)
        if group is None or not group.waiting:
            return None
        may_go_on = self._account_has_room(name.account) or self._guests_waiting
        return self._head(group) if may_go_on else None

    def _head(self, group: _Members) -> tuple[Ticket, ConcurrencySpec] | None:
        """Returns who of a group may start now: the first in line, or one that needs no room."""
        known = {crowd: self._rules_of(crowd) for crowd in group.crowds}
        free = {crowd for crowd, rules in known.items() if rules is not None}
        for ticket in group.waiting:
            rules = known[ticket.crowd]
            if rules is None or ticket.crowd not in free or not self._may_enter(ticket):
                continue
            if rules.on_conflict is OnConflict.ALLOW or len(group.running) < rules.limit:
                return ticket, rules
            # Nobody passes the first in line, but those who do not ask for its room.
            free = {each for each in free if _needs_no_room(known[each])}
            if not free:
                return None
        return None

    def _rules_of(self, crowd: tuple[FlowKey, bool]) -> ConcurrencySpec | None:
        """Returns the rules of those in line, or None when they are held."""
        flow, is_forced = crowd
        rules = self._rules(flow)
        return None if rules is None or (rules.is_held and not is_forced) else rules.concurrency

    def _may_go(self, crowd: tuple[FlowKey, bool]) -> bool:
        return self._rules_of(crowd) is not None

    def _is_behind(self, group: _Members, ticket: Ticket) -> bool:
        """Whether somebody in line comes before a ticket, and neither is held nor lacks a place."""
        ahead = (t for t in group.waiting if self._may_go(t.crowd) and self._may_enter(t))
        first = next(ahead, None)
        return first is not None and first.rank < ticket.rank

    def _may_enter(self, ticket: Ticket) -> bool:
        """Whether the host and its account have a place for it, or it needs none."""
        return ticket.is_guest or not self.is_full(ticket.flow.account)

    def _others(self, group: _Members) -> tuple[ExecutionId, ...]:
        """Returns who makes way for one that replaces; those who wait first, lest they start."""
        ahead = (each.id for each in group.waiting if self._may_go(each.crowd))
        return (*ahead, *sorted(group.running))

    def _host_has_room(self) -> bool:
        return len(self._running) < self._limits.host

    def _account_has_room(self, account: str) -> bool:
        most = self._limits.accounts.get(account)
        return most is None or len(self._running_of.get(account, ())) < most

    def _start(self, ticket: Ticket, rules: ConcurrencySpec) -> None:
        """Takes a place; under `allow` one of host and account alone, for it holds nobody up."""
        if not ticket.is_guest:
            self._running.add(ticket.id)
            self._running_of.setdefault(ticket.flow.account, set()).add(ticket.id)
        if rules.on_conflict is not OnConflict.ALLOW:
            self._joined(ticket.group).running.add(ticket.id)

    def _members(self, group: Group) -> _Members:
        """Returns a group to look at."""
        return self._groups.get(group) or _Members()

    def _joined(self, group: Group) -> _Members:
        """Returns a group that somebody enters."""
        members = self._groups[group] = self._members(group)
        return members

    def _leave_line(self, ticket: Ticket) -> None:
        line = self._lines.get(ticket.line, {})
        waited = line.pop(ticket.id, None) is not None
        if not line:
            self._lines.pop(ticket.line, None)
        group = self._groups.get(ticket.group)
        if group is None:
            return
        if waited:
            self._guests_waiting -= ticket.is_guest
            group.remove(ticket)
        if not group.running and not group.waiting:
            del self._groups[ticket.group]


def _superseded(
    line: Mapping[ExecutionId, Ticket], ticket: Ticket, replaced: Container[ExecutionId]
) -> tuple[ExecutionId, ...]:
    """Returns the slots of the same trigger that wait, but for those that go in any case."""
    of_trigger = (each.id for each in line.values() if each.trigger_id == ticket.trigger_id)
    return tuple(each for each in of_trigger if each not in replaced)


def _rank(ticket: Ticket) -> tuple[bool, ExecutionId]:
    return ticket.rank


def _needs_no_room(rules: ConcurrencySpec | None) -> bool:
    return rules is not None and rules.on_conflict is OnConflict.ALLOW
