"""How a process is started: keys of nodes, some also of `defaults`, as parts of the schema."""

from __future__ import annotations

from typing import Any

from flowrunner.definitions.schema_parts import UMASK, described, duration
from flowrunner.model.process import USER_NAME
from flowrunner.model.quantities import SIZE_PATTERN

_LEAST_FILES, _MOST_FILES = 16, 1_048_576
_MOST_PROCESSES = 4_194_304
"""Source: proc(5), the most that `pid_max` can be."""


def default_process_keys() -> dict[str, Any]:
    """Returns the keys that `defaults` may have too."""
    return {
        "working_dir": described(
            "Current directory of a process; relative to $WORK_DIR.",
            "/srv/app",
            type="string",
            minLength=1,
            maxLength=4096,
        ),
        "shell": described(
            'What runs a script: sh, bash, or a list with "{0}" for its path.',
            "bash",
            type=["string", "array"],
            minItems=1,
            items={"type": "string"},
        ),
        "user": described(
            "Whose rights a process has; other users than the daemon's take a privileged daemon "
            "that lists them.",
            "deploy",
            type="string",
            pattern=USER_NAME,
        ),
    }


def process_keys() -> dict[str, Any]:
    """Returns the keys of a node."""
    return {
        **default_process_keys(),
        "umask": described("File mode mask, octal digits.", "027", type="string", pattern=UMASK),
        "nice": described("Priority, lower for larger.", 10, type="integer", minimum=0, maximum=19),
        "stdin": described(
            "What the process reads on its standard input; may hold secrets.",
            "${{ secrets.PASSPHRASE }}",
            **{"type": "string", "x-expression": True},
        ),
        "limits": {
            **described("What each process may use at most.", {"memory": "1GiB"}),
            "x-kind": "limits",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                "memory": described("Address space.", "1GiB", type="string", pattern=SIZE_PATTERN),
                "cpu_time": duration("Processor time; rounded up to whole seconds.", "10m"),
                "files": described(
                    "Open files.", 256, type="integer", minimum=_LEAST_FILES, maximum=_MOST_FILES
                ),
                "processes": described(
                    "Processes and threads of the user, all of them counted.",
                    500,
                    type="integer",
                    minimum=1,
                    maximum=_MOST_PROCESSES,
                ),
            },
        },
    }
