"""The constructor calls of triggers that wait for something else than a time or a request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from flowrunner.daemon.build_ground import Ground
from flowrunner.system.boot import boot_id
from flowrunner.system.ids import IdSource
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.followers import Followers
from flowrunner.triggers.inbox_look import InboxLooks
from flowrunner.triggers.inboxes import Inboxes
from flowrunner.triggers.occasions import Occasions
from flowrunner.triggers.starts import Starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What waits for a start of the daemon, for the end of a flow, or for a file."""

    starts: Starts
    followers: Followers
    inboxes: Inboxes


def make_events(ground: Ground, dispatcher: Dispatcher, ids: IdSource) -> Events:
    """Wires them."""
    occasions = Occasions(
        ground.registry, dispatcher, ground.storage.marks, ground.clock, ground.observer
    )
    return Events(
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
        inboxes=Inboxes(
            registry=ground.registry,
            occasions=occasions,
            marks=ground.storage.marks,
            looks=InboxLooks(ground.files, ground.accounts.roots),
            clock=ground.clock,
        ),
    )
