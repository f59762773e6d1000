"""`flowrunner next`: the slots to come, of flow files without a daemon and of a daemon's flows."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo

from flowrunner.cli.arguments import add_account, add_control, add_output
from flowrunner.cli.client import ControlClient, address, connect
from flowrunner.cli.commands.run import is_file
from flowrunner.cli.diagnostics import render, wants_colour
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import full_name, show, table
from flowrunner.cli.slot_times import Span, parse_moment, parse_zone, zone_of
from flowrunner.cli.text import safe
from flowrunner.dataclass import dataclass
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json
from flowrunner.model.quantities import parse_duration
from flowrunner.model.schedule import (
    DstPolicy,
    EverySchedule,
    Repeated,
    Schedule,
    Skipped,
    parse_cron,
)
from flowrunner.system.clock import Clock, SystemClock

NEXT = 10
"""Slots of each trigger, when no end is given."""
NAMED = 5
"""Flows that are named in a remark."""
MOST = 1_000
"""Slots of all triggers together."""


class FlowsRead(Protocol):
    """What files define; see `flowrunner.daemon.offline.FlowsRead`."""

    @property
    def flows(self) -> tuple[FlowSpec, ...]:
        """The valid flows, by name."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The errors of the others."""


ReadFlows = Callable[[Sequence[str]], FlowsRead]
"""`read_flows(paths)` → what they define; see `flowrunner.daemon.offline.read_flows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """A schedule that is asked for its slots."""

    flow: FlowKey
    trigger: str
    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Slot:
    """One slot, in the order of the list."""

    at: datetime
    flow: FlowKey
    trigger: str
    zone: str


@dataclass(frozen=True, slots=True)
class _Told:
    """What a person would wonder about: flows without slots, and slots that will be skipped."""

    idle: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def note(self, name: str, *, has_some: bool, is_held: bool, is_elsewhere: bool = False) -> None:
        """Notes what is odd about a flow."""
        if not has_some:
            self.idle.append(name)
        elif is_elsewhere:
            self.elsewhere.append(name)
        elif is_held:
            self.held.append(name)

    def say(self, host: Host) -> None:
        """Says it, in a line for each kind."""
        if self.idle:
            host.remark(f"no schedule that is enabled: {_names(self.idle)}")
        if self.held:
            host.remark(f"suspended or paused, so that slots are skipped: {_names(self.held)}")
        if self.elsewhere:
            host.remark(f"of other hosts, so that nothing starts here: {_names(self.elsewhere)}")


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return safe(", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else ""))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flows, the span and how to print it."""
    parser.add_argument(
        "flows",
        nargs="+",
        metavar="FLOW|FILE",
        help="names of flows of the daemon, files (*.yaml, *.yml) or folders (with a slash)",
    )
    parser.add_argument(
        "--from", dest="start", metavar="TIME", help="a date or an instant (default: now)"
    )
    parser.add_argument(
        "--to",
        dest="end",
        metavar="TIME",
        help=f"a date, which is in, or an instant, which is out (default: {NEXT} slots of each)",
    )
    parser.add_argument(
        "--tz", metavar="ZONE", help="zone of dates and of what is shown (default: the schedule's)"
    )
    add_account(parser)
    add_output(parser)
    add_control(parser)


def execute(
    args: argparse.Namespace,
    host: Host,
    read_flows: ReadFlows | None = None,
    clock: Clock | None = None,
) -> int:
    """Prints the slots in order of time; exits with 3 when a file has an error."""
    span = _span(args, clock or SystemClock())
    files = [word for word in args.flows if is_file(word)]
    names = [word for word in args.flows if not is_file(word)]
    if not names:
        _refuse_daemon_options(args)
    timed: list[_Timed] = []
    failed, told = False, _Told()
    if files:
        read = (read_flows or _offline_flows())(files)
        failed = bool(read.findings)
        if failed:
            host.remark(render(read.findings, colour=wants_colour(host.err, host.environment)))
        timed.extend(_of_files(read.flows, told))
    if names:
        timed.extend(_of_daemon(connect(args, host), args.account, names, told))
    told.say(host)
    slots = list(islice(_all_slots(dict.fromkeys(timed), span), MOST + 1))
    if len(slots) > MOST:
        host.remark(f"only the first {MOST} slots: narrow --from and --to")
    _show(host, args.output, slots[:MOST], span.zone, has_more=len(slots) > MOST)
    return Exit.FINDINGS if failed else Exit.DONE


def _span(args: argparse.Namespace, clock: Clock) -> Span:
    zone = parse_zone(args.tz)
    start = clock.now() if args.start is None else parse_moment("--from", args.start)
    end = None if args.end is None else parse_moment("--to", args.end)
    span = Span(start=start, end=end, zone=zone)
    if span.is_backwards:
        raise UsageError("--to lies before --from")
    return span


def _refuse_daemon_options(args: argparse.Namespace) -> None:
    for option in ("account", "socket", "state"):
        if getattr(args, option) is not None:
            message = f"--{option} has no meaning for files, which need no daemon"
            raise UsageError(message, hint="leave it out, or name a flow of the daemon")


def _all_slots(timed: Iterable[_Timed], span: Span) -> Iterator[_Slot]:
    """Yields the slots of all schedules in order, without working out more than are taken."""
    return merge(*(_slots(each, span) for each in timed))


def _slots(timed: _Timed, span: Span) -> Iterator[_Slot]:
    found = span.slots(timed.schedule)
    zone = zone_of(timed.schedule).key
    for at in islice(found, NEXT) if span.end is None else found:
        yield _Slot(at=at, flow=timed.flow, trigger=timed.trigger, zone=zone)


def _of_files(flows: Iterable[FlowSpec], told: _Told) -> Iterator[_Timed]:
    for spec in flows:
        schedules = [each for each in spec.schedules if each.is_enabled]
        name = full_name({"account": spec.key.account, "flow": spec.key.name})
        told.note(name, has_some=bool(schedules), is_held=spec.is_suspended)
        for trigger in schedules:
            yield _Timed(flow=spec.key, trigger=trigger.id, schedule=trigger.schedule)


def _of_daemon(
    client: ControlClient, account: str | None, names: Sequence[str], told: _Told
) -> Iterator[_Timed]:
    for name in dict.fromkeys(names):
        flow = client.get(address("api", "v1", "flows", account or DEFAULT_ACCOUNT, name))
        found = [each for each in flow["triggers"] if each["type"] == "schedule"]
        schedules = [each for each in found if each["enabled"]]
        held = [each for each in flow["conditions"] if each["type"] in ("Suspended", "Paused")]
        told.note(
            full_name(flow),
            has_some=bool(schedules),
            is_held=any(each["status"] == "True" for each in held),
            is_elsewhere=any(each["reason"] == "OtherHost" for each in flow["conditions"]),
        )
        for trigger in schedules:
            yield _Timed(
                flow=FlowKey(flow["account"], flow["name"]),
                trigger=trigger["id"],
                schedule=_schedule(trigger),
            )


def _schedule(trigger: Json) -> Schedule:
    """Returns the schedule that the daemon says a trigger has."""
    if trigger["every"] is not None:
        return EverySchedule(period_s=int(parse_duration(trigger["every"])))
    dst = trigger["dst"]
    policy = DstPolicy(skipped=Skipped(dst["skipped"]), repeated=Repeated(dst["repeated"]))
    return parse_cron(trigger["cron"], trigger["timezone"], policy)


def _show(
    host: Host, output: str, slots: Sequence[_Slot], zone: ZoneInfo | None, *, has_more: bool
) -> None:
    items = [
        {
            "account": slot.flow.account,
            "flow": slot.flow.name,
            "trigger": slot.trigger,
            "slot_at": _utc_text(slot.at),
        }
        for slot in slots
    ]
    document = {"items": items, "has_more": has_more}
    show(host, output, document, lambda wide: _text(slots, zone, wide=wide))


def _text(slots: Sequence[_Slot], zone: ZoneInfo | None, *, wide: bool) -> str:
    """Returns a table, with local times and offsets; wide has the instants in UTC too."""
    if not slots:
        return "no slots"
    columns = ("SLOT", "FLOW", "TRIGGER", *(("UTC", "ZONE") if wide else ()))
    rows = []
    for slot in slots:
        local = zone or ZoneInfo(slot.zone)
        name = full_name({"account": slot.flow.account, "flow": slot.flow.name})
        more = (_utc_text(slot.at), local.key) if wide else ()
        shown = _utc_text(slot.at) if local.key == "UTC" else slot.at.astimezone(local).isoformat()
        rows.append((shown, name, slot.trigger, *more))
    return table(columns, rows)


def _utc_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _offline_flows() -> ReadFlows:
    from flowrunner.daemon.offline import read_flows

    return read_flows
