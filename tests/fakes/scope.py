"""A scope of expressions over a plain dict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from flowrunner.model.ids import Json

MOMENT = datetime(2026, 3, 30, 2, 30, tzinfo=UTC)


class DictScope:
    """Contexts from a dict; the status functions named in `true_status` are true.

    `now()` is half past two on a spring night, in UTC.
    """

    def __init__(
        self, contexts: Mapping[str, Json] | None = None, true_status: frozenset[str] = frozenset()
    ) -> None:
        self.contexts = dict(contexts or {})
        self.true_status = true_status
        self.looked_up: list[str] = []

    def lookup(self, name: str) -> Json:
        self.looked_up.append(name)
        return self.contexts.get(name)

    def status(self, name: str) -> bool:
        return name in self.true_status

    def now(self) -> datetime:
        return MOMENT
