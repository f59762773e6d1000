"""`flowrunner validate`: checks flow files as the daemon would, without one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from flowrunner.cli.diagnostics import count_line, render, wants_colour
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import to_json
from flowrunner.model.finding import Finding

if TYPE_CHECKING:  # else every check would load what only `--settings` needs
    from flowrunner.config.settings import Settings

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

    def __call__(
        self,
        paths: Sequence[str],
        *,
        stdin: bytes | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        use_cache: bool = False,
    ) -> Report:
        """Returns what was found; raises `FlowError` for a path that does not exist."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the paths, what to check and how to report."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        default=["flows"],
        help="files, folders, or - for standard input (default: flows)",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="text, json, github (annotations in GitHub Actions) or sarif (default: text)",
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="settings of a host, this one: also report what it lacks and what accounts may not",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="compile every file, and keep nothing for the next run",
    )


def execute(args: argparse.Namespace, host: Host, validate: Validate | None = None) -> int:
    """Prints all findings of all files; exits with 3 when one of them matters.

    Raises:
        SettingsError: With everything that is wrong with the file of `--settings`.
    """
    settings = None if args.settings is None else _settings_in(args.settings, host)
    report = (validate or offline_validate())(
        args.paths,
        stdin=host.read_stdin(_LARGEST_STDIN) if "-" in args.paths else None,
        settings=settings,
        environment=host.environment,
        use_cache=not args.no_cache,
    )
    text = FORMATS[args.format](report, host)
    if text:
        host.say(text)
    failed = any(finding.is_error or args.strict for finding in report.findings)
    return Exit.FINDINGS if failed else Exit.DONE


def offline_validate() -> Validate:
    """Returns the real check, imported now."""
    from flowrunner.daemon.offline import validate

    return validate


def _settings_in(file: str, host: Host) -> Settings:
    from flowrunner.cli.settings import load_file

    return load_file(file, host).settings


def _as_text(report: Report, host: Host) -> str:
    shown = render(report.findings, colour=wants_colour(host.out, host.environment))
    count = count_line(report.findings, report.flows)
    return f"{shown}\n{count}" if shown else count


def _as_json(report: Report, _host: Host) -> str:
    findings = [finding.to_json() for finding in report.findings]
    return to_json({"findings": findings, "flows": report.flows})


def _as_github(report: Report, _host: Host) -> str:
    from flowrunner.cli.report_github import render_github

    return render_github(report.findings)


def _as_sarif(report: Report, _host: Host) -> str:
    from flowrunner.cli.report_sarif import sarif_document
    from flowrunner.daemon.offline import finding_codes

    return to_json(sarif_document(report.findings, finding_codes()))


FORMATS: Mapping[str, Callable[[Report, Host], str]] = MappingProxyType(
    {"text": _as_text, "json": _as_json, "github": _as_github, "sarif": _as_sarif}
)
"""Word after `--format` → what makes the output of a report."""
