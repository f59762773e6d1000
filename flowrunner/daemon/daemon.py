"""The life of the daemon: open the state, put flows in force, serve, drain, stop.

The order is the promise: the state is locked before it is touched, sockets are bound before
flows are read (a second daemon fails at once), `READY` comes after the first pass.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial

from flowrunner.daemon import garbage
from flowrunner.daemon.build import Parts
from flowrunner.daemon.reload import SettingsReloader
from flowrunner.daemon.restore import restore_metrics
from flowrunner.daemon.warm_start import files_of
from flowrunner.daemon.watchdog import Watchdog
from flowrunner.engine.recovery import recover
from flowrunner.errors import FlowError
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.service.troubles import trouble_of
from flowrunner.system.clock import Clock
from flowrunner.system.systemd import Notifier
from flowrunner.triggers.schedules import FIRST_PASS
from flowrunner.web.server import HttpServer

_LOG = logging.getLogger(__name__)
_STATUS_PERIOD_S = 5.0
_LAG_PERIOD_S = 1.0
_TIDY_PERIOD_S = 1.0


class Daemon:
    """A wired daemon and its servers; `run` returns when it has stopped."""

    def __init__(
        self,
        parts: Parts,
        servers: tuple[HttpServer, ...],
        notifier: Notifier,
        clock: Clock,
        announce: Callable[[str], None],
        reloader: SettingsReloader,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._parts = parts
        self._servers = servers
        self._notifier = notifier
        self._clock = clock
        self._announce = announce
        self._reloader = reloader
        self._watchdog = watchdog
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Starts, serves until a signal asks to stop, drains and stops.

        Raises:
            FlowError: It could not start; what was opened is closed again.
        """
        parts = self._parts
        self._handle_signals()
        await parts.storage.open()
        try:
            await self._put_in_force()
            for server in self._servers:
                await server.start()
            async with asyncio.TaskGroup() as background:
                works = [
                    parts.reconciler.run,
                    parts.store_watch.run,
                    parts.backup_duty.run,
                    parts.retention.run,
                    parts.pauses.run,
                    parts.clock_watch.run,
                    parts.events.sla.run,
                    parts.hooks.log.run,
                    self._tell_status,
                    self._measure_lag,
                    self._tidy,
                    self._keep_warm_soon,
                    self._read_records,
                ]
                events = parts.events
                if parts.ground.choices.observe:
                    works.append(events.starts.observe)
                else:
                    works += [events.starts.run, events.followers.run]
                    works += [events.inboxes.run, events.backfills.run, events.notices.outbox.run]
                    works.append(events.notices.secrets.run)
                if parts.origin.source is not None:
                    works.append(parts.origin.source.run)
                if self._watchdog is not None:
                    works.append(self._watchdog.run)
                running = [background.create_task(work(), name=work.__qualname__) for work in works]
                self._say_ready()
                await self._stopping.wait()
                self._notifier.stopping()
                await self._drain()
                for task in running:
                    task.cancel()
        finally:
            await self._close()

    def stop(self) -> None:
        """Asks the daemon to stop; also what SIGTERM and SIGINT do."""
        self._stopping.set()

    async def _put_in_force(self) -> None:
        """Last good first, so that a broken or missing source costs nothing; then the source."""
        parts = self._parts
        await parts.pauses.load()
        if parts.origin.source is not None and parts.origin.places is not None:
            await parts.origin.source.load()
            await parts.origin.places.load()
        history = parts.applier.history
        # Not beside the records: both give Python's lock away at each step, and would take turns.
        await history.load()
        records, _ = await asyncio.gather(  # hashing megabytes keeps no other thread waiting
            parts.storage.flows.list(), asyncio.to_thread(parts.warm.load)
        )
        count = load_last_good(records, parts.warm, parts.registry, self._clock, history)
        if count:
            _LOG.info("registry.restored flows=%d", count)
        await parts.service.load()
        await restore_metrics(parts)
        await parts.store_watch.look()
        await parts.pauses.count_failures()
        parts.events.followers.flows_changed(parts.registry.entries, frozenset())
        await parts.events.sla.load()
        if not parts.ground.choices.observe:
            await parts.events.notices.load()
        # Before anything is armed: a new start must not be taken for one that was cut short.
        if parts.ground.choices.observe:
            _LOG.warning("daemon.observes: nothing starts, and nothing of an earlier life goes on")
        else:
            await recover(parts.engine, parts.engine_services, parts.registry.rules_of)
        await parts.clock_watch.load()
        await parts.schedules.load()
        parts.timers.start()
        await parts.reconciler.start()
        await parts.hooks.webhooks.recall(parts.storage.executions)
        parts.schedules.lift_catchup(FIRST_PASS)

    def _say_ready(self) -> None:
        addresses = " ".join(server.bound for server in self._servers)
        self._announce(f"READY {addresses}")
        self._notifier.ready()
        _LOG.info("daemon.ready addresses=%s", addresses)

    async def _drain(self) -> None:
        parts, timeout_s = self._parts, self._reloader.settings.engine.drain_timeout
        running = parts.engine.running_count
        parts.drain.begin(timeout_s)
        self._notifier.status(self._status_line())
        _LOG.info("daemon.draining running=%d timeout_s=%g", running, timeout_s)
        if self._watchdog is not None:
            self._watchdog.forget_scheduler()
        parts.timers.stop()
        await parts.schedules.settle()
        await parts.engine.drain(timeout_s)
        await parts.pauses.settle()

    async def _close(self) -> None:
        """Closes in the reverse order of opening; one failure does not keep the rest open."""
        parts = self._parts
        closing: list[Callable[[], Awaitable[None]]] = [s.stop for s in self._servers]
        closing.append(parts.schedules.close)  # a pass during the drain may have armed some anew
        closing.append(parts.applier.history.settle)
        closing.append(parts.events.notices.close)
        closing.append(lambda: asyncio.to_thread(parts.events.inboxes.close))
        closing.append(parts.hooks.log.close)
        closing.append(self._keep_warm)
        closing.append(lambda: asyncio.to_thread(parts.log_writer.close))
        closing.append(lambda: asyncio.to_thread(parts.spawner.close))
        closing.append(parts.storage.close)
        if (source := parts.origin.source) is not None:
            closing.append(partial(asyncio.to_thread, source.close))
        for close in closing:
            try:
                await close()
            except (FlowError, OSError) as error:
                _LOG.error("daemon.close_failed: %s", error)
        _LOG.info("daemon.stopped")

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """SIGHUP: the settings are read again, and a pass is made, whatever the watcher saw."""
        self._notifier.reloading(int(self._clock.monotonic() * 1_000_000))
        if self._parts.origin.source is not None:
            self._parts.origin.source.hint()
        task = asyncio.create_task(self._read_again(), name="reload")
        task.add_done_callback(lambda _: self._notifier.ready())
        self._reloading = task

    async def _read_again(self) -> None:
        await self._reloader.reload()
        await self._parts.reconciler.request("signal")

    async def _tell_status(self) -> None:
        """Keeps the line of `systemctl status` current."""
        while True:
            self._notifier.status(self._status_line())
            await asyncio.sleep(_STATUS_PERIOD_S)

    def _status_line(self) -> str:
        progress = self._parts.drain.progress()
        if progress is not None:
            return f"draining: {progress}"
        registry = self._parts.registry
        count = len(registry.entries)
        not_ready = count - registry.ready_count
        note = f" ({not_ready} not ready)" if not_ready else ""
        engine = self._parts.engine
        trouble = self._parts.store_watch.note() or self._source_note()
        trouble = trouble or trouble_of(self._parts.service.conditions)
        return (
            f"{count} flows{note}, {engine.running_count} running, "
            f"{engine.queued_count} queued" + (f"; {trouble}" if trouble else "")
        )

    def _source_note(self) -> str:
        source = self._parts.origin.source
        is_pinned = source is not None and source.is_pinned
        return "the source is pinned by a rollback" if is_pinned else ""

    async def _tidy(self) -> None:
        """Buries orphans of attempts that go on for long, and ends what outlived its attempt.

        Also looks for garbage, while that holds up no execution.
        """
        while True:
            await asyncio.sleep(_TIDY_PERIOD_S)
            await self._parts.families.tidy()
            if not self._parts.engine.running_count:
                garbage.collect_if_due()

    async def _keep_warm_soon(self) -> None:
        """Does so as soon as the files were looked at, should there be no orderly end."""
        await self._parts.reconciler.looked()
        await self._keep_warm()

    async def _keep_warm(self) -> None:
        """Keeps what makes the next start short; after a crash, some compile anew.

        Before everything was looked at, what the life before has kept says more.
        """
        parts = self._parts
        if not parts.reconciler.has_looked:
            return
        await asyncio.to_thread(parts.warm.save, files_of(parts.registry), parts.reconciler.seen())
        await parts.storage.flows.remember()
        await parts.reconciler.keep_basis()

    async def _read_records(self) -> None:
        """Reads the last good definitions that the start knew unread, and mends damaged ones."""
        damaged = await self._parts.storage.flows.read_again()
        if damaged:
            await self._parts.reconciler.mend(damaged)

    async def _measure_lag(self) -> None:
        """Measures how late the loop wakes."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_PERIOD_S
            await asyncio.sleep(_LAG_PERIOD_S)
            self._parts.metrics.event_loop_lag(max(loop.time() - due, 0.0))
