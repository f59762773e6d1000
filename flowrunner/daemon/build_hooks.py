"""The constructor calls of what answers deliveries, and keeps what became of them."""

from __future__ import annotations

from flowrunner.daemon.build_ground import Ground
from flowrunner.daemon.build_source import Origin, credential
from flowrunner.dataclass import dataclass
from flowrunner.service.delivery_desk import DeliveryDesk
from flowrunner.service.ports import TakesDeliveries
from flowrunner.system.ids import IdSource
from flowrunner.triggers.dedupe import Duplicates
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.source_hook import SourceHook
from flowrunner.triggers.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The hooks of flows, the log of all deliveries, and who reads it."""

    webhooks: Webhooks
    log: DeliveryLog
    desk: DeliveryDesk


def make_hooks(ground: Ground, dispatcher: Dispatcher, ids: IdSource) -> Hooks:
    """Wires them."""
    log = DeliveryLog(ground.storage.deliveries, ground.observer.triggers, ids)
    webhooks = Webhooks(
        dispatcher,
        Duplicates(ground.storage.executions, ground.clock),
        ground.secrets,
        ground.clock,
        log=log,
        takes_unproven=ground.settings.server.unproven_hooks,
        in_thread=ground.spawner.threads.run,
    )
    return Hooks(webhooks=webhooks, log=log, desk=DeliveryDesk(ground.storage.deliveries, log))


def answering(ground: Ground, hooks: Hooks, origin: Origin) -> TakesDeliveries:
    """Returns what answers deliveries: the hooks of flows, and that of the source before them."""
    settings = ground.settings.source.git.webhook
    if origin.source is None or settings.type == "off":
        return hooks.webhooks
    return SourceHook(
        hooks.webhooks,
        settings.type,
        settings.secret or credential("source-webhook"),
        origin.source.hint,
        log=hooks.log,
        clock=ground.clock,
    )
