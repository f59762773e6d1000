"""Settings that are read again: what came of it, for whoever asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flowrunner.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsView:
    """How a reading of the settings ended.

    Attributes:
        result: `applied` (something has a new value), `unchanged` or `refused` (the old ones stay).
        applied: Names of settings with a new value in force.
        waiting: Names of settings that were changed and need a restart.
        findings: What is wrong; only where it is refused.
    """

    result: Literal["applied", "unchanged", "refused"]
    applied: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()


class SettingsDesk:
    """What knows nothing of a settings file; the daemon puts another one in its place."""

    async def reload(self) -> SettingsView:
        """Reads the settings again; never raises for anything that stands in them."""
        return SettingsView(result="unchanged")
