"""`flowrunner reload`: has the daemon take in what has changed; `systemctl reload` calls it."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control, add_output
from flowrunner.cli.client import connect
from flowrunner.cli.commands.reconcile import REQUESTED, exit_of_pass, pass_text
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.messages import lines_of
from flowrunner.cli.render import show
from flowrunner.cli.text import safe
from flowrunner.errors import SettingsError
from flowrunner.model.ids import Json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds whether to wait, and how to show the result."""
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the flow files were read and applied, and exit by the result: "
        "4 for settings that are refused, 3 for findings, 1 when nothing was applied",
    )
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Has settings and flow files read again; settings that are refused decide the exit code."""
    result = connect(args, host).post("/control/v1/reload", {"wait": args.wait})
    shown = (lambda _wide: pass_text(result)) if args.wait else (lambda _wide: REQUESTED)
    show(host, args.output, result, shown)
    is_refused = _tell_settings(result["settings"], host)
    code = exit_of_pass(result, host) if args.wait else Exit.DONE
    return Exit.SETTINGS if is_refused else code


def _tell_settings(settings: Json, host: Host) -> bool:
    """Says what came of the settings; returns whether they were refused."""
    if settings["need_restart"]:
        keys = ", ".join(map(safe, settings["need_restart"]))
        host.remark(f"needs a restart: {keys}")
    if settings["result"] != "refused":
        return False
    findings = settings["findings"]
    error = SettingsError(findings[0]["message"], code=findings[0]["code"], findings=findings)
    host.remark("\n".join(lines_of(error)))
    host.remark("hint: the settings from before are in force")
    return True
