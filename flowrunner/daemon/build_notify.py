"""The constructor calls of what tells people: channels out of the settings, decisions, outbox."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from flowrunner.config.channel_kinds import ChannelSettings
from flowrunner.config.settings import Settings
from flowrunner.daemon.accounts import names_of
from flowrunner.daemon.build_ground import Ground
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.notify.channel import Channel, Secret
from flowrunner.notify.command import CommandChannel
from flowrunner.notify.decisions import Decisions
from flowrunner.notify.directory import ChannelNames
from flowrunner.notify.http_channels import (
    AlertmanagerChannel,
    PingChannel,
    SlackChannel,
    WebhookChannel,
)
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.message import Sender
from flowrunner.notify.outbox import Outbox, Outlet
from flowrunner.notify.post import Poster
from flowrunner.secrets.lookup import Secrets
from flowrunner.system.threads import Threads
from flowrunner.telemetry.metrics_notify import NotifyMetrics

_FOR_MACHINES = frozenset({"ping", "alertmanager"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Who decides, and what sends."""

    decisions: Decisions
    outbox: Outbox
    threads: Threads

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
    """Wires them; a daemon that only observes tells nobody anything."""
    found = {} if ground.choices.observe else dict(_channels(ground.settings))
    counts, threads = NotifyMetrics(found), Threads(2, "mail")
    ground.metrics.show_more(counts.families)
    outbox = Outbox(
        outlets={
            label: _outlet(channel, _made(account, channel, ground, threads))
            for label, (account, channel) in found.items()
        },
        marks=ground.storage.marks,
        clock=ground.clock,
        sender=Sender(host=ground.host.name, public_url=ground.settings.server.public_url),
        counts=counts,
    )
    pings = frozenset(label for label, (_, channel) in found.items() if channel.type == "ping")
    names = ChannelNames() if ground.choices.observe else _names(ground.settings, pings)
    decisions = Decisions(
        registry=ground.registry,
        names=names,
        outbox=outbox,
        marks=ground.storage.marks,
        clock=ground.clock,
    )
    return Notices(decisions=decisions, outbox=outbox, threads=threads)


def _channels(settings: Settings) -> Iterator[tuple[str, tuple[str, ChannelSettings]]]:
    """Yields the label of each channel, and whose secrets it uses."""
    for channel in settings.notify.channels:
        yield channel.name, (DEFAULT_ACCOUNT, channel)
    for name, account in settings.accounts.items():
        for channel in account.channels:
            yield f"{name}/{channel.name}", (name, channel)


def _names(settings: Settings, pings: frozenset[str]) -> ChannelNames:
    return ChannelNames(
        host=names_of(settings.notify.channels),
        of_accounts={name: names_of(it.channels) for name, it in settings.accounts.items()},
        default=settings.notify.default,
        defaults={
            name: it.notify for name, it in settings.accounts.items() if it.notify is not None
        },
        pings=pings,
    )


def _outlet(settings: ChannelSettings, channel: Channel) -> Outlet:
    rate = settings.values.get("rate")
    bucket = Bucket(None) if rate is None else Bucket(rate.most, rate.period_s)
    line = Line(
        bucket,
        is_for_people=settings.type not in _FOR_MACHINES,
        takes_many=settings.type == "alertmanager",
    )
    return Outlet(channel=channel, line=line, news=asyncio.Event())


def _made(account: str, settings: ChannelSettings, ground: Ground, threads: Threads) -> Channel:
    """Returns a channel; its secrets are those of an account, as they are when it sends."""
    around = _Around(ground, partial(_secret, ground.secrets, account), threads)
    return _MAKERS[settings.type](settings.values, around)


def _secret(secrets: Secrets, account: str, name: str | None) -> Secret:
    def lookup() -> str | None:
        found = None if name is None else secrets.lookup(account, name)
        return None if found is None else str(found.reveal())

    return lookup


class _Around(NamedTuple):
    """What channels are made with besides their own values."""

    ground: Ground
    secret: Callable[[str | None], Secret]
    threads: Threads


_Values = Mapping[str, Any]


def _url(values: _Values, around: _Around) -> Secret:
    written = values.get("url")
    return around.secret(values["url_secret"]) if written is None else lambda: str(written)


def _poster(values: _Values) -> Poster:
    return Poster(timeout_s=values["timeout"], ca_file=values["ca_file"])


def _slack(values: _Values, around: _Around) -> Channel:
    return SlackChannel(url=_url(values, around), poster=_poster(values))


def _webhook(values: _Values, around: _Around) -> Channel:
    return WebhookChannel(
        url=_url(values, around),
        secret=around.secret(values["secret"]),
        poster=_poster(values),
        clock=around.ground.clock,
    )


def _email(values: _Values, around: _Around) -> Channel:
    # Late: the modules for mail are a megabyte that most daemons never need.
    from flowrunner.notify.mail import MailChannel, MailServer

    server = MailServer(
        host=values["host"],
        port=values["port"],
        security=values["security"],
        user=values["user"],
        password=around.secret(values["password_secret"]),
        timeout_s=values["timeout"],
        ca_file=values["ca_file"],
        own_name=around.ground.host.name,
    )
    return MailChannel(
        server=server,
        sender=values["from"],
        receivers=values["to"],
        in_thread=around.threads.run,
        clock=around.ground.clock,
    )


def _exec(values: _Values, around: _Around) -> Channel:
    path = os.environ.get("PATH", os.defpath)
    return CommandChannel(
        argv=values["argv"],
        environment={"PATH": path, "HOME": around.ground.host.home},
        timeout_s=values["timeout"],
        spawner=around.ground.spawner,
    )


def _ping(values: _Values, around: _Around) -> Channel:
    return PingChannel(url=_url(values, around), poster=_poster(values))


def _alertmanager(values: _Values, around: _Around) -> Channel:
    bearer = values["bearer_secret"]
    return AlertmanagerChannel(
        url=_url(values, around),
        bearer=None if bearer is None else around.secret(bearer),
        expires_s=values["expires"],
        poster=_poster(values),
    )


_MAKERS: Mapping[str, Callable[[_Values, _Around], Channel]] = {
    "slack": _slack,
    "webhook": _webhook,
    "email": _email,
    "exec": _exec,
    "ping": _ping,
    "alertmanager": _alertmanager,
}
