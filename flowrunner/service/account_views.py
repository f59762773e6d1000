"""What the daemon says at a glance about each account: its flows, and what runs for it."""

from __future__ import annotations

from flowrunner.engine.engine import Engine
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.views import AccountView


def account_views(registry: FlowRegistry, engine: Engine) -> tuple[AccountView, ...]:
    """Returns the accounts that have flows, in the order of the registry."""
    found = []
    for name, entries in registry.by_account().items():
        running, queued = engine.counts(name)
        found.append(
            AccountView(
                name=name,
                flows=len(entries),
                flows_ready=sum(1 for entry in entries if entry.is_ready),
                executions_running=running,
                executions_queued=queued,
            )
        )
    return tuple(found)
