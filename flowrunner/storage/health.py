"""Whether the store takes what is written: `healthy`, or `degraded` with a reason.

Told by whoever writes, so that it costs nothing and is never older than the last write. What
follows from it (refusing, probing, showing) is left to others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What the last write said.

    Attributes:
        code: Code of the `StorageError` that it failed with; empty while healthy.
        message: Its sentence.
    """

    code: str = ""
    message: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether the last write was kept."""
        return not self.code

    def __str__(self) -> str:
        return f"degraded ({self.code})" if self.code else "healthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """That a state took the place of a lost one.

    Attributes:
        origin: The backup it was made of; empty when it began empty.
        quarantined: Where the lost one was set aside; empty if there was none.
    """

    at: datetime
    origin: str
    quarantined: str


class StoreHealth:
    """The state of one store; each change is one line of the log. Used from the loop alone.

    Attributes:
        on_healed: Called when a write is kept after some were not.
    """

    def __init__(self) -> None:
        self._state = StoreState()
        self.on_healed: Callable[[], None] = lambda: None

    @property
    def state(self) -> StoreState:
        """The state now."""
        return self._state

    def worked(self) -> None:
        """Learns that something was written and kept."""
        if self._state.is_healthy:
            return
        before, self._state = self._state, StoreState()
        _log.info("store.healthy after=%s", before.code)
        self.on_healed()

    def failed(self, error: StorageError) -> None:
        """Learns that the store, not one operation, has failed."""
        is_news = error.code != self._state.code
        self._state = StoreState(code=error.code, message=error.message)
        if is_news:
            _log.error("store.degraded code=%s: %s", error.code, error.message)
