"""`flowrunner run`: starts a flow of the daemon, or executes a flow file in this process."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from flowrunner.cli.arguments import add_account, add_control
from flowrunner.cli.client import ControlClient, address, connect
from flowrunner.cli.commands.validate import Validate, offline_validate
from flowrunner.cli.diagnostics import render, wants_colour
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.log_stream import plain, read_lines
from flowrunner.cli.patience import PatientClient
from flowrunner.cli.render import error_text, with_reason
from flowrunner.cli.text import safe, safe_line
from flowrunner.errors import ValidationError
from flowrunner.model.execution import Failure
from flowrunner.model.ids import DEFAULT_ACCOUNT, Json
from flowrunner.model.states import ExecutionState


class LocalEnd(Protocol):
    """What is told of the end of a file's execution."""

    @property
    def state(self) -> str:
        """The final state."""

    @property
    def reason(self) -> str:
        """Why it is no success; empty for none."""

    @property
    def error(self) -> Failure | None:
        """What failed first."""


RunLocal = Callable[[Path, Mapping[str, str], Callable[[str], None]], LocalEnd]
"""`run_local(path, inputs, emit)` → how it ended; see `flowrunner.daemon.local_run`."""

_FILE_SUFFIXES = (".yaml", ".yml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow, its inputs, and where to execute it."""
    parser.add_argument(
        "flow",
        metavar="FLOW|FILE",
        help="name of a flow of the daemon, or a file (*.yaml, *.yml, or with a slash)",
    )
    parser.add_argument(
        "--input",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="the value of an input; may be given several times",
    )
    parser.add_argument(
        "--local", action="store_true", help="take the word for a file, whatever it looks like"
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="print the logs and exit by the final state, as is always done for a file",
    )
    parser.add_argument(
        "--force", action="store_true", help="start a flow even while it is suspended or paused"
    )
    add_account(parser)
    add_control(parser)


def execute(
    args: argparse.Namespace,
    host: Host,
    run_local: RunLocal | None = None,
    validate: Validate | None = None,
) -> int:
    """Starts it; exits with 0 or 1 by its final state, if it is followed."""
    inputs = parse_inputs(args.input)
    if args.local or is_file(args.flow):
        _refuse_daemon_options(args)
        return _run_file(Path(args.flow), inputs, host, run_local, validate)
    return _run_flow(args, inputs, host)


def is_file(word: str) -> bool:
    """Whether a word means a file: a flow's name has neither a slash nor a dot."""
    return "/" in word or word.endswith(_FILE_SUFFIXES)


def parse_inputs(given: Sequence[str]) -> dict[str, str]:
    """Returns the inputs of `--input name=value`; the types are the flow's business.

    Raises:
        UsageError: One has no `=`, no name, or a name that was given before.
    """
    inputs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--input {text!r} is not name=value")
        if name in inputs:
            raise UsageError(f"--input {name} is given twice")
        inputs[name] = value
    return inputs


def _refuse_daemon_options(args: argparse.Namespace) -> None:
    for option in ("account", "socket", "state"):
        if getattr(args, option) is not None:
            hint = "leave it out, or name a flow of the daemon"
            raise UsageError(
                f"--{option} has no meaning for a file, which needs no daemon", hint=hint
            )
    if args.force:
        raise UsageError("--force has no meaning for a file: nothing holds it", hint="leave it out")


def _run_file(
    path: Path,
    inputs: Mapping[str, str],
    host: Host,
    run_local: RunLocal | None,
    validate: Validate | None,
) -> int:
    terminal = host.out.isatty()

    def emit(line: str) -> None:
        host.say(safe_line(line) if terminal else line)
        host.out.flush()

    try:
        end = (run_local or _offline_run())(path, inputs, emit)
    except ValidationError as error:
        if not any("file" in finding for finding in error.findings):
            raise
        return _show_findings(path, host, validate or offline_validate())
    failure = end.error
    shown = failure and {
        "code": failure.code,
        "message": failure.message,
        "details": failure.details,
    }
    return _ended(host, {"state": end.state, "reason": end.reason, "error": shown}, str(path))


def _show_findings(path: Path, host: Host, validate: Validate) -> int:
    """Prints what is wrong with a file as `validate` does, with the lines themselves."""
    findings = validate([str(path)]).findings
    host.remark(render(findings, colour=wants_colour(host.err, host.environment)))
    return Exit.FINDINGS


def _run_flow(args: argparse.Namespace, inputs: Mapping[str, str], host: Host) -> int:
    client = connect(args, host)
    account = args.account or DEFAULT_ACCOUNT
    path = address("control", "v1", "flows", account, args.flow, "executions")
    body = {"inputs": dict(inputs), "as_text": True, "force": args.force}
    execution_id = client.post(path, body)["execution_id"]
    if not args.follow:
        host.say(execution_id)
        return Exit.DONE
    host.remark(f"execution {execution_id}")
    return _follow(client, execution_id, host)


def _follow(client: ControlClient, execution_id: str, host: Host) -> int:
    terminal = host.out.isatty()
    patient = PatientClient(client, pause=host.pause, tell=host.remark, has_answered=True)
    for line in read_lines(patient, execution_id, follow=True):
        host.say(plain(line, with_node=True, terminal=terminal))
        host.out.flush()
    execution = patient.get(address("api", "v1", "executions", execution_id))
    return _ended(host, execution, f"execution {execution_id}")


def _ended(host: Host, execution: Json, name: str) -> int:
    """Exits by the final state, and tells why it is no success."""
    if execution["state"] == ExecutionState.SUCCEEDED:
        return Exit.DONE
    error = error_text(execution["error"])
    told = with_reason(execution) + (f": {error}" if error else "")
    host.remark(safe(f"{name}: {told}"))
    return Exit.FAILED


def _offline_run() -> RunLocal:
    from flowrunner.daemon.local_run import run_local

    return run_local
