"""Options that several commands share, and a parser that raises instead of ending the process."""

from __future__ import annotations

import argparse
from functools import partial
from typing import NoReturn

from flowrunner.cli.errors import UsageError
from flowrunner.model.ids import DEFAULT_ACCOUNT

FORMATS = ("text", "wide", "json", "yaml")


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` for what it cannot parse; no option can be abbreviated."""

    def __init__(self, **options: object) -> None:
        layout = partial(argparse.HelpFormatter, max_help_position=28)
        defaults = {"allow_abbrev": False, "formatter_class": layout}
        super().__init__(**{**defaults, **options})  # type: ignore[arg-type] # passed on

    def error(self, message: str) -> NoReturn:
        """Raises the complaint with the way to the help text."""
        raise UsageError(message, hint=f"{self.prog} --help")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds `-o text|wide|json|yaml` and `--json`."""
    parser.add_argument(
        "-o",
        "--output",
        choices=FORMATS,
        default="text",
        help="text (default), wide (more columns), json, yaml",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="output", help="the same as -o json"
    )


def add_control(parser: argparse.ArgumentParser, *, with_state: bool = True) -> None:
    """Adds the options that tell which daemon is meant; see `flowrunner.cli.client`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--socket", metavar="PATH", help="control socket of the daemon")
    if with_state:
        which.add_argument("--state", metavar="DIR", help="state directory of the daemon")


def add_account(parser: argparse.ArgumentParser) -> None:
    """Adds `--account`, for commands that name a flow."""
    parser.add_argument(
        "--account", metavar="A", help=f"account of the flow (default: {DEFAULT_ACCOUNT})"
    )


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Adds `ID`; see `flowrunner.cli.execution_ids`."""
    parser.add_argument(
        "id", metavar="ID", help="id of the execution, or its first characters, at least 8"
    )


def positive(text: str) -> int:
    """Reads a number from 1 to 100,000, for `argparse`."""
    most = 100_000
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:7]) <= most):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a number from 1 to {most}")
    return int(text)


def require_alone(args: argparse.Namespace) -> None:
    """Refuses a flow or an account beside `--all-schedules`; raises `UsageError`."""
    if args.flow is not None or args.account is not None:
        raise UsageError("--all-schedules is about every flow", hint="leave out flow and account")


def require_moment(option: str, text: str | None) -> None:
    """Refuses the value of an option that is no time with a zone; raises `UsageError`."""
    from flowrunner.model.formats import parse_moment

    if text is not None and parse_moment(text) is None:
        raise UsageError(
            f"{option} {text[:40]!r} is not a time with a zone",
            hint="write it as 2027-03-01T12:00:00Z or 2027-03-01T13:00:00+01:00",
        )
