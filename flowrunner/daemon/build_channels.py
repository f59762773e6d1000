"""The constructor calls of channels: each type out of its settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Any, NamedTuple

from flowrunner.config.channel_kinds import ChannelSettings
from flowrunner.daemon.build_ground import Ground
from flowrunner.dataclass import dataclass
from flowrunner.notify.channel import Channel, Secret
from flowrunner.notify.command import CommandChannel
from flowrunner.notify.http_channels import (
    AlertmanagerChannel,
    PingChannel,
    SlackChannel,
    WebhookChannel,
)
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.post import Poster
from flowrunner.notify.sending import Outlet
from flowrunner.secrets.lookup import Secrets
from flowrunner.system.threads import Threads

_MAILS_AT_ONCE = 60
"""Conversations with mail servers; a channel has three at most, so that those that hang leave room
for others."""

_LOOKUPS_AT_ONCE = 60
"""Names that are looked up; where a resolver hangs, each channel that fails may hold some."""

_FOR_MACHINES = frozenset({"ping", "alertmanager"})


class OwnedChannel(NamedTuple):
    """A channel of the settings.

    Attributes:
        account: Whose secrets it uses.
    """

    account: str
    settings: ChannelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelThreads:
    """The threads of all channels, apart from those that others wait for."""

    mails: Threads = field(default_factory=lambda: Threads(_MAILS_AT_ONCE, "mail"))
    lookups: Threads = field(default_factory=lambda: Threads(_LOOKUPS_AT_ONCE, "lookup"))

    def close(self) -> None:
        """Waits for mails under way, and ends the threads; blocks.

        Not for names: a resolver that hangs would hold up the stop, and nobody waits for one.
        """
        self.lookups.dismiss()
        self.mails.close()


def make_outlet(owned: OwnedChannel, ground: Ground, threads: ChannelThreads) -> Outlet:
    """Returns a channel with an empty line before it; reads nothing and connects to nothing."""
    settings = owned.settings
    rate = settings.values.get("rate")
    bucket = Bucket(None) if rate is None else Bucket(rate.most, rate.period_s)
    line = Line(
        bucket,
        is_for_people=settings.type not in _FOR_MACHINES,
        takes_many=settings.type == "alertmanager",
    )
    return Outlet(channel=_made(owned.account, settings, ground, threads), line=line)


def _made(
    account: str, settings: ChannelSettings, ground: Ground, threads: ChannelThreads
) -> Channel:
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
    threads: ChannelThreads


_Values = Mapping[str, Any]


def _url(values: _Values, around: _Around) -> Secret:
    written = values.get("url")
    return around.secret(values["url_secret"]) if written is None else lambda: str(written)


def _poster(values: _Values, around: _Around) -> Poster:
    return Poster(
        timeout_s=values["timeout"],
        ca_file=values["ca_file"],
        in_thread=around.threads.lookups.run,
    )


def _slack(values: _Values, around: _Around) -> Channel:
    return SlackChannel(url=_url(values, around), poster=_poster(values, around))


def _webhook(values: _Values, around: _Around) -> Channel:
    return WebhookChannel(
        url=_url(values, around),
        secret=around.secret(values["secret"]),
        poster=_poster(values, around),
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
        in_thread=around.threads.mails.run,
        looking_up=around.threads.lookups.run,
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
    return PingChannel(url=_url(values, around), poster=_poster(values, around))


def _alertmanager(values: _Values, around: _Around) -> Channel:
    bearer = values["bearer_secret"]
    return AlertmanagerChannel(
        url=_url(values, around),
        bearer=None if bearer is None else around.secret(bearer),
        expires_s=values["expires"],
        poster=_poster(values, around),
    )


_MAKERS: Mapping[str, Callable[[_Values, _Around], Channel]] = {
    "slack": _slack,
    "webhook": _webhook,
    "email": _email,
    "exec": _exec,
    "ping": _ping,
    "alertmanager": _alertmanager,
}
