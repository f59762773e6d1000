"""As which users this daemon may run programs, and how such a user gets at its files.

The daemon's own user always may. Another takes a daemon that is root, and a setting that lists the
user: who may commit to the flows does not decide it. All of it blocks: users may come from a
directory in the network.

What the daemon writes for an attempt stays in folders of root, in which the user can replace
nothing; only what is the user's own is handed over. So whoever reads it back as root, by a path,
is led nowhere else. Source: the rules of sudo and of systemd (`StateDirectory=`) for their files.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from flowrunner.errors import ExecutionError
from flowrunner.system.identity import Identity

_TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"
_WAY_MODE = 0o711
_OTHERS = stat.S_IRWXO
_NEEDED = (0, 1, 5, 6, 7)
"""CAP_CHOWN, DAC_OVERRIDE, KILL, SETGID and SETUID. Source: linux/capability.h."""


class Users(Protocol):
    """Says who a program may be; every method blocks."""

    @property
    def has_others(self) -> bool:
        """Whether any user but the daemon's own may be: then folders of ours may be passable."""

    def problem(self, name: str, account: str) -> str:
        """Returns why a program of an account cannot run as a user; empty if it can."""

    def identity(self, name: str, account: str) -> Identity | None:
        """Returns who a program of an account is to be; None for the daemon's own user.

        Raises:
            ExecutionError: ``user_not_permitted``, final.
        """

    def hand_over(self, identity: Identity, way: Sequence[Path], own: Iterable[Path]) -> None:
        """Gives a user what is its own, and makes the way there passable, not readable.

        Args:
            identity: The user.
            way: Folders of ours, from the state directory down, each within the one before.
            own: Files and folders in the last of them.

        Raises:
            ExecutionError: ``unsafe_permissions``, final: something beside the way is open to all;
                ``user_not_permitted``, final: the user cannot come as far as to the way.
            OSError: The system refuses.
        """


class LocalUsers:
    """The users of this host.

    Args:
        allowed: The setting `engine.users`: for all accounts.
        of_accounts: The setting `accounts.NAME.users` by account: for that one alone.
        is_privileged: Whether this process can become somebody else.
        setpriv: The path of setpriv; None where there is none.
    """

    def __init__(
        self,
        allowed: Iterable[str],
        of_accounts: Mapping[str, frozenset[str]] = MappingProxyType({}),
        *,
        is_privileged: bool,
        setpriv: str | None,
    ) -> None:
        self._allowed = frozenset(allowed)
        self._of_accounts = of_accounts
        self._is_privileged = is_privileged
        self._setpriv = setpriv

    @property
    def has_others(self) -> bool:
        """As `Users.has_others` says."""
        return self._is_privileged and bool(self._allowed or any(self._of_accounts.values()))

    def problem(self, name: str, account: str) -> str:
        """As `Users.problem` says."""
        found = self._look(name, account)
        return found if isinstance(found, str) else ""

    def identity(self, name: str, account: str) -> Identity | None:
        """As `Users.identity` says."""
        found = self._look(name, account)
        if isinstance(found, str):
            raise ExecutionError(found, code="user_not_permitted", final=True)
        return found

    def hand_over(self, identity: Identity, way: Sequence[Path], own: Iterable[Path]) -> None:
        """As `Users.hand_over` says."""
        _check_reach(identity, way[0])
        _check_others(way[0], way[1].name)
        for folder in way:
            if stat.S_IMODE(folder.stat().st_mode) != _WAY_MODE:
                folder.chmod(_WAY_MODE)
        for path in own:
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)

    def _look(self, name: str, account: str) -> Identity | str | None:
        """Returns who that is, None for our own user, or what is in the way."""
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return f"this host has no user {name}"
        if found.pw_uid == os.geteuid():
            return None
        if not self._is_privileged:
            return (
                f"this daemon cannot become the user {name}: that takes User=root in its unit, as "
                "privileged.conf.example shows, and the setting engine.users"
            )
        if name not in self._allowed | self._of_accounts.get(account, frozenset()):
            return self._unlisted(name, account)
        if self._setpriv is None:
            return f"this host has no setpriv (util-linux), by which to become {name}"
        groups = tuple(os.getgrouplist(name, found.pw_gid))
        if os.getegid() in groups:
            return f"{name} is in the group of this daemon, which may read its logs"
        return Identity(
            name=name,
            uid=found.pw_uid,
            gid=found.pw_gid,
            groups=groups,
            home=found.pw_dir,
            setpriv=self._setpriv,
        )

    def _unlisted(self, name: str, account: str) -> str:
        if not self._of_accounts:
            return f"the setting engine.users does not list {name}"
        return f"neither engine.users nor accounts.{account}.users of the settings lists {name}"


OWN_USER: Users = LocalUsers((), is_privileged=False, setpriv=None)
"""Nobody but the daemon's own user."""


def local_users(
    allowed: Iterable[str], of_accounts: Mapping[str, frozenset[str]] = MappingProxyType({})
) -> LocalUsers:
    """Returns the users as this process finds them; the arguments are those of `LocalUsers`."""
    setpriv = shutil.which("setpriv", path=_TOOLS)
    return LocalUsers(allowed, of_accounts, is_privileged=can_become_others(), setpriv=setpriv)


def can_become_others(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process is root, and holds the rights of root that it takes.

    A unit may run as root and hold none. Source: proc(5), CapEff; capabilities(7).
    """
    if os.geteuid() != 0:
        return False
    lines = status.read_text("utf-8", "replace").splitlines()
    held = next((int(line[7:], 16) for line in lines if line.startswith("CapEff:")), 0)
    return all(held >> number & 1 for number in _NEEDED)


def _check_reach(identity: Identity, state: Path) -> None:
    """Refuses where a folder above the state directory keeps the user out: those we leave alone."""
    for folder in state.parents:
        facts = folder.stat()
        right = stat.S_IXOTH
        if facts.st_uid == identity.uid:
            right = stat.S_IXUSR
        elif facts.st_gid in identity.groups:
            right = stat.S_IXGRP
        if not facts.st_mode & right:
            text = f"{identity.name} may not pass {folder}, in which the state directory lies"
            raise ExecutionError(text, code="user_not_permitted", final=True)


def _check_others(state: Path, way: str) -> None:
    """Refuses to open a state directory in which anything but the way is open to all."""
    with os.scandir(state) as entries:
        for entry in entries:
            mode = entry.stat(follow_symlinks=False).st_mode
            if entry.name != way and not stat.S_ISLNK(mode) and mode & _OTHERS:
                text = f"others may use {entry.path}: chmod o-rwx {entry.path}"
                raise ExecutionError(text, code="unsafe_permissions", final=True)
