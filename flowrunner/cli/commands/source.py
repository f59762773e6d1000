"""`flowrunner source`: the repository that the daemon pulls, and its revision in force."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from flowrunner.cli.arguments import add_control, add_output
from flowrunner.cli.client import ControlClient, connect, find_socket
from flowrunner.cli.exits import Exit
from flowrunner.cli.host import Host
from flowrunner.cli.render import blocks, facts, moment, short, show, table
from flowrunner.cli.text import safe
from flowrunner.model.ids import Json

_PATIENCE_S = 3_600.0
"""A sync lasts as long as git does, which a setting bounds."""

_GOOD = frozenset({"published", "unchanged", "pinned"})
_WORDS = {
    "status": "show where the flows come from, and the revision in force",
    "sync": "ask the repository now, and wait until what is new is in force",
    "history": "list the revisions that were in force, newest first",
    "rollback": "go back to a revision, and stay there until it is unpinned",
    "unpin": "end a rollback, and follow the repository again",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what to do."""
    words = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for word, about in _WORDS.items():
        action = words.add_parser(word, help=about, description=f"{about.capitalize()}.")
        if word == "rollback":
            action.add_argument("revision", metavar="REV", help="at least 4 digits of a commit")
            action.add_argument(
                "--reason", metavar="TEXT", default="", help="shown as long as it holds"
            )
        if word in ("status", "sync", "history"):
            add_output(action)
        add_control(action)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Does it; a sync that was refused or failed exits with 1."""
    return int(_ACTIONS[args.action](args, host))


def _status(args: argparse.Namespace, host: Host) -> Exit:
    source = connect(args, host).get("/api/v1/source")
    show(host, args.output, source, lambda _wide: status_text(source))
    return Exit.DONE


def _sync(args: argparse.Namespace, host: Host) -> Exit:
    result = _patient(args, host).post("/control/v1/source/sync")
    show(host, args.output, result, lambda _wide: sync_text(result))
    return Exit.DONE if result["outcome"] in _GOOD else Exit.FAILED


def _history(args: argparse.Namespace, host: Host) -> Exit:
    page = connect(args, host).get("/control/v1/source/history")
    show(host, args.output, page, lambda _wide: history_text(page["items"]))
    return Exit.DONE


def _rollback(args: argparse.Namespace, host: Host) -> Exit:
    wanted = {"revision": args.revision, "reason": args.reason}
    found = _patient(args, host).post("/control/v1/source/rollback", wanted)["revision"]
    host.say(f"revision {found} is in force, and pinned")
    host.remark("hint: pushes do nothing until `flowrunner source unpin`")
    return Exit.DONE


def _unpin(args: argparse.Namespace, host: Host) -> Exit:
    was_pinned = _patient(args, host).post("/control/v1/source/unpin")["was_pinned"]
    host.say("the repository is followed again" if was_pinned else "nothing was pinned")
    return Exit.DONE


_ACTIONS: Mapping[str, Callable[[argparse.Namespace, Host], Exit]] = MappingProxyType(
    {
        "status": _status,
        "sync": _sync,
        "history": _history,
        "rollback": _rollback,
        "unpin": _unpin,
    }
)


def _patient(args: argparse.Namespace, host: Host) -> ControlClient:
    place = find_socket(socket_path=args.socket, state=args.state, environment=host.environment)
    return ControlClient(place, timeout_s=_PATIENCE_S)


def status_text(source: Json) -> str:
    """Returns the source with its conditions, a pin before anything else."""
    rows = [
        (each["type"], each["status"], each["reason"], safe(each["message"]))
        for each in source["conditions"]
    ]
    return blocks(
        pin_text(source["git"]),
        facts(_facts(source)),
        table(("CONDITION", "STATUS", "REASON", "MESSAGE"), rows),
    )


def pin_text(git: Json) -> str:
    """Returns a warning when a rollback holds, with who asked for it; empty otherwise."""
    pin = None if git is None else git["pin"]
    if pin is None:
        return ""
    who = f" by user {pin['uid']}" if pin["uid"] is not None else ""
    why = f": {safe(pin['reason'])}" if pin["reason"] else ""
    return (
        f"PINNED to {pin['revision']}{who} since {moment(pin['at'])}{why}\n"
        "pushes do nothing until `flowrunner source unpin`"
    )


def commit_facts(commit: Json) -> Iterator[tuple[str, object]]:
    """Yields what a person knows the commit in force by; nothing where there is none."""
    if commit is not None:
        yield "author", commit["author"]
        yield "subject", commit["subject"]


def sync_text(result: Json) -> str:
    """Returns how a sync ended, on a line."""
    message = f": {safe(result['message'])}" if result["message"] else ""
    newest = f" {short(result['newest'])}" if result["newest"] else ""
    return f"{result['outcome']}{newest}{message}, {moment(result['at'])}"


def history_text(items: list[Json]) -> str:
    """Returns the table of what was in force."""
    rows = [
        (
            moment(each["published_at"]),
            short(each["revision"]),
            "yes" if each["verified"] else "-",
            safe(each["author"]),
            safe(each["subject"]),
        )
        for each in items
    ]
    return table(("PUBLISHED", "REVISION", "VERIFIED", "AUTHOR", "SUBJECT"), rows)


def _facts(source: Json) -> Iterator[tuple[str, object]]:
    git = source["git"]
    yield "kind", source["kind"]
    yield "revision", source["revision"]
    yield from commit_facts(source["commit"])
    if git is None:
        return
    yield "url", git["url"]
    yield "ref", git["ref"] or "the default branch"
    yield "path", git["path"]
    sync = git["last_sync"]
    yield "last sync", None if sync is None else sync_text(sync)
    yield "last success", moment(git["reached_at"])
