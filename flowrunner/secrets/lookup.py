"""Finds secrets by account and name: the default sources, which belong to account `default`.

Looked for, in this order: the file `X` in the credentials folder (systemd's `LoadCredential=X`),
the file `secrets_X` (systemd names the files of a whole folder loaded as `secrets` so), the
environment variable `FLOWRUNNER_SECRET_X`. Which secrets a flow may use is the compiler's
business, masking them that of `flowrunner.secrets.masking`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Protocol

from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.model.secret import SecretValue

ENVIRONMENT_PREFIX = "FLOWRUNNER_SECRET_"
LARGEST_SECRET = 1024 * 1024
"""Bytes. Source: systemd.exec(5), the limit of the credentials of one unit."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_log = logging.getLogger(__name__)


class Secrets(Protocol):
    """Gives the values of secrets."""

    def lookup(self, account: str, name: str) -> SecretValue | None:
        """Returns the secret, or None when this account has none of this name.

        An empty value counts as missing: an empty key would let everybody sign.
        """


def take_environment(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """Removes the secret variables from `environ` and returns them, with their full names.

    Called once at start with the process environment, so that no child inherits a secret.
    """
    names = [name for name in environ if name.startswith(ENVIRONMENT_PREFIX)]
    return {name: environ.pop(name) for name in names}


class DefaultSecrets:
    """The default sources, for account `default` alone.

    Files are read anew at each lookup: they are small and lie in memory, and a rotated secret
    is seen without a restart. A file that exists but cannot be used hides the environment, is
    treated as missing and logged once.

    Args:
        credentials_folder: systemd's `$CREDENTIALS_DIRECTORY`; None without one.
        environment: What `take_environment` returned.
    """

    def __init__(self, credentials_folder: Path | None, environment: Mapping[str, str]) -> None:
        self._folder = credentials_folder
        self._environment = environment
        self._reported: set[str] = set()

    def lookup(self, account: str, name: str) -> SecretValue | None:
        """Returns the secret, or None. A name that could be a path is the name of no secret."""
        if account != DEFAULT_ACCOUNT or not _NAME.fullmatch(name):
            return None
        text = self._credential(name)
        if text is None:
            text = self._environment.get(ENVIRONMENT_PREFIX + name)
        return SecretValue(text) if text else None

    def _credential(self, name: str) -> str | None:
        """Returns the text of the first file there is; an unusable one counts as empty."""
        if self._folder is None:
            return None
        for path in (self._folder / name, self._folder / f"secrets_{name}"):
            try:
                with path.open("rb") as file:
                    data = file.read(LARGEST_SECRET + 1)
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
