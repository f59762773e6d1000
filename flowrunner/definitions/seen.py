"""What is known of a file by its facts alone: a restart reads no file that did not change.

The same trust that a pass has in the pass before it, over the end of a daemon.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.system.files import FileStat


class Seen(NamedTuple):
    """A file that was read, when its time stamps could no longer hide another write.

    Attributes:
        content: Hash of its bytes and of the defaults above it.
    """

    stat: FileStat
    content: str
    candidate: Candidate


class Recalls(Protocol):
    """Knows files from an earlier life of the daemon."""

    def recall(self, file: str, stat: FileStat, *, account: str, layers: Layers) -> Seen | None:
        """Returns what was seen of a file with the same facts, in the same surroundings."""


class NoRecall:
    """Knows nothing: the first look reads everything."""

    def recall(self, file: str, stat: FileStat, *, account: str, layers: Layers) -> Seen | None:  # noqa: ARG002 - of none
        """Returns None."""
        return None


NO_RECALL: Recalls = NoRecall()


def facts_text(stat: FileStat) -> str:
    """Returns the facts of a file as text, the same in every life."""
    return " ".join(map(str, stat))
