"""The table of commands: finds the one that was typed, runs it, turns errors into exit codes.

Nothing heavy is imported before it is known what is asked for. No traceback reaches a person:
foreseen errors are messages with a hint, an unforeseen one is a line.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, TextIO, cast

from flowrunner.cli.arguments import Parser
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import Exit, exit_of
from flowrunner.cli.host import Host
from flowrunner.cli.messages import lines_of
from flowrunner.errors import FlowError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "serve": "run the daemon",
        "validate": "check flow files, without a daemon",
        "next": "list the slots to come, also of flow files without a daemon",
        "schema": "print the JSON schema of flow files, of _defaults.yaml or of the settings",
        "run": "start a flow, or execute a flow file here",
        "flows": "list the flows and whether they are ready",
        "executions": "list executions, newest first",
        "deliveries": "list what came to webhooks, newest first, and why it did or did not start",
        "show": "show an execution with its nodes and attempts",
        "logs": "print what the nodes of an execution printed",
        "cancel": "end an execution",
        "retry": "start an ended execution once more, whole or from a node",
        "why": "say why a flow did or did not start",
        "backfill": "execute slots of the past",
        "pause": "keep a flow from starting",
        "resume": "end the pause of a flow",
        "webhook": "send a signed delivery to a webhook, to try it",
        "status": "show the daemon at a glance",
        "source": "show, sync or roll back the repository that the daemon pulls",
        "reconcile": "read the flow files now",
        "reload": "read the flow files now, as systemctl reload does",
        "backup": "copy the state, verified",
        "restore": "put a backup in the place of the state",
        "check-state": "look for damage in the state",
        "config": "show or check the settings",
        "token": "make a token for the API",
        "version": "print the version",
    }
)
"""Command → one line about it; each is a module of `flowrunner.cli.commands`."""


class Command(Protocol):
    """A module of `flowrunner.cli.commands`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds what may follow the name of the command."""

    def execute(self, args: argparse.Namespace, host: Host) -> int:
        """Does it and returns the exit code; raises `FlowError`."""


Run = Callable[[Sequence[str], Host], int]
"""Does what the words of a command line say and returns the exit code."""


def main(argv: Sequence[str] | None = None, run: Run | None = None) -> int:
    """Runs one command and returns its exit code; raises nothing.

    Args:
        argv: What follows the name of the program; None takes it from the process.
        run: Does what the words say; None is `dispatch`.
    """
    host = _host()
    words = sys.argv[1:] if argv is None else list(argv)
    serving = words[:1] == ["serve"]
    try:
        code = (run or dispatch)(words, host)
        host.out.flush()
    except FlowError as error:
        return _complain(host, "\n".join(lines_of(error)), exit_of(error, serving=serving))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _abandon(host.out)
        return Exit.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a line, no traceback
        _abandon(host.out)
        return _complain(host, _internal(error), Exit.FAILED)
    return code


def dispatch(words: Sequence[str], host: Host) -> int:
    """Runs the command that the words name; raises what it raises."""
    try:
        args = parse(words)
    except SystemExit:  # the help text was asked for and has been printed
        return Exit.DONE
    name = "version" if args.version else args.command
    if name is None:
        raise UsageError("a command is missing", hint="flowrunner --help lists them")
    return _command(name).execute(args, host)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Returns the arguments of a command; `command` and `version` tell which one.

    Raises:
        UsageError: They make no sense.
        SystemExit: The help text was asked for and has been printed.
    """
    chosen = words[0] if words else ""
    if chosen and not chosen.startswith("-") and chosen not in COMMANDS:
        raise _unknown(chosen)
    parser = Parser(prog="flowrunner", description="Declarative GitOps flow runner.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    known = {chosen: COMMANDS[chosen]} if chosen in COMMANDS else COMMANDS  # the others take 2 ms
    for name, about in known.items():
        sentence = f"{about[0].upper()}{about[1:]}."  # capitalize() would write "json"
        command = commands.add_parser(name, help=about, description=sentence)
        if name == chosen:
            _command(name).add_arguments(command)
    args = parser.parse_args(words)
    if not args.version and args.command not in (None, chosen):
        raise UsageError("the command must come first", hint=f"flowrunner {args.command} --help")
    return args


def _command(name: str) -> Command:
    return cast(Command, import_module(f"flowrunner.cli.commands.{name.replace('-', '_')}"))


def _unknown(word: str) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(word[:40], list(COMMANDS), n=1)
    hint = f"did you mean {close[0]}?" if close else "flowrunner --help lists the commands"
    return UsageError(f"unknown command {word[:40]!r}", hint=hint)


def _host() -> Host:
    for stream in (sys.stdout, sys.stderr):
        # What a terminal or a file cannot carry (a name that is no UTF-8) is shown as an escape.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    return Host(
        out=sys.stdout or io.StringIO(),  # None: it was closed before we began
        err=sys.stderr or io.StringIO(),
        read_stdin=_read_stdin,
        environment=os.environ,
        pause=time.sleep,
    )


def _read_stdin(most: int) -> bytes:
    return sys.stdin.buffer.read(most) if sys.stdin else b""


def _complain(host: Host, text: str, code: Exit) -> Exit:
    """Says what went wrong after all that was printed before, as far as anybody listens."""
    try:
        host.out.flush()
    except OSError:
        _abandon(host.out)
    try:
        host.remark(text)
        host.err.flush()
    except OSError:
        _abandon(host.err)
    return code


def _internal(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"flowrunner: {where}{error.strerror}"
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    text = " ".join(str(error).split())[:500]
    return f"flowrunner: internal error: {type(error).__name__}: {text} ({place})"


def _abandon(stream: TextIO) -> None:
    """Lets the rest of the output go nowhere: Python would complain about it when it ends."""
    try:
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except (OSError, ValueError):  # it has no descriptor
        return
