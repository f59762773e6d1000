"""One type per kind of identifier, so that one string cannot stand for another."""

from __future__ import annotations

from typing import Any, NamedTuple, NewType, TypeAlias

ExecutionId = NewType("ExecutionId", str)
"""A UUIDv7 in its canonical text form: sorts by creation."""

Digest = NewType("Digest", str)
"""``sha256:`` and 64 hex digits of a normalised effective definition."""

Revision = NewType("Revision", str)
"""A git commit, with ``-dirty`` when the worktree differs; else ``sha256:`` of the folder."""

DEFAULT_ACCOUNT = "default"
"""The account of every flow when the settings map none."""

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, or lists and string-keyed dicts of them."""


class FlowKey(NamedTuple):
    """The identity of a flow: its name within its account."""

    account: str
    name: str

    def __str__(self) -> str:
        return f"{self.account}/{self.name}"


class AttemptKey(NamedTuple):
    """The journal's key: one try of one node, of one item in a `foreach`.

    `item_index` is 0 for a node without `foreach`; `number` counts from 1.
    """

    execution: ExecutionId
    node: str
    item_index: int
    number: int


def attempt_name(key: AttemptKey, *, is_item: bool) -> str:
    """Returns the name of what is kept of one attempt: `<node>[.<item index>].<number>`."""
    item = f".{key.item_index}" if is_item else ""
    return f"{key.node}{item}.{key.number}"
