"""The environment of shell-like nodes: the fixed part, the flow's own, nothing of the daemon's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue, revealed
from flowrunner.nodes.context import ExecutionContext

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST_STRING = 128 * 1024
"""Bytes of `NAME=value` with its closing NUL. Source: execve(2), MAX_ARG_STRLEN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Who and where we are; read once at start by the composition root.

    Attributes:
        labels: As the settings have them, and so the facts.
    """

    name: str
    user: str
    home: str
    labels: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


def build_environment(
    ctx: ExecutionContext, host: HostFacts, extra: Mapping[str, str]
) -> dict[str, str]:
    """Returns the whole environment of a program; here, and only here, secrets become text.

    The flow's own variables may override or remove the fixed part, but not those that say
    which attempt this is.

    Raises:
        ExecutionError: ``environment`` when a variable holds what no program can be handed, or is
            over `LONGEST_STRING`.
    """
    fixed = {
        "PATH": PATH,
        "HOME": host.home,
        "USER": host.user,
        "LOGNAME": host.user,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }
    removed = [name for name, value in ctx.env.items() if value is None]
    own = {name: _text(name, value) for name, value in ctx.env.items() if value is not None}
    kept = {name: value for name, value in fixed.items() if name not in removed}
    return {**kept, **own, **_identity(ctx, host), **extra}


def _identity(ctx: ExecutionContext, host: HostFacts) -> dict[str, str]:
    return {
        "FLOW_NAME": ctx.flow.name,
        "EXECUTION_ID": ctx.key.execution,
        "NODE_ID": ctx.key.node,
        "ATTEMPT": str(ctx.key.number),
        "SLOT_AT": "" if ctx.slot_at is None else ctx.slot_at.isoformat(),
        "HOST_NAME": host.name,
        "WORK_DIR": str(ctx.directories.work),
        "FLOW_DIR": str(ctx.directories.flow),
    }


def _text(name: str, value: str | SecretValue) -> str:
    text = str(revealed(value))
    if "\0" in text:
        raise ExecutionError(f"env {name} holds a NUL", code="environment", final=True)
    try:
        size = len(os.fsencode(f"{name}={text}")) + 1
    except UnicodeEncodeError:  # it would quote the value; JSON may hold such a half
        message = f"env {name} holds half of a surrogate pair, which is no character"
        raise ExecutionError(message, code="environment", final=True) from None
    if size > LONGEST_STRING:
        message = f"env {name} is larger than {LONGEST_STRING // 1024} KiB"
        raise ExecutionError(message, code="environment", final=True)
    return text
