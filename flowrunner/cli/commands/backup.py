"""`flowrunner backup`: copies the state, by the daemon that runs or without one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from flowrunner.cli.arguments import add_control
from flowrunner.cli.client import ControlClient, find_socket
from flowrunner.cli.errors import NoDaemonError
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.settings import state_folder

Backup = Callable[[Path, Path | None], Path]
"""State directory and file → where the copy stands; see `flowrunner.daemon.offline_state`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds where to."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a file that does not exist yet (default: the next one in backup/ of the state)",
    )
    add_control(parser)
    parser.add_argument("--config", metavar="FILE", help="settings file, to find the state")


def execute(args: argparse.Namespace, host: Host, backup: Backup | None = None) -> int:
    """Prints the path of the verified copy."""
    target = None if args.file is None else Path(args.file).absolute()
    try:
        place = find_socket(socket_path=args.socket, state=args.state, environment=host.environment)
        body = {"file": None if target is None else str(target)}
        host.say(str(ControlClient(place, timeout_s=_PATIENCE_S).post(_ADDRESS, body)["path"]))
    except NoDaemonError:
        if args.socket is not None:
            raise
        made = (backup or _offline())(state_folder(args, host), target)
        host.say(str(made))
    return Exit.DONE


_ADDRESS = "/control/v1/backup"
_PATIENCE_S = 3_600.0
"""A large state takes minutes: it is copied in small steps."""


def _offline() -> Backup:
    from flowrunner.daemon.offline_state import backup_offline

    return backup_offline
