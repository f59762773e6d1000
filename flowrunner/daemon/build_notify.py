"""The constructor calls of what tells people: decisions, the outbox, the desk of nodes.

A reload exchanges the channels beneath them; how one is made: `flowrunner.daemon.build_channels`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from flowrunner.config.settings import Settings
from flowrunner.daemon.accounts import channel_map
from flowrunner.daemon.build_channels import ChannelThreads, OwnedChannel, make_outlet
from flowrunner.daemon.build_ground import Ground
from flowrunner.daemon.untold import Untold
from flowrunner.dataclass import dataclass
from flowrunner.model.channels import ANY_CHANNELS
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.nodes.telling import TellsPeople
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.channel_secrets import ChannelSecrets, Wanted
from flowrunner.notify.decisions import Decisions
from flowrunner.notify.desk import NodeDesk
from flowrunner.notify.message import Sender
from flowrunner.notify.outbox import Outbox
from flowrunner.registry.channels import ChannelDirectory, ChannelRules
from flowrunner.telemetry.metrics_notify import NotifyMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Who decides, and what sends.

    Attributes:
        directory: The channels that flows may name; a daemon that only observes knows them, too.
        secrets: Tells of channels that lack one.
        desk: Serves nodes.
    """

    decisions: Decisions
    outbox: Outbox
    desk: TellsPeople
    directory: ChannelDirectory
    health: ChannelHealth
    counts: NotifyMetrics
    secrets: ChannelSecrets
    threads: ChannelThreads

    async def load(self) -> None:
        """Learns what an earlier life has left.

        Raises:
            StorageError: It cannot be read.
        """
        await self.outbox.load()
        await self.decisions.load()

    async def close(self) -> None:
        """Waits for what is being written, and ends the threads."""
        await self.outbox.settle()
        await asyncio.to_thread(self.threads.close)


def make_notices(ground: Ground) -> Notices:
    """Wires them; who only observes, or tries a file out, tells nobody anything."""
    is_silent = ground.choices.observe or ground.choices.is_trial
    found = {} if is_silent else dict(_channels(ground.settings))
    counts, threads = NotifyMetrics(found), ChannelThreads()
    health = ChannelHealth(found, ground.clock)
    ground.metrics.show_more(counts.families)
    outbox = Outbox(
        outlets={label: make_outlet(owned, ground, threads) for label, owned in found.items()},
        marks=ground.storage.marks,
        clock=ground.clock,
        sender=Sender(host=ground.host.name, public_url=ground.settings.server.public_url),
        counts=counts,
        health=health,
    )
    directory = ChannelDirectory(_rules(ground.settings))
    if ground.choices.is_trial:
        directory.now = ChannelRules(channels=ANY_CHANNELS)
    decisions = Decisions(
        registry=ground.registry,
        directory=ChannelDirectory() if is_silent else directory,
        outbox=outbox,
        marks=ground.storage.marks,
        clock=ground.clock,
    )
    return Notices(
        decisions=decisions,
        outbox=outbox,
        desk=Untold() if is_silent else NodeDesk(directory, outbox, ground.clock),
        directory=directory,
        health=health,
        counts=counts,
        secrets=ChannelSecrets(ground.secrets, health, threads.lookups.run, _wanted(found)),
        threads=threads,
    )


def follow_settings(notices: Notices, ground: Ground, old: Settings, new: Settings) -> None:
    """Puts the channels and rules of other settings in force, in one turn of the loop.

    A channel whose settings are as before is not touched.
    """
    notices.directory.now = _rules(new)
    if ground.choices.observe:
        return
    before, now = dict(_channels(old)), dict(_channels(new))
    changed = {label: owned for label, owned in now.items() if before.get(label) != owned}
    notices.counts.begin(changed)
    notices.outbox.replace(
        {label: make_outlet(it, ground, notices.threads) for label, it in changed.items()},
        before.keys() - now.keys(),
    )
    notices.secrets.follow(_wanted(now))


def _wanted(channels: Mapping[str, OwnedChannel]) -> Mapping[str, Wanted]:
    """Returns which secrets channels need."""
    return {label: Wanted(it.account, it.settings.secret_names) for label, it in channels.items()}


def _channels(settings: Settings) -> Iterator[tuple[str, OwnedChannel]]:
    """Yields each channel by its label."""
    for channel in settings.notify.channels:
        yield channel.name, OwnedChannel(DEFAULT_ACCOUNT, channel)
    for name, account in settings.accounts.items():
        for channel in account.channels:
            yield f"{name}/{channel.name}", OwnedChannel(name, channel)


def _rules(settings: Settings) -> ChannelRules:
    return ChannelRules(
        channels=channel_map(settings.accounts, settings.notify.channels),
        default=settings.notify.default,
        defaults={
            name: it.notify for name, it in settings.accounts.items() if it.notify is not None
        },
        pings=frozenset(
            label for label, owned in _channels(settings) if owned.settings.type == "ping"
        ),
    )
