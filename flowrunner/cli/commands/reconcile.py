"""`flowrunner reconcile`: has the daemon read the flow files now."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control, add_output
from flowrunner.cli.client import ControlClient, connect
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import moment, short, show
from flowrunner.cli.text import safe
from flowrunner.errors import RefusedError
from flowrunner.model.ids import Json

_HELD_NOW = ""
REQUESTED = "a pass was requested; `flowrunner status` shows how the last one ended"
_NOTHING_APPLIED = ("held", "failed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds how to show the result."""
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the flow files were read and applied, and exit by the result: "
        "3 for findings, 1 when nothing was applied",
    )
    parser.add_argument(
        "--ignore-lock",
        action="store_true",
        help="take the lock of git in the folder of flows for one that was left behind",
    )
    parser.add_argument(
        "--allow-prune",
        nargs="?",
        const=_HELD_NOW,
        metavar="REVISION",
        help="let flows go whose deletion is held (PruneHeld), at this revision or at the one held "
        "now; refused when the source is another one by then. Waits",
    )
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Asks for a pass; with `--wait` prints how it ended, which decides the exit code."""
    client = connect(args, host)
    wanted: dict[str, Json] = {"wait": args.wait}
    if args.ignore_lock:
        wanted["ignore_lock"] = True
    if args.allow_prune is not None:
        wanted["allow_prune"] = _revision(args.allow_prune, client, host)
    result = client.post("/control/v1/reconcile", wanted)
    if not args.wait and args.allow_prune is None:
        show(host, args.output, result, lambda _wide: REQUESTED)
        return Exit.DONE
    show(host, args.output, result, lambda _wide: pass_text(result))
    return exit_of_pass(result, host)


def exit_of_pass(result: Json, host: Host) -> Exit:
    """Returns the exit code for a pass that has ended, and says where to look."""
    if result["result"] in _NOTHING_APPLIED:
        return Exit.FAILED
    if result["errors"]:
        host.remark("hint: flowrunner flows shows what is wrong, and where")
        return Exit.FINDINGS
    return Exit.DONE


def _revision(wanted: str, client: ControlClient, host: Host) -> str:
    """Returns the revision to approve; tells what leaves with it where the person named none."""
    if wanted != _HELD_NOW:
        return wanted
    hold = client.get("/api/v1/reconcile")["hold"]
    if hold is None:
        raise RefusedError("no deletion is held", code="prune.none")
    host.remark(f"{safe(hold['reason'])}: {safe(hold['message'])}")
    return str(hold["revision"])


def pass_text(ended: Json) -> str:
    """Returns how a pass ended: `applied 4b825dc642cb: 1 added, …`, or why it did not apply."""
    when = f"{moment(ended['started_at'])} by {ended['trigger']}"
    if ended["result"] in _NOTHING_APPLIED:
        return f"{ended['result']}: {safe(ended['message'])}, {when}"
    counts = ", ".join(f"{ended[key]} {key}" for key in ("added", "updated", "removed", "errors"))
    return f"{ended['result']} {short(ended['revision']) or '-'}: {counts}, {when}"
