"""The two listeners of the daemon, bound before anything else is opened."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

from flowrunner.daemon.build import Parts
from flowrunner.errors import FlowError
from flowrunner.system.cgroup_family import attempt_prefix
from flowrunner.system.clock import Clock
from flowrunner.system.family import Families
from flowrunner.system.peers import ProcPeers, local_peers
from flowrunner.web.app import WebParts, make_control_app, make_public_app
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.server import HttpServer, ServerLimits
from flowrunner.web.sockets import bind_tcp, bind_unix

_ID_BYTES = 8


def make_servers(parts: Parts, clock: Clock) -> tuple[HttpServer, HttpServer]:
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
        repository=parts.origin.desk,
    )
    hosts = LocalHosts(frozenset({server.listen.host.lower()}))
    public = make_public_app(web, local=parts.settings.auth.local, hosts=hosts)
    control = make_control_app(web, is_attempt=_peers(parts.families).is_attempt)
    limits = ServerLimits(max_connections=server.max_connections)
    network, unix = _bind(parts)
    return HttpServer(public, [network], limits), HttpServer(control, [unix], limits)


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
