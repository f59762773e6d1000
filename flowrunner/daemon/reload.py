"""Reads the settings again while the daemon runs, and puts in force what can change.

All or nothing: settings that are not valid leave the old ones in force, and what needs a restart is
named and left as it is. What can change is exchanged in one turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import timedelta

from flowrunner.config.loader import LoadedSettings
from flowrunner.config.reloading import change_of
from flowrunner.config.settings import Settings
from flowrunner.daemon.accounts import limits_of
from flowrunner.daemon.build import Parts
from flowrunner.daemon.build_notify import follow_settings
from flowrunner.daemon.host import running_nodes
from flowrunner.daemon.network import access_rules
from flowrunner.daemon.secret_sources import secret_prefixes, sources_of
from flowrunner.engine.retention import RetentionRules
from flowrunner.errors import FlowError, ValidationError
from flowrunner.secrets.lookup import take_environment
from flowrunner.service.settings_desk import SettingsDesk, SettingsView
from flowrunner.telemetry.logs import LogControl
from flowrunner.web.callers import Access
from flowrunner.web.tls import Tls

ReadSettings = Callable[[], LoadedSettings]
"""Reads the settings as at the start; blocks; raises `FlowError`, as a rule with findings."""

_LOG = logging.getLogger(__name__)


class SettingsReloader(SettingsDesk):
    """Holds the settings in force.

    Args:
        read: Reads them again.
        parts: The daemon they are for.
        access: Who may see what over the network.
        log: The daemon's own log.
        tls: The certificate, which is read again, too.
    """

    def __init__(
        self,
        read: ReadSettings,
        parts: Parts,
        access: Access,
        log: LogControl,
        tls: Tls | None = None,
    ) -> None:
        self._tls = tls
        self._read = read
        self._parts = parts
        self._access = access
        self._log = log
        self._lock = asyncio.Lock()
        self._settings = parts.settings

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    async def reload(self) -> SettingsView:
        """Reads the settings again; never raises for anything that stands in them."""
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(self._read)
                tls = self._tls
                certificate = None if tls is None else await asyncio.to_thread(tls.read)
            except FlowError as error:
                return self._refused(error)
            change = change_of(self._settings, loaded.settings)
            self._parts.observer.settings_are_good = True
            self._apply(change.settings)
            if tls is not None and certificate is not None:
                tls.use(certificate)
        if change.applied:
            _LOG.info("settings.applied keys=%s", ",".join(change.applied))
        if change.waiting:
            _LOG.warning("settings.need_restart keys=%s", ",".join(change.waiting))
        return SettingsView(
            result="applied" if change.applied else "unchanged",
            applied=change.applied,
            waiting=change.waiting,
        )

    def _refused(self, error: FlowError) -> SettingsView:
        self._parts.observer.settings_are_good = False
        found = error.findings if isinstance(error, ValidationError) else ()
        findings = found or ({"code": error.code},)
        if len(findings) == 1:  # of one thing that is wrong the error itself tells the most: where
            findings = ({**findings[0], "message": error.message},)
        for finding in findings:
            _LOG.error(
                "settings.refused code=%s: %s (%s)",
                finding.get("code"),
                finding.get("message"),
                finding.get("origin", ""),
            )
        return SettingsView(result="refused", findings=findings)

    def _apply(self, settings: Settings) -> None:
        """Puts settings in force, without a pause in which others could see half of them."""
        before, self._settings = self._settings, settings
        self._access.replace(access_rules(settings))
        self._log.set_level(settings.logging.level)
        self._apply_limits(settings)
        self._apply_secrets(settings)
        parts = self._parts
        follow_settings(parts.events.notices, parts.ground, before, settings)
        parts.applier.channels_changed()
        engine = settings.engine
        age = timedelta(seconds=engine.retention_age)
        rules = RetentionRules(executions=engine.retention_executions, age=age)
        self._parts.retention.follow(rules, engine.retention_log_bytes)

    def _apply_limits(self, settings: Settings) -> None:
        engine, accounts = self._parts.engine, settings.accounts
        engine.limits.host = settings.engine.max_running_executions
        engine.limits.accounts = limits_of(accounts, "max_running_executions")
        self._parts.engine_services.node_slots.resize(
            running_nodes(settings.engine.max_running_nodes),
            limits_of(accounts, "max_running_nodes"),
        )
        engine.admit_waiting()

    def _apply_secrets(self, settings: Settings) -> None:
        ground = self._parts.ground
        ground.secret_environment.update(
            take_environment(os.environ, secret_prefixes(settings.accounts))
        )
        sources = sources_of(os.environ, ground.secret_environment, settings.accounts)
        ground.secrets.replace(sources)
