"""The constructor calls of what stands on the host and knows nothing of flows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from flowrunner import __version__
from flowrunner.config.settings import Settings
from flowrunner.daemon.accounts import account_map, users_of
from flowrunner.daemon.host import host_facts
from flowrunner.daemon.observer import DaemonObserver
from flowrunner.daemon.secret_sources import make_secrets
from flowrunner.dataclass import dataclass
from flowrunner.model.accounts import AccountMap
from flowrunner.nodes.environment import HostFacts
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.lookup import AccountSecrets
from flowrunner.service.store_watch import StoreWatch
from flowrunner.storage.factory import LocalOptions, make_storage
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock import Clock, SystemClock
from flowrunner.system.family import Families
from flowrunner.system.files import Files, LocalFiles
from flowrunner.system.one_core import OneCore
from flowrunner.system.process import LocalSpawner
from flowrunner.system.users import Users, local_users
from flowrunner.telemetry.log_writer import LogWriter
from flowrunner.telemetry.metrics import Metrics


class Choices(NamedTuple):
    """What a person chose for this one start.

    Attributes:
        accept_state_loss: Go on empty when the database is damaged and no backup is good.
        observe: Start nothing, and record what would have started.
        is_trial: A file is tried out: nobody is told anything, over whichever channels.
    """

    accept_state_loss: bool = False
    observe: bool = False
    is_trial: bool = False


NO_CHOICES = Choices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What stands on the host and knows nothing of flows, besides the empty registry."""

    settings: Settings
    clock: Clock
    host: HostFacts
    files: Files
    families: Families
    one_core: OneCore
    spawner: LocalSpawner
    log_writer: LogWriter
    metrics: Metrics
    observer: DaemonObserver
    secrets: AccountSecrets
    secret_environment: dict[str, str]
    users: Users
    accounts: AccountMap
    storage: Storage
    store_watch: StoreWatch
    registry: FlowRegistry
    choices: Choices


def make_ground(
    settings: Settings,
    secret_environment: Mapping[str, str],
    families: Families,
    choices: Choices,
) -> Ground:
    """Wires what all the rest stands on."""
    clock, files, one_core = SystemClock(), LocalFiles(), OneCore()
    metrics = Metrics(version=__version__)
    storage = make_storage(
        settings.storage.backend,
        folder=settings.storage.path,
        files=files,
        clock=clock,
        observe_commit=metrics.journal_commit,
        options=LocalOptions(settings.storage.backups_kept, choices.accept_state_loss),
    )
    floor = settings.storage.min_free if settings.storage.backend == "local" else 0
    return Ground(
        choices=choices,
        settings=settings,
        clock=clock,
        host=host_facts(settings.server),
        files=files,
        families=families,
        one_core=one_core,
        spawner=LocalSpawner(families, one_core=one_core),
        log_writer=LogWriter(),
        metrics=metrics,
        observer=DaemonObserver(metrics, clock),
        secrets=make_secrets(os.environ, secret_environment, settings.accounts),
        secret_environment=dict(secret_environment),
        users=local_users(settings.engine.users, users_of(settings.accounts)),
        accounts=account_map(settings.accounts, settings.engine.roots),
        storage=storage,
        store_watch=StoreWatch(storage, partial(files.free_bytes, settings.storage.path), floor),
        registry=FlowRegistry(settings.accounts, frozenset(settings.server.labels)),
    )
