"""The words before a command that give its process a mask, a priority and limits.

`preexec_fn` of Python's `subprocess` would do it too, and turn each spawn into a fork of the whole
daemon. A shell that becomes the program costs a millisecond, and only where it is asked for.

Sources: POSIX `umask`, `renice` and `command -p`; `ulimit` of dash(1) and bash(1), which agree but
for the letter of the limit of processes.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.model.process import ProcessSpec

_GRACE_S = 5
"""Seconds of processor time between SIGXCPU, which tells why, and SIGKILL."""


def prologue(spec: ProcessSpec) -> tuple[str, ...]:
    """Returns the words before a command; none where nothing is asked for.

    The shell leaves with its message in the log if the system refuses one of them.
    """
    lines = [*_lines(spec)]
    if not lines:
        return ()
    return ("/bin/sh", "-ec", "\n".join((*lines, 'exec "$@"')), "sh")


def _lines(spec: ProcessSpec) -> Iterator[str]:
    """Yields commands of a shell, which hold numbers alone; the one that forks comes first."""
    limits = spec.limits
    if spec.nice:
        # POSIX adds what `-n` says; util-linux sets it. So the sum is what is set.
        yield f"command -p renice -n $(($(command -p nice) + {spec.nice})) -p $$ >/dev/null"
    if spec.umask is not None:
        yield f"umask {spec.umask}"
    if limits.files is not None:
        yield f"ulimit -n {limits.files}"
    if limits.processes is not None:
        yield f"ulimit -u {limits.processes} 2>/dev/null || ulimit -p {limits.processes}"
    if limits.cpu_time_s is not None:
        yield f"ulimit -S -t {limits.cpu_time_s}"
        yield f"ulimit -H -t {limits.cpu_time_s + _GRACE_S}"
    if limits.memory is not None:
        yield f"ulimit -v {-(-limits.memory // 1024)}"
