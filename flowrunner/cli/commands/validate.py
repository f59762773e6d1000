"""`flowrunner validate`: checks flow files as the daemon would, without one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from flowrunner.cli.diagnostics import count_line, render, wants_colour
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import to_json
from flowrunner.model.finding import Finding

_LARGEST_STDIN = 1024**2 + 1
"""Bytes that are read: one more than a definition may have, so that a longer one is refused."""


class Report(Protocol):
    """What the check found; see `flowrunner.daemon.offline.Report`."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them, sorted."""

    @property
    def flows(self) -> int:
        """How many valid flows there are."""


class Validate(Protocol):
    """Checks files and folders; see `flowrunner.daemon.offline.validate`."""

    def __call__(self, paths: Sequence[str], *, stdin: bytes | None = None) -> Report:
        """Returns what was found; raises `FlowError` for a path that does not exist."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the paths and how to report."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        default=["flows"],
        help="files, folders, or - for standard input (default: flows)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")


def execute(args: argparse.Namespace, host: Host, validate: Validate | None = None) -> int:
    """Prints all findings of all files; exits with 3 when one of them matters."""
    stdin = host.read_stdin(_LARGEST_STDIN) if "-" in args.paths else None
    report = (validate or offline_validate())(args.paths, stdin=stdin)
    if args.format == "json":
        findings = [finding.to_json() for finding in report.findings]
        host.say(to_json({"findings": findings, "flows": report.flows}))
    else:
        if report.findings:
            host.say(render(report.findings, colour=wants_colour(host.out, host.environment)))
        host.say(count_line(report.findings, report.flows))
    failed = any(finding.is_error or args.strict for finding in report.findings)
    return Exit.FINDINGS if failed else Exit.DONE


def offline_validate() -> Validate:
    """Returns the real check, imported now."""
    from flowrunner.daemon.offline import validate

    return validate
