"""`flowrunner flows`: every flow, whether it is ready, and what keeps it from being so."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flowrunner.cli.arguments import add_account, add_control, add_output
from flowrunner.cli.client import ControlClient, address, connect
from flowrunner.cli.diagnostics import render
from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.cli.paging import read_list
from flowrunner.cli.render import blocks, clip, facts, full_name, moment, short, show, table
from flowrunner.cli.text import safe
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import DEFAULT_ACCOUNT, Json

_COLUMNS = ("NAME", "READY", "REASON", "HELD", "REVISION", "NEXT", "LAST")
_MORE_COLUMNS = ("IN-FORCE/NEWEST", "DIGEST", "PATH")
_EVENT_COLUMNS = ("EVENT", "TYPE", "STATUS", "REASON", "REVISION", "MESSAGE")
_FEW = 5
"""Events that are shown with a flow."""
_MOST_DATA = 60
"""Characters of a default, which may be a whole document."""

_LACKING_HINT = (
    "    hint: give the daemon a file NAME in its credentials directory, or start it with "
    "FLOWRUNNER_SECRET_NAME"
)
_HOLDS = ("Suspended", "Paused")
"""Conditions that keep a flow from starting while they are True."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow to show alone, and how."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this flow in detail")
    parser.add_argument(
        "--all", action="store_true", help="list each flow that runs on other hosts too"
    )
    parser.add_argument(
        "--events", action="store_true", help="show what happened to the flow NAME, newest first"
    )
    add_account(parser)
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the list, or one flow."""
    client = connect(args, host)
    if args.name is not None:
        return _show_one(args, host, client)
    if args.events:
        raise UsageError("--events needs the NAME of a flow")
    flows, _ = read_list(client, "/api/v1/flows", {"account": args.account})
    source = client.get("/api/v1/reconcile") if args.output in ("text", "wide") else {}
    document = {"items": flows, "next_cursor": None}
    show(
        host,
        args.output,
        document,
        lambda wide: list_text(flows, source, wide=wide, every=args.all),
    )
    return 0


def _show_one(args: argparse.Namespace, host: Host, client: ControlClient) -> int:
    path = address("api", "v1", "flows", args.account or DEFAULT_ACCOUNT, args.name)
    if args.events:
        events, _ = read_list(client, f"{path}/events", {})
        page = {"items": events, "next_cursor": None}
        show(host, args.output, page, lambda _wide: events_text(events) or "no events")
        return 0
    flow = client.get(path)
    is_read = args.output in ("text", "wide")
    last = client.get(f"{path}/events", {"limit": _FEW})["items"] if is_read else []
    show(host, args.output, flow, lambda _wide: blocks(flow_text(flow), events_text(last)))
    return 0


def list_text(
    flows: Sequence[Json], source: Mapping[str, Json], *, wide: bool = False, every: bool = False
) -> str:
    """Returns the table, what is wrong with flows, the rejected files, the state of the source.

    Sound flows that run on other hosts are one line together, unless `every` one is asked for.
    """
    shown = [flow for flow in flows if every or not _is_away(flow)]
    away = len(flows) - len(shown)
    columns = (*_COLUMNS, *_MORE_COLUMNS) if wide else _COLUMNS
    rows = (_row(flow, wide=wide) for flow in shown)
    rejected = source.get("rejected") or []
    return blocks(
        table(columns, rows) if shown else "no flows on this host" if away else "no flows",
        f"and {away} that run on other hosts (OtherHost); --all lists them" if away else "",
        "\n".join(_all_troubles(flows, rejected)),
        "\n".join(["rejected files:", *(_findings_text(file) for file in rejected)])
        if rejected
        else "",
        "\n".join(_source_troubles(source)),
    )


def flow_text(flow: Json) -> str:
    """Returns everything about one flow."""
    last = flow["last_execution"]
    return blocks(
        facts(
            (
                ("name", full_name(flow)),
                ("description", flow["description"]),
                ("labels", flow["labels"] or None),
                ("path", flow["path"]),
                ("revision", flow["revision"]),
                ("digest", flow["digest"]),
                ("generation", f"{flow['generation']} (in force: {flow['observed_generation']})"),
                ("last", _last(last) if last is None else f"{_last(last)}, {last['id']}"),
            )
        ),
        table(
            ("CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"),
            map(_condition_row, flow["conditions"]),
        ),
        table(
            ("INPUT", "TYPE", "REQUIRED", "DEFAULT", "DESCRIPTION"), map(_input_row, flow["inputs"])
        )
        if flow["inputs"]
        else "",
        table(("TRIGGER", "TYPE", "WHEN", "NEXT", "HOOK"), map(_trigger_row, flow["triggers"]))
        if flow["triggers"]
        else "",
        _findings_text(flow),
    )


def events_text(events: Sequence[Json]) -> str:
    """Returns the table of events; empty if there are none."""
    return table(_EVENT_COLUMNS, map(_event_row, events)) if events else ""


def _is_away(flow: Json) -> bool:
    is_elsewhere = _condition(flow, "Scheduled").get("reason") == ConditionReason.OTHER_HOST
    return is_elsewhere and _condition(flow, "Ready").get("status") == "True"


def _row(flow: Json, *, wide: bool) -> Sequence[object]:
    ready = _condition(flow, "Ready")
    slots = [trigger["next_slot_at"] for trigger in flow["triggers"]]
    row = (
        full_name(flow),
        ready.get("status"),
        ready.get("reason"),
        " ".join(kind.lower() for kind in _HOLDS if _condition(flow, kind).get("status") == "True")
        or None,
        short(flow["revision"]),
        moment(min((slot for slot in slots if slot), default=None)),
        _last(flow["last_execution"]),
    )
    generation = f"{flow['observed_generation']}/{flow['generation']}"
    return (*row, generation, short(flow["digest"]), flow["path"]) if wide else row


def _last(last: Json) -> str | None:
    return None if last is None else f"{last['state']} {moment(last['ended_at']) or ''}".rstrip()


def _condition(item: Json, kind: str) -> Mapping[str, Json]:
    return next((it for it in item.get("conditions", ()) if it["type"] == kind), {})


def _condition_row(condition: Json) -> Sequence[object]:
    since = moment(condition["last_transition_at"])
    return (*(condition[key] for key in ("type", "status", "reason")), since, condition["message"])


def _event_row(event: Json) -> Sequence[object]:
    what = tuple(event[key] for key in ("type", "status", "reason"))
    return (moment(event["at"]), *what, short(event["revision"]), event["message"])


def _input_row(declared: Json) -> Sequence[object]:
    default = None if declared["required"] else json.dumps(declared["default"], ensure_ascii=False)
    required = "yes" if declared["required"] else "no"
    about = declared["description"]
    return (declared["name"], declared["type"], required, clip(default, _MOST_DATA), about)


def _trigger_row(trigger: Json) -> Sequence[object]:
    at = moment(trigger["next_slot_at"])
    hook = trigger["path"] if trigger["type"] == "webhook" else None
    return (trigger["id"], trigger["type"], _when(trigger), at, hook)


def _when(trigger: Json) -> str | None:
    """Returns what a trigger waits for: `30 2 * * 1-5 Europe/Berlin`, `every 15m, jitter 1m`.

    None for a hook, whose path has a column of its own; `disabled` for one that takes nothing.
    """
    parts = []
    if trigger["every"] is not None:
        parts.append(f"every {trigger['every']}")
    if trigger["cron"] is not None:
        parts.append(f"{trigger['cron']} {trigger['timezone']}")
    if trigger["jitter"] is not None:
        parts.append(f"jitter {trigger['jitter']}")
    if trigger["once_per"] is not None:
        parts.append(f"once per {trigger['once_per']}")
    if trigger["flow"] is not None:
        parts.append(f"after {trigger['flow']} {' | '.join(trigger['states'])}")
    if trigger["type"] == "file":
        parts.append(str(trigger["path"]))
    if not trigger["enabled"]:
        parts.append("disabled")
    return ", ".join(parts) or None


def _all_troubles(flows: Iterable[Json], rejected: Iterable[Json]) -> Iterator[str]:
    """Yields what is wrong with flows; what defaults do to many of them is told once."""
    told = [finding for file in rejected for finding in file["findings"]]
    for flow in flows:
        findings = [finding for finding in flow["findings"] if finding not in told]
        yield from _troubles({**flow, "findings": findings})


def _troubles(flow: Json) -> Iterator[str]:
    """Yields why a flow is not ready, or what is wrong with its newest version."""
    ready = _condition(flow, "Ready")
    errors = [it for it in flow["findings"] if it["severity"] == Severity.ERROR]
    if errors:
        yield _findings_text({**flow, "findings": errors})
    elif ready.get("status") != "True" and ready:
        yield f"{full_name(flow)}: {safe(ready['reason'])}: {safe(ready['message'])}"
        if ready["reason"] == ConditionReason.SECRET_MISSING:
            yield _lacking_hint(flow["account"])


def _lacking_hint(account: str) -> str:
    if account == DEFAULT_ACCOUNT:
        return _LACKING_HINT
    return f"    hint: put it into a source of accounts.{safe(account)}.secrets of the settings"


def _source_troubles(source: Mapping[str, Json]) -> Iterator[str]:
    state = _condition(source, "SourceReady")
    if state and state["status"] != "True":
        yield f"source: {safe(state['reason'])}: {safe(state['message'])}"
    held = _condition(source, "PruneHeld")
    if held and held["status"] == "True":
        yield f"PruneHeld: {safe(held['reason'])}: {safe(held['message'])}"


def _findings_text(file: Json) -> str:
    """Returns the findings of a flow or a rejected file."""
    return render(_findings(file["findings"]))


def _findings(findings: Iterable[Json]) -> Iterator[Finding]:
    for finding in findings:
        yield Finding(
            file=finding["file"],
            line=finding["line"],
            column=finding["column"],
            code=finding["code"],
            severity=Severity(finding["severity"]),
            message=finding["message"],
            hint=finding["hint"],
        )
