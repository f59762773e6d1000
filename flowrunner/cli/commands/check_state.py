"""`flowrunner check-state`: reads all of the state and says what is wrong with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from flowrunner.cli.arguments import add_output
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import show
from flowrunner.cli.settings import state_folder
from flowrunner.cli.text import safe


class Report(Protocol):
    """What was found; see `flowrunner.daemon.offline_state.StateReport`."""

    @property
    def findings(self) -> Sequence[str]:
        """What is wrong."""

    @property
    def schema_version(self) -> int:
        """Of the database."""

    @property
    def executions(self) -> int:
        """How many are kept."""


Check = Callable[[Path], Report]
"""State directory → what was found."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds which state, and how to show it."""
    parser.add_argument("--state", metavar="DIR", help="state directory (storage.path)")
    parser.add_argument("--config", metavar="FILE", help="settings file, to find the state")
    add_output(parser)


def execute(args: argparse.Namespace, host: Host, check: Check | None = None) -> int:
    """Prints the findings; exits with 1 when there are any."""
    report = (check or _offline())(state_folder(args, host))
    document = {
        "findings": list(report.findings),
        "schema_version": report.schema_version,
        "executions": report.executions,
    }
    show(host, args.output, document, lambda _wide: _text(report))
    return Exit.FAILED if report.findings else Exit.DONE


def _text(report: Report) -> str:
    if report.findings:
        return "\n".join(map(safe, report.findings))
    return f"ok: schema version {report.schema_version}, {report.executions} executions"


def _offline() -> Check:
    from flowrunner.daemon.offline_state import check_state

    return check_state
