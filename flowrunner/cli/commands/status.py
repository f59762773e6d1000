"""`flowrunner status`: the daemon at a glance."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from flowrunner.cli.arguments import add_control, add_output
from flowrunner.cli.client import connect
from flowrunner.cli.commands.reconcile import pass_text
from flowrunner.cli.commands.source import commit_facts, pin_text
from flowrunner.cli.host import Host
from flowrunner.cli.render import blocks, facts, moment, show, table
from flowrunner.model.conditions import ConditionType, Status
from flowrunner.model.ids import DEFAULT_ACCOUNT, Json

_TROUBLE = frozenset(
    {
        (ConditionType.PRUNE_HELD, Status.TRUE),
        (ConditionType.SOURCE_SYNCED, Status.FALSE),
        (ConditionType.SOURCE_VERIFIED, Status.FALSE),
        (ConditionType.SOURCE_WATCHED, Status.FALSE),
    }
)
"""What of the source somebody should hear; a check tells of `SourceReady`, a line of a pin."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds how to show it."""
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints it; exits with 0 whenever the daemon answers."""
    status = connect(args, host).get("/control/v1/status")
    show(host, args.output, status, lambda _wide: status_text(status))
    return 0


def status_text(status: Json) -> str:
    """Returns the numbers, and the checks behind `/readyz`."""
    checks = [(check["name"], check["status"], check["message"]) for check in status["checks"]]
    conditions = [
        (each["type"], each["reason"], each["message"])
        for each in status["conditions"]
        if (each["type"], each["status"]) != (ConditionType.CHANNELS_WORKING, Status.TRUE)
    ]
    conditions += [
        (each["type"], each["reason"], each["message"])
        for each in status["source"]["conditions"]
        if (each["type"], each["status"]) in _TROUBLE
    ]
    return blocks(
        pin_text(status["source"]["git"]),
        facts(_facts(status)),
        table(("CHECK", "STATUS", "MESSAGE"), checks),
        table(("CONDITION", "REASON", "MESSAGE"), conditions) if conditions else "",
        _accounts_text(status["accounts"]),
    )


def _accounts_text(accounts: Sequence[Json]) -> str:
    """Returns the accounts, where there is another than the default one."""
    if all(account["name"] == DEFAULT_ACCOUNT for account in accounts):
        return ""
    keys = ("name", "flows", "flows_ready", "executions_running", "executions_queued")
    columns = ("ACCOUNT", "FLOWS", "READY", "RUNNING", "QUEUED")
    return table(columns, ([account[key] for key in keys] for account in accounts))


def _facts(status: Json) -> Iterator[tuple[str, object]]:
    source = status["source"]
    last_pass = source["last_pass"]
    yield "status", status["status"]
    if status["observes"]:
        yield "mode", "observes: nothing starts, its slots are recorded as skipped"
    if status["schedules_paused"] is not None:
        yield "schedules", _pause_text(status["schedules_paused"])
    yield "version", status["version"]
    yield "since", moment(status["started_at"])
    yield "revision", source["revision"]
    yield from commit_facts(source["commit"])
    yield "last pass", None if last_pass is None else pass_text(last_pass)
    yield "flows", f"{status['flows']}, {status['flows_ready']} ready"
    yield "rejected files", len(source["rejected"])
    running, queued = status["executions_running"], status["executions_queued"]
    yield "executions", f"{running} running, {queued} queued"


def _pause_text(pause: Json) -> str:
    """Returns who paused all schedules, since and until when, and why."""
    until = f" until {moment(pause['until'])}" if pause["until"] else ""
    who = f" by user {pause['uid']}" if pause["uid"] is not None else ""
    why = f": {pause['reason']}" if pause["reason"] else ""
    return f"all paused{who} since {moment(pause['at'])}{until}{why}"
