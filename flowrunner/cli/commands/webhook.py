"""`flowrunner webhook send`: sends a delivery as the provider would, to try a hook.

The hook is asked of the daemon; the secret is not: it is read here, from where the daemon has it
too, by whoever may read it.
"""

from __future__ import annotations

import argparse
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from flowrunner.cli.arguments import add_account, add_control, add_output
from flowrunner.cli.client import ControlClient, address, connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import Exit
from flowrunner.cli.hook_post import UNIX, HookAnswer, Target, post, target_of, unix_target
from flowrunner.cli.host import Host
from flowrunner.cli.paging import read_list
from flowrunner.cli.render import facts, show
from flowrunner.cli.settings import load_file
from flowrunner.cli.text import safe
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json

_EVENT = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
LARGEST_BODY = 64 * 1024**2
"""Bytes of a body that are sent."""

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
"""Source: RFC 9110, sections 5.1 and 5.5."""

_OWN = frozenset({"connection", "content-length", "transfer-encoding", "x-request-id"})
"""Headers that the command makes: how long the body is, and by which id its record is found."""

_FAILURES: Mapping[int, Exit] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: Exit.FINDINGS,
    HTTPStatus.INTERNAL_SERVER_ERROR: Exit.FAILED,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `send` and what to send where."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    about = "sign a delivery with the secret of the hook, and post it to the listener of hooks"
    send = actions.add_parser("send", help=about, description=f"{about[0].upper()}{about[1:]}.")
    send.add_argument("flow", metavar="FLOW", help="name of the flow")
    send.add_argument("trigger", metavar="TRIGGER", help="id of its webhook")
    send.add_argument("--file", metavar="FILE", help="the body, - for standard input; else none")
    send.add_argument(
        "--header",
        metavar="NAME:VALUE",
        action="append",
        default=[],
        help="a header, may be given several times; it stands, also in the place of a proof",
    )
    send.add_argument(
        "--event", metavar="E", help="the event, in the header that the provider has for it"
    )
    send.add_argument(
        "--url", metavar="URL", help="whole address of the hook; else where the daemon listens"
    )
    send.add_argument(
        "--off-host", action="store_true", help="send it although it leaves this host"
    )
    send.add_argument(
        "--config", metavar="FILE", help="settings file, for the sources of secrets (YAML)"
    )
    add_account(send)
    add_output(send)
    add_control(send)


def execute(
    args: argparse.Namespace,
    host: Host,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    now_s: Callable[[], float] = time.time,
) -> int:
    """Sends the delivery; prints the answer, and what the daemon has recorded of it."""
    from flowrunner.daemon.hook_sender import HookContent, make_secrets, prepare

    key = FlowKey(args.account or DEFAULT_ACCOUNT, args.flow)
    given, body = _headers_of(args.header), _body_of(args.file, host)
    if args.event is not None and not _EVENT.fullmatch(args.event):
        raise UsageError(f"--event {args.event[:40]!r} is no event", hint="such as push")
    client = connect(args, host)
    definition = client.get(address("api", "v1", "flows", *key, "definition"))
    settings = load_file(args.config, host).settings
    call = prepare(
        key,
        definition,
        args.trigger,
        HookContent(body=body, headers=given, event=args.event),
        secrets=make_secrets(host.environment, host.environment, settings.accounts),
        now_s=now_s(),
        new_id=new_id,
    )
    target = _target(args, client, call.path)
    if target.is_in_clear and call.shows_secret:
        raise UsageError(
            "this hook is shown its secret itself, and others on the way could read it",
            hint="send it by https",
        )
    request_id = new_id()
    headers = {**call.headers, "x-request-id": request_id, "connection": "close"}
    answer = post(target, call.method, headers, body)
    record = _record_of(client, key, args.trigger, request_id)
    document = {"status": answer.status, "body": _text_of(answer), "delivery": record}
    show(host, args.output, document, lambda _wide: _as_text(answer, record))
    return _exit_of(answer)


def _target(args: argparse.Namespace, client: ControlClient, path: str) -> Target:
    if args.url is not None:
        return target_of(args.url, is_of_daemon=False, may_leave=args.off_host)
    listener = client.get("/control/v1/hooks")["address"]
    place = f"/hooks{address(*path.split('/'))}"
    if listener.startswith(UNIX):
        return unix_target(listener, place)
    return target_of(f"{listener}{place}", is_of_daemon=True, may_leave=args.off_host)


def _record_of(client: ControlClient, key: FlowKey, trigger: str, request_id: str) -> Json:
    """Returns what the daemon has recorded; None when the delivery went elsewhere.

    One to a hook that is disabled, or whose flow is not valid, went to no hook.
    """
    mine = {"account": key.account, "flow": key.name, "trigger": trigger}
    for query in (mine, {"reason": "no_hook"}):
        items, _ = read_list(client, "/api/v1/deliveries", query, limit=100)
        for each in items:
            if each["request_id"] == request_id:
                return each
    return None


def _headers_of(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        match = _HEADER.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--header {text[:40]!r} is no header", hint="write it as X-GitHub-Event: push"
            )
        name = match[1].lower()
        if name in _OWN:
            raise UsageError(f"--header {name}: the command makes this one", hint="leave it out")
        found[name] = match[2].strip(" \t")
    return found


def _body_of(file: str | None, host: Host) -> bytes:
    if file is None:
        return b""
    try:
        if file == "-":
            body = host.read_stdin(LARGEST_BODY + 1)
        else:
            with Path(file).open("rb") as opened:
                body = opened.read(LARGEST_BODY + 1)
    except OSError as error:
        raise UsageError(f"--file {file}: {error.strerror or error}", hint="name a file") from error
    if len(body) > LARGEST_BODY:
        text = f"--file {file}: larger than {LARGEST_BODY // 1024**2} MiB"
        raise UsageError(text, hint="no hook takes as much")
    return body


def _text_of(answer: HookAnswer) -> Json:
    """Returns the body as JSON, or as text if it is none."""
    import json

    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return answer.body.decode("utf-8", "replace")


def _as_text(answer: HookAnswer, record: Json) -> str:
    body = safe(answer.body.decode("utf-8", "replace"))
    told = "the daemon has no record of it: it went elsewhere"
    if record is not None:
        told = f"{record['outcome']} ({record['reason']}): {record['sentence']}"
    reason = f" {answer.reason}" if answer.reason else ""
    return facts([("answer", f"{answer.status}{reason}"), ("body", body), ("delivery", told)])


def _exit_of(answer: HookAnswer) -> Exit:
    """Returns how it ended: taken, or refused as the daemon would refuse a command."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Exit.DONE
    return _FAILURES.get(answer.status, Exit.REFUSED)
