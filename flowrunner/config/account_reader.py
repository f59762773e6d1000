"""Takes what the settings file says of accounts, and judges it when all of it is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from flowrunner.config.accounts import (
    KEYS,
    SECTION,
    AccountSettings,
    Shared,
    shared_between,
)
from flowrunner.config.kinds import BadValueError, printable, quote
from flowrunner.config.sources import Given
from flowrunner.model.accounts import ACCOUNT_NAME

_DEFAULT = "default"
_DEPTH_OF_KEY = 3


class AccountReader:
    """Holds the accounts that were given, with the origin of each of their keys."""

    def __init__(self) -> None:
        self._given: dict[str, dict[str, Any]] = {}
        self._origins: dict[tuple[str, str], str] = {}

    def take(self, given: Given) -> None:
        """Takes one value below `accounts`.

        Raises:
            BadValueError: ``settings.file_only`` outside of a file, ``settings.type``,
                ``settings.value``, ``settings.path`` or ``settings.unknown_key``.
        """
        if given.is_text:
            raise BadValueError(
                f"{SECTION} are read from the settings file alone",
                code="settings.file_only",
                hint="write them there, and name it with --config",
            )
        if len(given.path) == _DEPTH_OF_KEY:
            self._take_key(given)
        elif given.value is not None:
            what = f"account {quote(given.path[1])}" if len(given.path) > 1 else SECTION
            hint = "write one `name: value` for each line"
            raise BadValueError(f"{what} is not a map", code="settings.type", hint=hint)
        else:
            self._take_name(given)

    def accounts(self) -> dict[str, AccountSettings]:
        """Returns the accounts by name, in the order in which they were written."""
        named = ((name, {"folder": name, **keys}) for name, keys in self._given.items())
        return {name: AccountSettings(**keys) for name, keys in named}

    def origins(self) -> Iterator[tuple[str, str]]:
        """Yields `accounts.NAME.KEY` and the origin of every key of every account."""
        for name in self._given:
            for key in KEYS:
                yield f"{SECTION}.{name}.{key}", self._origins.get((name, key), _DEFAULT)

    def shared(self, environment: Mapping[str, str]) -> Iterator[tuple[Shared, str]]:
        """Yields what accounts share and may not, each with its origin."""
        credentials = environment.get("CREDENTIALS_DIRECTORY")
        for each in shared_between(self.accounts(), credentials):
            origin = self._origins.get((each.account, each.key))
            yield each, origin or self._origins[each.account, ""]

    def _take_name(self, given: Given) -> None:
        name = given.path[1]
        if not re.fullmatch(ACCOUNT_NAME, name):
            hint = "small letters, digits and hyphens, at most 63, no hyphen first"
            raise BadValueError(f"{quote(name)} cannot be the name of an account", hint=hint)
        self._given[name] = {}
        self._origins[name, ""] = printable(given.origin)

    def _take_key(self, given: Given) -> None:
        _, name, key = given.path
        if key not in KEYS:
            raise _unknown(name, key)
        value = _parsed(given) if _is_told(given) else None
        if name in self._given:  # else its name was refused already
            self._origins[name, key] = printable(given.origin)
            if _is_told(given):
                self._given[name][key] = value


def _parsed(given: Given) -> Any:
    try:
        return KEYS[given.path[2]].kind.parse(given.value, given.folder)
    except BadValueError as error:
        message = f"{'.'.join(given.path)}: {error.message}"
        raise BadValueError(message, code=error.code, hint=error.hint) from error


def _is_told(given: Given) -> bool:
    """Whether there is a value: null is a way to write the default of a key that takes it."""
    return given.value is not None or not KEYS[given.path[2]].kind.nullable


def _unknown(account: str, key: str) -> BadValueError:
    full = quote(f"{SECTION}.{account}.{key}")
    close = get_close_matches(key[:64], KEYS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"an account has: {', '.join(KEYS)}"
    return BadValueError(f"unknown key {full}", code="settings.unknown_key", hint=hint)
