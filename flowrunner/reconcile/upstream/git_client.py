"""The command line of git for a repository of our own, hardened against what is fetched.

Nothing that a repository holds is run: no hook, no filter, no submodule, no helper that an address
names. Only the transport of the configured address is allowed. No settings of git's but these are
read. Paths and messages of a repository never stand on a command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from flowrunner.config.git_kinds import transport_of
from flowrunner.dataclass import dataclass
from flowrunner.system.tools import MOST_OUTPUT_BYTES, NO_VARIABLES

_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "protocol.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "credential.helper=",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "i18n.logOutputEncoding=UTF-8",
    "advice.detachedHead=false",
)
"""Source: git-config(1)."""

_SSH = (
    "-F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes "
    "-o IdentityAgent=none -o ConnectTimeout=20 -o ServerAliveInterval=15"
)
_SYSTEM_HOSTS = Path("/etc/ssh/ssh_known_hosts")


class RunsTools(Protocol):
    """Runs a tool; see `flowrunner.system.tools.StoppableTools`."""

    def __call__(
        self,
        argv: tuple[str, ...],
        *,
        timeout_s: float,
        feed: bytes = b"",
        most: int = MOST_OUTPUT_BYTES,
        env: Mapping[str, str] = NO_VARIABLES,
    ) -> bytes:
        """Returns what it printed; raises `ToolFailedError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where to fetch from, and with what.

    Attributes:
        key: Private key for ssh; None for none.
        known_hosts: The keys of hosts; None for those of the system.
        timeout_s: Longest that one command may take.
    """

    url: str
    key: Path | None = None
    known_hosts: Path | None = None
    timeout_s: float = 300.0


class GitClient:
    """Runs git on one bare repository. Every method blocks, and raises `ToolFailedError`."""

    def __init__(self, run: RunsTools, remote: Remote, repository: Path, home: Path) -> None:
        self._run = run
        self._remote = remote
        self._home = home
        self.repository = repository

    def beside(self, repository: Path) -> GitClient:
        """Returns a client with another repository."""
        return GitClient(self._run, self._remote, repository, self._home)

    def git(
        self,
        *words: str,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] = NO_VARIABLES,
        most: int = MOST_OUTPUT_BYTES,
    ) -> bytes:
        """Asks about the repository.

        Args:
            words: The command and what follows it.
            options: Options of git itself, besides the safe ones.
            env: Variables, besides the bare ones.
            most: Bytes that it may print.
        """
        return self._ask((f"--git-dir={self.repository}", *options), words, env, most)

    def text(self, *words: str) -> str:
        """Returns the first line of what git prints."""
        return self.git(*words).decode(errors="replace").partition("\n")[0].strip()

    def over_network(self, *words: str) -> bytes:
        """Fetches into the repository; `{url}` among the words is the configured address."""
        options = (f"--git-dir={self.repository}", *self._transport())
        return self._ask(options, self._with_url(words), NO_VARIABLES, MOST_OUTPUT_BYTES)

    def of_remote(self, *words: str) -> bytes:
        """Asks the remote alone, whatever state the repository is in."""
        options = ("-C", "/", *self._transport())
        return self._ask(options, self._with_url(words), NO_VARIABLES, MOST_OUTPUT_BYTES)

    def _with_url(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._remote.url if word == "{url}" else word for word in words)

    def _ask(
        self,
        options: tuple[str, ...],
        words: tuple[str, ...],
        env: Mapping[str, str],
        most: int,
    ) -> bytes:
        safe = (part for each in _SAFE for part in ("-c", each))
        argv = ("git", "--no-replace-objects", "--no-optional-locks", *safe, *options, *words)
        variables = {"HOME": str(self._home), **env}
        return self._run(argv, timeout_s=self._remote.timeout_s, most=most, env=variables)

    def _transport(self) -> tuple[str, ...]:
        transport = transport_of(self._remote.url)
        allowed = ("-c", f"protocol.{transport}.allow=always")
        if transport != "ssh":
            return allowed
        hosts, key = self._remote.known_hosts, self._remote.key
        parts = ["ssh", _SSH]
        if hosts is None:
            parts.append(f"-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile={_SYSTEM_HOSTS}")
        else:
            parts.append("-o GlobalKnownHostsFile=/dev/null")
            parts.append(f"-o UserKnownHostsFile={shlex.quote(str(hosts))}")
        # Without `none` ssh would offer the keys that a user keeps at home.
        parts.append("-o IdentityFile=none" if key is None else f"-i {shlex.quote(str(key))}")
        return (*allowed, "-c", "ssh.variant=ssh", "-c", f"core.sshCommand={' '.join(parts)}")
