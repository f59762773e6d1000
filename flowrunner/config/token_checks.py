"""What is wrong with tokens that only all of them together can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flowrunner.config.addresses import Address
from flowrunner.config.kinds import quote
from flowrunner.config.token_kinds import all_tokens
from flowrunner.model.access import Token
from flowrunner.model.ids import DEFAULT_ACCOUNT


class WrongToken(NamedTuple):
    """A finding: the setting to blame, what is wrong, and what would fit."""

    key: str
    message: str
    hint: str
    code: str = "settings.value"


def token_problems(
    shared: tuple[Token, ...],
    of_accounts: Mapping[str, tuple[Token, ...]],
    listen: Address,
) -> Iterator[WrongToken]:
    """Yields what is wrong.

    Args:
        shared: Those of `auth.tokens`.
        of_accounts: Those of each account in the settings.
        listen: Where the daemon listens.
    """
    yield from _repeated(shared, of_accounts)
    known = set(of_accounts) or {DEFAULT_ACCOUNT}
    for token in shared:
        for account in sorted((token.accounts or frozenset()) - known):
            text = f"{token.name}: there is no account {quote(account)}"
            yield WrongToken("auth.tokens", text, f"accounts: {', '.join(sorted(known))}")
    if not listen.is_loopback and not shared and not any(of_accounts.values()):
        yield WrongToken(
            "server.listen",
            f"{quote(str(listen))} is not a loopback address",
            "make a token with `flowrunner token new`, or listen on 127.0.0.1, [::1] or localhost",
            "settings.listen_off_loopback",
        )


def _repeated(
    shared: tuple[Token, ...], of_accounts: Mapping[str, tuple[Token, ...]]
) -> Iterator[WrongToken]:
    """Yields tokens that stand twice: which of two entries holds would be chance."""
    first: dict[str, str] = {}
    for token in all_tokens(shared, of_accounts):
        other = first.setdefault(token.sha256, token.name)
        if other != token.name:
            account, slash, name = token.name.rpartition("/")
            key = f"accounts.{account}.tokens" if slash else "auth.tokens"
            text = f"{name}: this is the same token as {other}"
            yield WrongToken(key, text, "make one token for each use")
