"""`flowrunner restore`: puts a backup in the place of the state, or says that this was seen."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from flowrunner.cli.arguments import add_control
from flowrunner.cli.client import connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.settings import state_folder


class Exchange(Protocol):
    """What was done; see `flowrunner.storage.local.restore.Swap`."""

    @property
    def quarantined(self) -> Path:
        """Where the state before went, if there was one."""


Restore = Callable[[Path, Path], Exchange]
"""State directory and backup → what was done; see `flowrunner.daemon.offline_state`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the backup, and what to say instead."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the backup")
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="end the condition StateRestored of the running daemon instead",
    )
    add_control(parser)
    parser.add_argument("--config", metavar="FILE", help="settings file, to find the state")


def execute(args: argparse.Namespace, host: Host, restore: Restore | None = None) -> int:
    """Restores while no daemon runs, or acknowledges while one does."""
    if args.acknowledge == (args.file is not None):
        raise UsageError("name either a backup or --acknowledge", hint="flowrunner restore --help")
    if args.acknowledge:
        connect(args, host).post("/control/v1/restored/acknowledge")
        return Exit.DONE
    done = (restore or _offline())(state_folder(args, host), Path(args.file))
    if done.quarantined.exists():
        host.say(f"the state before is kept as {done.quarantined}")
    host.say("restored; schedules begin at the next start, unfinished executions have ended")
    return Exit.DONE


def _offline() -> Restore:
    from flowrunner.daemon.offline_state import restore_offline

    return restore_offline
