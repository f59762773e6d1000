"""Becoming another user on the way to a program: who that is, and the words before the command.

`subprocess` could do it too (`user=`), at the price of forking the whole daemon for each spawn. So
setpriv of util-linux does it, and the program follows by exec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowrunner.dataclass import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user as whom a program runs that is not the daemon's.

    Attributes:
        groups: Every group of it, `gid` included.
        setpriv: The path of the program that changes the user.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    setpriv: str


def as_user(
    identity: Identity, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the words before a command, and the environment in which to start them.

    What a flow says about the environment is meant for its program, as the user. Up to there root
    is at work, whose loader and shells must not see a `LD_PRELOAD` or `IFS` of it. So every
    variable travels under a number, and a shell that is the user already gives it its name back.
    Values stand in the environment alone: everybody may read arguments.

    Raises:
        ValueError: A name is none that a shell can give.
    """
    for name in environment:
        if not _NAME.fullmatch(name):
            raise ValueError(f"no name of a variable: {name[:60]!r}")
    prefix = "_"
    while any(name.startswith(prefix) for name in environment):
        prefix += "_"
    numbered = {f"{prefix}{number}": name for number, name in enumerate(environment)}
    script = "\n".join(
        (
            "unset PATH",
            # One command: all values are read before the first name is given.
            "export " + " ".join(f'{name}="${key}"' for key, name in numbered.items()),
            "unset " + " ".join(numbered),
            'exec "$@"',
        )
    )
    words = (
        identity.setpriv,
        f"--reuid={identity.uid}",
        f"--regid={identity.gid}",
        "--groups=" + ",".join(map(str, identity.groups)),
        "--inh-caps=-all",
        "--",
        *("/bin/sh", "-c", script, "sh"),
    )
    values = {key: environment[name] for key, name in numbered.items()}
    return words, {"PATH": _SAFE_PATH, **values}
