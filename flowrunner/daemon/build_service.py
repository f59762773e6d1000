"""The constructor calls of what answers questions: is the daemon well, and what became of slots."""

from __future__ import annotations

from flowrunner.daemon.build_events import Events
from flowrunner.daemon.build_ground import Ground
from flowrunner.engine.runtime import EngineServices
from flowrunner.service.delivery_desk import DeliveryDesk
from flowrunner.service.drain import Drain
from flowrunner.service.health import Health
from flowrunner.service.ledger_desk import LedgerDesk
from flowrunner.service.slot_ledger import SlotReader
from flowrunner.service.why import Why
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.schedules import Schedules


def make_health(ground: Ground, drain: Drain, events: Events) -> Health:
    """Returns the checks behind `/readyz`."""
    health = Health(
        ground.registry,
        ground.storage,
        ground.store_watch,
        drain,
        ground.clock,
        resync_s=ground.settings.source.resync,
        stale_after_s=ground.settings.source.stale_after,
        families=ground.families.kind,
    )
    health.channels = events.notices.health
    return health


def make_ledger(
    ground: Ground,
    services: EngineServices,
    deliveries: DeliveryDesk,
    dispatcher: Dispatcher,
    schedules: Schedules,
) -> LedgerDesk:
    """Returns what tells of slots."""
    reader = SlotReader(ground.registry, ground.storage.slots, services.executions)
    why = Why(ground.registry, reader, deliveries, dispatcher, ground.clock)
    return LedgerDesk(ground.registry, schedules, reader, why)
