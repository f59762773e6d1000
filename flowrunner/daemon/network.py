"""The two listeners of the daemon, bound before anything else is opened."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from functools import partial

from flowrunner.config.settings import Settings
from flowrunner.config.token_kinds import all_tokens
from flowrunner.daemon.build import Parts
from flowrunner.errors import FlowError
from flowrunner.model.ids import ExecutionId
from flowrunner.service.settings_desk import SettingsDesk
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.system.cgroup_family import attempt_prefix
from flowrunner.system.clock import Clock
from flowrunner.system.family import Families
from flowrunner.system.peers import ProcPeers, local_peers
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.web.app import WebParts, make_control_app, make_public_app
from flowrunner.web.callers import Access, AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.origins import Proxies
from flowrunner.web.server import HttpServer, ServerLimits
from flowrunner.web.sockets import bind_tcp, bind_unix
from flowrunner.web.tls import Tls

_ID_BYTES = 8


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
) -> tuple[HttpServer, HttpServer]:
    """Binds both listeners and returns their servers, network first.

    Raises:
        FlowError: ``port_in_use``, ``bind_failed`` or ``socket_in_use``; nothing stays bound.
    """
    server = parts.settings.server
    numbers = random.SystemRandom()
    web = WebParts(
        service=parts.service,
        metrics=parts.metrics,
        render_metrics=parts.metrics.render,
        clock=clock,
        new_id=lambda: numbers.randbytes(_ID_BYTES).hex(),
        max_body=server.max_body,
        account_of=partial(_account_of, parts.storage.executions),
        ledger=parts.ledger,
        backfills=parts.events.backfills,
        repository=parts.origin.desk,
        settings=desk,
    )
    hosts = LocalHosts(frozenset({server.listen.host.lower()}))
    public = make_public_app(web, access=access, hosts=hosts)
    control = make_control_app(web, is_attempt=_peers(parts.families).is_attempt)
    limits = ServerLimits(max_connections=server.max_connections)
    network, unix = _bind(parts)
    return HttpServer(public, [network], limits, tls), HttpServer(control, [unix], limits)


async def _account_of(executions: ExecutionStore, execution_id: ExecutionId) -> str | None:
    execution = await executions.get(execution_id)
    return None if execution is None else execution.flow.account


def _peers(families: Families) -> ProcPeers:
    return local_peers(attempt_prefix() if families.kind == "cgroup" else None)


def _bind(parts: Parts) -> tuple[socket.socket, socket.socket]:
    server = parts.settings.server
    network = bind_tcp(server.listen.host, server.listen.port)
    try:
        return network, bind_unix(server.control_socket)
    except FlowError:
        with suppress(OSError):
            network.close()
        raise
