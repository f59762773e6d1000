"""Finds secrets by account and name: each account has sources of its own, and sees no other's.

The account `default` has the default sources first, in this order: the file `X` in the credentials
folder (systemd's `LoadCredential=X`), the file `secrets_X` (systemd names the files of a whole
folder loaded as `secrets` so), the environment variable `FLOWRUNNER_SECRET_X`. Settings add files
and variables and bind them to accounts. Which secrets a flow may use is the compiler's business,
masking them that of `flowrunner.secrets.masking`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

from flowrunner.model.secret import SecretValue

ENVIRONMENT_PREFIX = "FLOWRUNNER_SECRET_"
LARGEST_SECRET = 1024 * 1024
"""Bytes. Source: systemd.exec(5), the limit of the credentials of one unit."""

_FOLDER_PREFIX = "secrets_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_log = logging.getLogger(__name__)


class Secrets(Protocol):
    """Gives the values of secrets."""

    def lookup(self, account: str, name: str) -> SecretValue | None:
        """Returns the secret, or None when this account has none of this name.

        An empty value counts as missing: an empty key would let everybody sign.
        """


class SecretsAtHand(Secrets, Protocol):
    """Secrets for those who look some up for whoever knocks."""

    @property
    def is_at_hand(self) -> bool:
        """Whether they all lie in memory, so that no lookup waits for a disk."""


class SecretSource(Protocol):
    """One place where secrets lie."""

    @property
    def is_at_hand(self) -> bool:
        """Whether it is in memory."""

    def text(self, name: str) -> str | None:
        """Returns the text of a secret, empty for one that is of no use; None if it has none."""


def take_environment(
    environ: MutableMapping[str, str], prefixes: Iterable[str] = ()
) -> Mapping[str, str]:
    """Removes the secret variables from `environ` and returns them, with their full names.

    Called once at start with the process environment, so that no child inherits a secret.

    Args:
        environ: The environment.
        prefixes: Of the secret variables of accounts, besides the default one.
    """
    beginnings = (ENVIRONMENT_PREFIX, *prefixes)
    names = [name for name in environ if name.startswith(beginnings)]
    return {name: environ.pop(name) for name in names}


class FileSecrets:
    """Secrets in the files of a folder.

    Files are read anew at each lookup: they are small and lie in memory, and a rotated secret
    is seen without a restart. A file that exists but cannot be used hides the sources after it,
    is treated as missing and logged once.

    Args:
        folder: The folder.
        prefixes: What may stand before the name of a secret in that of its file, best first.
        is_at_hand: Whether the folder is one in memory.
    """

    def __init__(
        self, folder: Path, prefixes: tuple[str, ...] = ("",), *, is_at_hand: bool = False
    ) -> None:
        self.is_at_hand = is_at_hand
        self._folder = folder
        self._prefixes = prefixes
        self._reported: set[str] = set()

    def text(self, name: str) -> str | None:
        """Returns the text of the first file there is."""
        for prefix in self._prefixes:
            path = self._folder / f"{prefix}{name}"
            try:
                with open(path, "rb", opener=_open) as file:
                    data = file.read(LARGEST_SECRET + 1) or b""
            except FileNotFoundError:
                continue
            except OSError as error:
                return self._unusable(path, error.strerror or "cannot be read")
            if len(data) > LARGEST_SECRET:
                return self._unusable(path, f"larger than {LARGEST_SECRET} bytes")
            return data.removesuffix(b"\n").decode("utf-8", errors="surrogateescape")
        return None

    def _unusable(self, path: Path, problem: str) -> str:
        if path.name not in self._reported:
            self._reported.add(path.name)
            _log.error("secret_unreadable", extra={"path": str(path), "error": problem})
        return ""


def _open(path: str, flags: int) -> int:
    """Opens a file, and a pipe without waiting for its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


class VariableSecrets:
    """Secrets in what were environment variables.

    Args:
        prefix: What stands before the name of a secret.
        environment: What `take_environment` returned.
    """

    is_at_hand = True

    def __init__(self, prefix: str, environment: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment

    def text(self, name: str) -> str | None:
        """Returns the value of the variable."""
        return self._environment.get(self._prefix + name)


class AccountSecrets:
    """Secrets of any accounts, each from its own sources; an account without sources has none.

    Args:
        sources: Account → its sources; the first that has a secret wins.
    """

    def __init__(self, sources: Mapping[str, Sequence[SecretSource]]) -> None:
        self.replace(sources)

    def replace(self, sources: Mapping[str, Sequence[SecretSource]]) -> None:
        """Puts other sources in force, all at once."""
        self._sources = sources
        self._is_at_hand = all(each.is_at_hand for each in chain.from_iterable(sources.values()))

    @property
    def is_at_hand(self) -> bool:
        """Whether they all lie in memory: one that does not counts for the hooks of all."""
        return self._is_at_hand

    def lookup(self, account: str, name: str) -> SecretValue | None:
        """Returns the secret, or None. A name that could be a path is the name of no secret."""
        if not _NAME.fullmatch(name):
            return None
        for source in self._sources.get(account, ()):
            text = source.text(name)
            if text is not None:
                return SecretValue(text) if text else None
        return None


def default_sources(
    credentials_folder: Path | None, environment: Mapping[str, str]
) -> tuple[SecretSource, ...]:
    """Returns the sources that the account `default` has without any settings.

    Args:
        credentials_folder: systemd's `$CREDENTIALS_DIRECTORY`; None without one.
        environment: What `take_environment` returned.
    """
    variables = VariableSecrets(ENVIRONMENT_PREFIX, environment)
    if credentials_folder is None:
        return (variables,)
    # systemd keeps credentials in memory that is not even swapped: systemd.exec(5).
    credentials = FileSecrets(credentials_folder, ("", _FOLDER_PREFIX), is_at_hand=True)
    return (credentials, variables)
