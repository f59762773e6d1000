"""`flowrunner serve`: the process around the daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from flowrunner.config.loader import LoadedSettings
from flowrunner.daemon import garbage
from flowrunner.daemon.build import Parts, build
from flowrunner.daemon.build_ground import Choices
from flowrunner.daemon.daemon import Daemon
from flowrunner.daemon.network import make_access, make_servers, make_tls
from flowrunner.daemon.reload import ReadSettings, SettingsReloader
from flowrunner.daemon.secret_sources import secret_prefixes
from flowrunner.daemon.watchdog import Watchdog
from flowrunner.secrets.lookup import take_environment
from flowrunner.system.clock import Clock, SystemClock
from flowrunner.system.family_choice import make_families
from flowrunner.system.hardening import harden_process, prepare_state_folder
from flowrunner.system.lock import StateLock
from flowrunner.system.systemd import Notifier, make_notifier, watchdog_patience_s
from flowrunner.telemetry.logs import LogControl, configure_logging

_LOG = logging.getLogger(__name__)


def serve(
    loaded: LoadedSettings,
    read: ReadSettings,
    *,
    accept_state_loss: bool = False,
    observe: bool = False,
) -> int:
    """Runs the daemon until it is asked to stop; returns the exit code 0.

    Args:
        loaded: The settings.
        read: Reads them again, for a reload.
        accept_state_loss: Go on empty when the database is damaged and no backup is good.
        observe: Start nothing, and record what would have started.

    Raises:
        FlowError: It could not start: settings, state, lock, sockets.
    """
    settings = loaded.settings
    control = configure_logging(settings.logging.level, settings.logging.format, sys.stderr)
    try:
        secrets = take_environment(os.environ, secret_prefixes(settings.accounts))
        harden_process()
        prepare_state_folder(settings.storage.path)
        with StateLock(settings.storage.path):
            choices = Choices(accept_state_loss, observe)
            parts = partial(build, settings, secrets, make_families(), choices)
            asyncio.run(_run(parts, read, control))
    finally:
        control.stop()
    return 0


async def _run(build_parts: Callable[[], Parts], read: ReadSettings, log: LogControl) -> None:
    parts, clock = build_parts(), SystemClock()
    # Git and compiling processes are started in these threads.
    asyncio.get_running_loop().set_default_executor(parts.ground.one_core.executor())
    access, tls = make_access(parts, clock), make_tls(parts.settings)
    if tls is None and not parts.settings.server.listen.is_loopback:
        _LOG.warning(
            "http.no_tls address=%s tokens travel in the clear", parts.settings.server.listen
        )
    reloader = SettingsReloader(read, parts, access, log, tls)
    servers = make_servers(parts, clock, access, reloader, tls)
    notifier = make_notifier(os.environ)
    watchdog = _watchdog(parts, notifier, clock)
    daemon = Daemon(parts, servers, notifier, clock, _announce, reloader, watchdog)
    await daemon.run()


def _watchdog(parts: Parts, notifier: Notifier, clock: Clock) -> Watchdog | None:
    patience_s = watchdog_patience_s(os.environ, os.getpid())
    if patience_s is None:
        return None
    return Watchdog(
        pinged=notifier,
        probed=parts.storage,
        timers=parts.timers,
        clock=clock,
        patience_s=patience_s,
    )


def _announce(text: str) -> None:
    """Says that it is ready to whoever started us, besides the log.

    The garbage collector was off since the command began.
    """
    garbage.begin()
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one line others wait for
