"""The listeners of the daemon, bound before anything else is opened."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType

from flowrunner.config.addresses import Address, ListenAddress, SocketAccess, UnixAddress
from flowrunner.config.settings import Settings
from flowrunner.config.token_kinds import all_tokens
from flowrunner.daemon.build import Parts
from flowrunner.errors import FlowError
from flowrunner.model.ids import ExecutionId
from flowrunner.service.settings_desk import SettingsDesk
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.system.cgroup_family import attempt_prefix, manager_group
from flowrunner.system.clock import Clock
from flowrunner.system.family import Families
from flowrunner.system.ids import BlockRandom
from flowrunner.system.peers import ProcPeers, local_peers
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.web.app import (
    WebParts,
    hooks_table,
    make_control_app,
    make_public_app,
    reading_table,
)
from flowrunner.web.callers import Access, AccessRules
from flowrunner.web.connection import ServerLimits
from flowrunner.web.held import Listener
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.middleware.body_limit import BodyRoom
from flowrunner.web.origins import Proxies
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp, bind_unix, local_address_of, remove_unix
from flowrunner.web.tls import Tls

_ID_BYTES = 8
_MODES: Mapping[SocketAccess, int] = MappingProxyType(
    {"owner": 0o600, "group": 0o660, "everyone": 0o666}
)
"""To connect is to write the file. Source: unix(7)."""


def make_access(parts: Parts, clock: Clock) -> Access:
    """Returns who may see what over the network."""
    counts = AccessCounts()
    parts.metrics.show_more(counts.families)
    return Access(access_rules(parts.settings), clock, counts)


def access_rules(settings: Settings) -> AccessRules:
    """Returns what the settings say of access."""
    server, rate = settings.server, settings.server.rate_limit
    of_accounts = {name: account.tokens for name, account in settings.accounts.items()}
    return AccessRules(
        local=settings.auth.local,
        tokens=tuple(all_tokens(settings.auth.tokens, of_accounts)),
        proxies=Proxies(server.trusted_proxies),
        cors=frozenset(server.cors),
        rate=None if rate is None else (rate.most, rate.period_s),
    )


def make_tls(settings: Settings) -> Tls | None:
    """Returns the certificate of the settings, if they name one; blocks.

    Raises:
        SettingsError: ``settings.tls``: it cannot be used.
    """
    tls = settings.server.tls
    if tls.certificate is None or tls.key is None:
        return None
    return Tls(tls.certificate, tls.key)


def make_servers(
    parts: Parts, clock: Clock, access: Access, desk: SettingsDesk, tls: Tls | None
) -> tuple[HttpServer, ...]:
    """Binds the listeners and returns their servers, network first, the control socket last.

    Raises:
        FlowError: ``port_in_use``, ``bind_failed`` or ``socket_in_use``; nothing stays bound.
    """
    server = parts.settings.server
    *networks, unix = _bind(parts)
    numbers = BlockRandom()
    web = WebParts(
        service=parts.service,
        metrics=parts.metrics,
        render_metrics=parts.metrics.render,
        clock=clock,
        new_id=lambda: numbers.randbytes(_ID_BYTES).hex(),
        max_body=server.max_body,
        bodies=BodyRoom(server.max_body),
        account_of=partial(_account_of, parts.storage.executions),
        ledger=parts.ledger,
        deliveries=parts.hooks.desk,
        hooks_address=local_address_of(networks[-1], tls=tls is not None),
        backfills=parts.events.backfills,
        pauses=parts.pauses,
        repository=parts.origin.desk,
        settings=desk,
    )
    hosts = LocalHosts(_names_of(server.listen))
    shown = partial(make_public_app, web, access=access, hosts=hosts)
    apps = [shown()]
    if server.hooks_listen is not None:
        apps = [shown(table=reading_table(web)), shown(table=hooks_table(web))]
    control = make_control_app(web, is_attempt=_peers(parts.families).is_attempt)
    limits = ServerLimits(max_connections=server.max_connections)
    return (
        *(
            # The proxy before a unix socket has the certificate.
            HttpServer(
                app,
                [bound],
                limits,
                None if bound.family == socket.AF_UNIX else tls,
                source_of=access.source_of,
                count_unread=access.counts.request_unread,
            )
            for app, bound in zip(apps, networks, strict=True)
        ),
        HttpServer(control, [unix], limits, count_unread=access.counts.request_unread),
    )


async def _account_of(executions: ExecutionStore, execution_id: ExecutionId) -> str | None:
    execution = await executions.get(execution_id)
    return None if execution is None else execution.flow.account


def _peers(families: Families) -> ProcPeers:
    if families.kind != "cgroup":
        return local_peers()
    return local_peers(attempt_prefix(), manager_group())


def _names_of(address: Address) -> frozenset[str]:
    """Returns under which names the listener may be addressed, beside those of loopback."""
    return frozenset({address.host.lower()} if isinstance(address, ListenAddress) else ())


def _bind(parts: Parts) -> list[Listener]:
    server, bound = parts.settings.server, list[Listener]()
    mode = _MODES[server.socket_access]
    try:
        for name, address in (("listen", server.listen), ("hooks_listen", server.hooks_listen)):
            if isinstance(address, UnixAddress):
                bound.append(bind_unix(address.path, mode, setting=f"server.{name}"))
            elif address is not None:
                bound.append(bind_tcp(address.host, address.port))
        bound.append(bind_unix(server.control_socket))
    except FlowError:
        for each in bound:
            remove_unix(each)
            with suppress(OSError):
                each.close()
        raise
    return bound
