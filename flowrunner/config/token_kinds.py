"""The kind of settings that hold tokens: a map from the name of a token to what it opens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flowrunner.config.kinds import BadValueError, Kind, quote
from flowrunner.model.access import TOKEN_DIGEST, TOKEN_NAME, TOKEN_PREFIX, Token, TokenScope
from flowrunner.model.accounts import ACCOUNT_NAME
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import Json

_HINT = "make one with `flowrunner token new NAME`, which prints what to write"
_KEYS = ("sha256", "scopes", "accounts", "expires_at")
_MOST = 1_000


def tokens_kind(*, of_account: bool) -> Kind:
    """Tokens by name.

    Args:
        of_account: Whether they belong to one account, and so can neither name others nor open
            the metrics, which show all.
    """
    scopes = [scope for scope in TokenScope if not of_account or scope != TokenScope.METRICS]
    keys = [key for key in _KEYS if not of_account or key != "accounts"]

    def parse(value: Json, _: Path) -> tuple[Token, ...]:
        if not isinstance(value, dict):
            raise _wrong_type(value, "a map of tokens")
        if len(value) > _MOST:
            raise BadValueError(f"{len(value)} tokens are too many", hint=f"at most {_MOST}")
        return tuple(_token(name, written, keys, scopes) for name, written in value.items())

    return Kind(
        parse=parse,
        render=lambda tokens: {token.name: _written(token) for token in tokens},
        from_text=json_of_text,
        schema=_schema(keys, scopes),
    )


def all_tokens(
    shared: Iterable[Token], of_accounts: Mapping[str, Iterable[Token]]
) -> Iterator[Token]:
    """Yields the tokens of `auth.tokens`, then those of each account with its name before theirs.

    Args:
        shared: Those of `auth.tokens`.
        of_accounts: Account → those of its own.
    """
    yield from shared
    for account, tokens in of_accounts.items():
        for token in tokens:
            name = f"{account}/{token.name}"
            yield replace(token, name=name, accounts=frozenset({account}))


def _token(name: str, written: Json, keys: list[str], scopes: list[TokenScope]) -> Token:
    if not re.fullmatch(TOKEN_NAME, name):
        hint = "small letters, digits, '.', '_' and '-', at most 63, a letter or digit first"
        raise BadValueError(f"{quote(name)} cannot be the name of a token", hint=hint)
    if not isinstance(written, dict):
        raise _wrong_type(written, f"what token {name} opens")
    unknown = [key for key in written if key not in keys]
    if unknown:
        hint = f"a token has: {', '.join(keys)}"
        raise BadValueError(f"{name}: unknown key {quote(unknown[0])}", hint=hint)
    accounts = _words(name, written, "accounts", ACCOUNT_NAME)
    opened = _scopes(name, written, scopes)
    if accounts is not None and TokenScope.METRICS in opened:
        hint = "give the scraper a token of its own, without accounts"
        raise BadValueError(f"{name}: metrics show all accounts", hint=hint)
    return Token(
        name=name,
        sha256=_digest(name, written.get("sha256")),
        scopes=opened,
        accounts=accounts,
        expires_at=_moment(name, written.get("expires_at")),
    )


def _digest(name: str, value: Json) -> str:
    if isinstance(value, str) and value.startswith(TOKEN_PREFIX):
        # Not quoted: this is the token itself.
        raise BadValueError(f"{name}: sha256 holds a token, not its digest", hint=_HINT)
    if not isinstance(value, str) or not re.fullmatch(TOKEN_DIGEST, value):
        raise BadValueError(f"{name}: sha256 must be 64 digits of 0-9 and a-f", hint=_HINT)
    return value


def _scopes(
    name: str, written: Mapping[str, Json], known: list[TokenScope]
) -> frozenset[TokenScope]:
    words = _words(name, written, "scopes", "")
    hint = f"scopes: {', '.join(known)}"
    if not words:
        raise BadValueError(f"{name}: scopes must name what the token opens", hint=hint)
    for word in sorted(words):
        if word not in known:
            raise BadValueError(f"{name}: {quote(word)} is no scope here", hint=hint)
    return frozenset(map(TokenScope, words))


def _words(name: str, written: Mapping[str, Json], key: str, pattern: str) -> frozenset[str] | None:
    """Returns a list of words; None where it is left out."""
    value = written.get(key)
    if value is None:
        return None
    is_list = isinstance(value, list) and value and all(isinstance(it, str) for it in value)
    if not is_list or (pattern and not all(re.fullmatch(pattern, it) for it in value)):
        raise BadValueError(
            f"{name}: {key} must be a list of names",
            code="settings.type",
            hint=f"write a list, for example {key}: [{'read' if key == 'scopes' else 'web'}]",
        )
    return frozenset(value)


def _moment(name: str, value: Json) -> datetime | None:
    if value is None:
        return None
    at = parse_moment(value) if isinstance(value, str) else None
    if at is None:
        hint = "write a time with its zone, such as 2027-03-01T12:00:00Z"
        raise BadValueError(f"{name}: expires_at {quote(value)} is not a time", hint=hint)
    return at.astimezone(UTC)


def _written(token: Token) -> Json:
    written: dict[str, Json] = {"sha256": token.sha256, "scopes": sorted(token.scopes)}
    if token.accounts is not None:
        written["accounts"] = sorted(token.accounts)
    if token.expires_at is not None:
        written["expires_at"] = token.expires_at.isoformat().replace("+00:00", "Z")
    return written


def json_of_text(text: str) -> Json:
    """Returns the JSON that a variable holds; the text itself, to be refused, if it is none."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text


def _schema(keys: list[str], scopes: list[TokenScope]) -> dict[str, Json]:
    shapes: dict[str, Json] = {
        "sha256": {"type": "string", "pattern": TOKEN_DIGEST},
        "scopes": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "enum": [str(scope) for scope in scopes]},
        },
        "accounts": {
            "type": ["array", "null"],
            "minItems": 1,
            "items": {"type": "string", "pattern": ACCOUNT_NAME},
        },
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
    }
    return {
        "type": "object",
        "maxProperties": _MOST,
        "propertyNames": {"pattern": TOKEN_NAME},
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "required": ["sha256", "scopes"],
            "properties": {key: shapes[key] for key in keys},
        },
    }


def _wrong_type(value: Json, wanted: str) -> BadValueError:
    # Not quoted: who pastes a token into the wrong place need not find it in a log.
    what = type(value).__name__
    return BadValueError(f"a {what} is not {wanted}", code="settings.type", hint=_HINT)
