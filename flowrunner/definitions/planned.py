"""Keys of the flow format that are not built yet: refused like any unknown key, with a hint.

A list of words, so that a flow written from the documentation gets "planned" instead of a
guess. An entry leaves this page in the change that makes its field work.
"""

from __future__ import annotations

PLANNED: dict[str, frozenset[str]] = {
    "webhook": frozenset({"respond", "schema", "wait_timeout"}),
}
"""Kind of mapping (`x-kind` in the schema) → planned keys."""

PLANNED_NODE_TYPES = frozenset({"email", "file", "http", "notify", "python", "store"})
PLANNED_TRIGGER_TYPES: frozenset[str] = frozenset()
PLANNED_WORDS: dict[str, frozenset[str]] = {
    "node-type": PLANNED_NODE_TYPES,
    "trigger-type": PLANNED_TRIGGER_TYPES,
}
"""Kind of word that a value may be → planned words."""
