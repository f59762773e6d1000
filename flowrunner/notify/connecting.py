"""Connections of channels to their receivers.

Names are looked up by threads that nothing else uses: a resolver that hangs holds a thread for half
a minute, and those that asyncio shares are few, and missed by executions, commands and scrapes.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from flowrunner.system.threads import InThread


async def connected_to(host: str, port: int, looking_up: InThread) -> socket.socket:
    """Returns a connection to the first address of a host that answers; it does not block.

    Args:
        host: A name or an address.
        port: Where it listens.
        looking_up: Runs the lookup of the name.

    Raises:
        OSError: None answers, or there is no such name.
        ValueError: The name cannot be one.
    """
    lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    loop = asyncio.get_running_loop()
    failed: OSError = OSError("it has no address")
    for family, kind, proto, _, address in await looking_up(lookup):
        try:
            held = socket.socket(family, kind, proto)
        except OSError as error:  # a family that this host does not have
            failed = error
            continue
        try:
            held.setblocking(False)
            await loop.sock_connect(held, address)
        except OSError as error:
            held.close()
            failed = error
        except BaseException:
            held.close()
            raise
        else:
            return held
    raise failed
