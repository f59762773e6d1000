"""What to do until a planned word works: the hint of its finding.

A list of words like `flowrunner.definitions.planned`, whose entries it may only name. Where there
is no way that does the same in earnest, there is no entry.
"""

from __future__ import annotations

from collections.abc import Mapping

PLANNED_HINT = "planned: in the flow format, but not in this version of FlowRunner"

WAYS_ROUND: Mapping[str, Mapping[str, str]] = {
    "node-type": {
        "file": "call cp, mv or rm in a script",
        "http": "call curl --fail in a script",
        "python": "write type: exec with argv: [python3, FILE]",
        "store": "keep it in a file outside of $WORK_DIR",
    },
}
"""Kind of word that a value may be → planned word → what to do."""


def planned_hint(kind: str, word: str) -> str:
    """Returns the hint for a planned word, with the way round where there is one."""
    way = WAYS_ROUND.get(kind, {}).get(word, "")
    return f"{PLANNED_HINT}; until then {way}" if way else PLANNED_HINT
