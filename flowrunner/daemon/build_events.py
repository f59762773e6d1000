"""The constructor calls of triggers that wait for something else than a time or a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from flowrunner.daemon.build_ground import Ground
from flowrunner.daemon.build_notify import Notices, make_notices
from flowrunner.dataclass import dataclass
from flowrunner.model.execution import Execution
from flowrunner.model.mark import MarkKey
from flowrunner.reconcile.apply import FlowsSubscriber
from flowrunner.system.boot import boot_id
from flowrunner.system.folder_watch import InotifyFolders
from flowrunner.system.ids import IdSource
from flowrunner.telemetry.metrics_samples import unheard_family
from flowrunner.triggers.backfills import Backfills
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.followers import Followers
from flowrunner.triggers.inbox_look import InboxLooks, Sought
from flowrunner.triggers.inboxes import Inboxes
from flowrunner.triggers.occasions import Occasions
from flowrunner.triggers.sla import SlaWatch
from flowrunner.triggers.starts import Starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What waits for a start of the daemon, the end of a flow, a file, or a promise to run out."""

    starts: Starts
    followers: Followers
    inboxes: Inboxes
    sla: SlaWatch
    backfills: Backfills
    notices: Notices

    @property
    def subscribers(self) -> tuple[FlowsSubscriber, ...]:
        """Who learns what a new set of flows says."""
        return (self.followers, self.inboxes, self.sla, self.notices.decisions)

    def left_by(self, execution: Execution) -> Mapping[MarkKey, str]:
        """Returns what an end leaves to do: to start followers, and to tell people."""
        left, told = self.followers.left_by(execution), self.notices.decisions.left_by(execution)
        return {**left, **told} if left and told else left or told


def make_events(ground: Ground, dispatcher: Dispatcher, ids: IdSource) -> Events:
    """Wires them."""
    occasions = Occasions(
        ground.registry, dispatcher, ground.storage.marks, ground.clock, ground.observer
    )
    sla = ground.observer.sla = SlaWatch(
        registry=ground.registry,
        executions=ground.storage.executions,
        marks=ground.storage.marks,
        clock=ground.clock,
        host=ground.host.name,
        told=ground.observer,
    )
    watch: InotifyFolders[Sought] = InotifyFolders(asyncio.get_running_loop())
    inboxes = Inboxes(
        registry=ground.registry,
        occasions=occasions,
        marks=ground.storage.marks,
        looks=InboxLooks(ground.files, ground.accounts.roots, watch),
        clock=ground.clock,
    )
    ground.metrics.show_more(lambda: [unheard_family(inboxes.unheard())])
    notices = make_notices(ground)
    ground.observer.notices = notices.decisions
    return Events(
        sla=sla,
        notices=notices,
        starts=Starts(
            registry=ground.registry,
            occasions=occasions,
            marks=ground.storage.marks,
            boot=partial(boot_id, ground.files),
            life=str(ids.execution_id()),
        ),
        followers=Followers(
            registry=ground.registry, occasions=occasions, marks=ground.storage.marks
        ),
        inboxes=inboxes,
        backfills=Backfills(
            registry=ground.registry,
            dispatcher=dispatcher,
            executions=ground.storage.executions,
            marks=ground.storage.marks,
            ids=ids,
            clock=ground.clock,
        ),
    )
