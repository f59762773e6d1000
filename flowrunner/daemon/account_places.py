"""Whose the files are that a command names: the same as for the daemon, as far as that can be told.

What lies below `source.path` has its account by its first folder there. Elsewhere, as in another
checkout of the same flows, a folder that is named counts as the root; of a file that is named, the
first folder above it that an account has tells.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowrunner.daemon.defaults_above import folders_above
from flowrunner.model.accounts import AccountMap
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.reconcile.scan import AccountOf


class AccountPlaces:
    """Knows the accounts of paths.

    Args:
        accounts: Those of the settings.
        root: The setting `source.path`; None without settings.
    """

    def __init__(self, accounts: AccountMap, root: Path | None = None) -> None:
        self._accounts = accounts
        self._root = "" if root is None else f"{os.path.realpath(root)}/"

    def below(self, folder: str) -> AccountOf:
        """Returns whose files are, by their names relative to a folder."""
        if not self._accounts.folders:
            return self._accounts.account_of
        given = f"{os.path.realpath(folder)}/"
        return lambda name: self._accounts.account_of(self._inside(given + name) or name)

    def of_file(self, path: str) -> AccountOf:
        """Returns whose a file is, whatever name is asked for."""
        if not self._accounts.folders:
            return self._accounts.account_of
        folder = os.path.realpath(Path(path).absolute().parent)
        inside = self._inside(f"{folder}/{Path(path).name}")
        if inside:
            return lambda _: self._accounts.account_of(inside)
        top, *names = (each.name for each in folders_above(Path(path)))
        found = (self._accounts.folders.get(name) for name in names or [top])
        account = next((each for each in found if each), None)
        return lambda _: account

    def _inside(self, path: str) -> str:
        """Returns a path relative to the root of the flows; empty for one elsewhere."""
        return path.removeprefix(self._root) if path.startswith(self._root) else ""


def of_default(_: str) -> str:
    """Whose a text on standard input is: no folder tells."""
    return DEFAULT_ACCOUNT
