"""`flowrunner token new`: makes a token and says what the settings must hold of it.

It asks no daemon and writes nothing: the token is shown once and kept by nobody but its user.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flowrunner.cli.arguments import add_output
from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.cli.render import show
from flowrunner.model.access import (
    TOKEN_BYTES,
    TOKEN_NAME,
    TokenScope,
    new_token,
    token_digest,
)
from flowrunner.model.accounts import ACCOUNT_NAME
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import Json
from flowrunner.model.quantities import QuantityError, parse_duration

_PLAIN = re.compile("[a-z][a-z0-9._-]*")
_WORDS = ("null", "true", "false")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `new` and what the token is to open."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    about = "make a token, and print it with what to write into the settings"
    new = actions.add_parser("new", help=about, description=f"{about[0].upper()}{about[1:]}.")
    new.add_argument("name", metavar="NAME", help="what the log calls it")
    new.add_argument(
        "--scope",
        action="append",
        choices=[str(scope) for scope in TokenScope],
        help="what it opens, more than once for more; without it: read",
    )
    new.add_argument("--account", action="append", metavar="NAME", help="show this account alone")
    new.add_argument("--expires", metavar="TIME", help="a time (RFC 3339), or how long: 90d")
    add_output(new)


def execute(
    args: argparse.Namespace,
    host: Host,
    random_bytes: Callable[[int], bytes] = os.urandom,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Prints the token and its settings.

    Raises:
        UsageError: A name, an account or the time is none.
    """
    scopes = sorted(set(args.scope or [TokenScope.READ]))
    accounts = sorted(set(args.account or []))
    _check(args.name, accounts, scopes)
    token = new_token(random_bytes(TOKEN_BYTES))
    entry: dict[str, Json] = {"sha256": token_digest(token), "scopes": scopes}
    if accounts:
        entry["accounts"] = accounts
    if args.expires is not None:
        at = _end(args.expires, now())
        entry["expires_at"] = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    settings: dict[str, Json] = {"auth": {"tokens": {args.name: entry}}}
    document: dict[str, Json] = {"token": token, "settings": settings}
    show(host, args.output, document, lambda _wide: _text(token, args.name, entry))
    return 0


def _check(name: str, accounts: list[str], scopes: list[str]) -> None:
    if not re.fullmatch(TOKEN_NAME, name):
        hint = "small letters, digits, '.', '_' and '-', at most 63, a letter or digit first"
        raise UsageError(f"{name[:80]!r} cannot be the name of a token", hint=hint)
    for account in accounts:
        if not re.fullmatch(ACCOUNT_NAME, account):
            hint = "small letters, digits and hyphens, at most 63, no hyphen first"
            raise UsageError(f"{account[:80]!r} cannot be the name of an account", hint=hint)
    if accounts and TokenScope.METRICS in scopes:
        hint = "make the scraper a token of its own, without --account"
        raise UsageError("metrics show all accounts", hint=hint)


def _end(written: str, now: datetime) -> datetime:
    at = parse_moment(written)
    if at is None:
        try:
            at = now + timedelta(seconds=parse_duration(written))
        except QuantityError as error:
            hint = "write a time such as 2027-03-01T12:00:00Z, or how long: 90d"
            raise UsageError(f"{written[:80]!r} is no end of a token", hint=hint) from error
    if at <= now:
        raise UsageError("the token would have expired", hint="name a time to come")
    return at.astimezone(UTC)


def _text(token: str, name: str, entry: dict[str, Json]) -> str:
    keys = ", ".join(f"{key}: {_yaml(value)}" for key, value in entry.items())
    return (
        f"{token}\n\n"
        "This is shown once. Into the settings file, in place of the token:\n\n"
        f"auth:\n  tokens:\n    {_yaml(name)}: {{{keys}}}"
    )


def _yaml(value: Json) -> str:
    """Returns a text or a list of texts as YAML writes it in one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return value if _PLAIN.fullmatch(value) and value not in _WORDS else json.dumps(value)
