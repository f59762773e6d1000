"""What is remembered of a pulled repository: what was put in place, and what is pinned.

Small, written whole, and durable before what it says is done. A file that cannot be read is taken
for none: the repository and the checkouts say the rest. A pin would be lost with it, so that is
said loudly.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json, Revision
from flowrunner.reconcile.upstream.repository import is_commit
from flowrunner.reconcile.upstream.values import Commit, Pin, Published
from flowrunner.system.files import Files

MOST_REMEMBERED = 50
_LIMIT = 4 * 1024**2
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything that is remembered.

    Attributes:
        history: What was put in place, the newest first.
        fetched_at: When the repository was last reached and nothing was wrong with it.
        url: What the memory is about; another address begins a new one.
    """

    url: str
    history: tuple[Published, ...] = ()
    pin: Pin | None = None
    fetched_at: datetime | None = None

    def with_published(self, published: Published) -> Memory:
        """Returns it with one more at the head of the history."""
        return replace(self, history=(published, *self.history)[:MOST_REMEMBERED])

    def known(self, revision: Revision) -> Commit | None:
        """Returns what is remembered of a commit."""
        found = (each.commit for each in self.history if each.commit.revision == revision)
        return next(found, None)


class Ledger:
    """Keeps a `Memory` in one file. Its methods block."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._path = path

    def read(self, url: str) -> Memory:
        """Returns what is remembered of an address."""
        try:
            found = _memory(json.loads(self._files.read(self._path, limit=_LIMIT)))
        except FileNotFoundError:
            return Memory(url=url)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOG.error("source.memory_lost: %s: %r; a pin is gone", self._path, error)
            return Memory(url=url)
        return found if found.url == url else Memory(url=url)

    def write(self, memory: Memory) -> None:
        """Remembers; raises `OSError` when it cannot be kept."""
        data = json.dumps(_json(memory), indent=1).encode()
        self._files.replace_durably(self._path, data)


def _json(memory: Memory) -> Json:
    pin, fetched_at = memory.pin, memory.fetched_at
    return {
        "url": memory.url,
        "fetched_at": fetched_at and fetched_at.isoformat(),
        "pin": None if pin is None else {**asdict(pin), "at": pin.at.isoformat()},
        "history": [{"at": each.at.isoformat(), **asdict(each.commit)} for each in memory.history],
    }


def _memory(data: Mapping[str, Json]) -> Memory:
    pin, fetched_at = data["pin"], data["fetched_at"]
    return Memory(
        url=str(data["url"]),
        fetched_at=None if fetched_at is None else _moment(fetched_at),
        pin=None
        if pin is None
        else Pin(
            revision=_revision(pin["revision"]),
            at=_moment(pin["at"]),
            uid=pin["uid"],
            reason=str(pin["reason"]),
        ),
        history=tuple(_published(each) for each in data["history"][:MOST_REMEMBERED]),
    )


def _published(data: Mapping[str, Json]) -> Published:
    commit = Commit(
        revision=_revision(data["revision"]),
        author=str(data["author"]),
        subject=str(data["subject"]),
        committed_at=str(data["committed_at"]),
        is_verified=bool(data["is_verified"]),
    )
    return Published(commit=commit, at=_moment(data["at"]))


def _moment(text: Json) -> datetime:
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


def _revision(text: Json) -> Revision:
    if not isinstance(text, str) or not is_commit(text):
        raise ValueError("no commit")
    return Revision(text)
