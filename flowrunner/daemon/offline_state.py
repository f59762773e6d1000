"""What works on a state without its daemon, for the command line: back up, restore, check.

A module of its own, because `validate` shall not load a database.
"""

from __future__ import annotations

from flowrunner.storage.factory import backup_offline, check_state, restore_offline

__all__ = ["backup_offline", "check_state", "restore_offline"]
