"""Who is at the other end of the control socket: a person's command, or an attempt of a flow.

An attempt is known by its descent from the daemon, or by the marks that the daemon puts into the
environment of everything it starts, which also find those whose parents have ended. One mark is
enough: a script may have unset the others, as it may use `ATTEMPT` for something of its own. So a
person whose shell happens to have such a variable is refused too. That is the safe side to err on:
`env -u NODE_ID flowrunner …` helps the person, and nothing would help against a flow that passes
for one. A process whose parents have ended is a child of the daemon (its subreaper), and where
attempts have cgroups, one is known by its cgroup too, whatever it has shed.

What the service manager starts to control the daemon, as for `ExecReload=`, runs as the daemon's
user and may hide from it: with `PrivateUsers=` it is in a user namespace of its own. Where the
manager has a cgroup for it, it is known by that.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.system.cgroup import PROCS
from flowrunner.system.cgroup_family import cgroup_path
from flowrunner.system.marks import MARKS, PROC

_MARKS = tuple(f"{name}=".encode() for name in MARKS)
"""Their values do not count: a script may change them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """What the kernel shows everybody of a process."""

    parent: int
    uid: int


class ProcPeers:
    """Judges peers by /proc.

    Args:
        own_pid: The daemon's process.
        own_uid: The user that the daemon, and with it every attempt, runs as.
        proc: Where the kernel shows its processes.
        attempt_cgroups: How the paths of attempts' cgroups begin; None where they have none.
        manager_cgroup: The folder of the cgroup in which the service manager starts what controls
            the daemon, whether or not it is there now; None where there is none.
    """

    def __init__(
        self,
        own_pid: int,
        own_uid: int,
        proc: Path = PROC,
        attempt_cgroups: str | None = None,
        manager_cgroup: Path | None = None,
    ) -> None:
        self._own_pid = own_pid
        self._own_uid = own_uid
        self._proc = proc
        self._attempt_cgroups = attempt_cgroups
        self._manager_cgroup = manager_cgroup

    def is_attempt(self, pid: int, uid: int) -> bool:
        """Whether a peer belongs to an attempt; in doubt yes. Reads a few small files.

        Args:
            pid: As the socket tells; 0 for a process outside of this pid namespace, which no
                attempt is.
            uid: As the socket tells.
        """
        if pid <= 0 or self._is_of_manager(pid):
            return False
        process = self._process(pid)
        if process is None:
            # Ours would be seen (ProtectProc= hides those of others): it has ended already.
            return uid == self._own_uid
        return (
            self._is_enclosed(pid) or self._descends(process) or self._is_marked(pid, process.uid)
        )

    def _is_of_manager(self, pid: int) -> bool:
        """Whether the service manager has started it to control the daemon.

        The group must not be ours: one that an attempt has made, in the place of the manager's,
        has our user for its owner. Nobody but root enters one that is root's.
        """
        if self._manager_cgroup is None:
            return False
        try:
            if self._manager_cgroup.stat().st_uid == self._own_uid:
                return False
            members = (self._manager_cgroup / PROCS).read_text(encoding="ascii").split()
        except OSError:  # it is there while it has members
            return False
        return str(pid) in members

    def _is_enclosed(self, pid: int) -> bool:
        """Whether the process is in the cgroup of an attempt."""
        if self._attempt_cgroups is None:
            return False
        path = cgroup_path(self._proc / str(pid))
        return path is not None and path.startswith(self._attempt_cgroups)

    def _descends(self, process: _Process) -> bool:
        """Whether the daemon is among the ancestors."""
        seen: set[int] = set()
        current: _Process | None = process
        while current is not None and current.parent not in seen:
            if current.parent == self._own_pid:
                return True
            seen.add(current.parent)
            current = self._process(current.parent)
        return False

    def _is_marked(self, pid: int, uid: int) -> bool:
        """Whether the process was started with any of the marks."""
        try:
            environment = (self._proc / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            # One of another user cannot be read and is no attempt; one of ours hides, or ended.
            return uid == self._own_uid
        return any(entry.startswith(_MARKS) for entry in environment)

    def _process(self, pid: int) -> _Process | None:
        """Returns what is known of a process; None when it has ended or is hidden."""
        try:
            text = (self._proc / str(pid) / "status").read_text("utf-8", "replace")
        except OSError:
            return None
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return _Process(parent=int(facts["PPid"]), uid=int(facts["Uid"].split()[0]))


def local_peers(
    attempt_cgroups: str | None = None, manager_cgroup: Path | None = None
) -> ProcPeers:
    """Returns the judge for the process that calls; see `ProcPeers`."""
    return ProcPeers(
        os.getpid(),
        os.geteuid(),
        attempt_cgroups=attempt_cgroups,
        manager_cgroup=manager_cgroup,
    )
