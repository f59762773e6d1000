"""Every setting there is, with its meaning, unit, default and the reason for the default.

This page is the single source: the loader, `flowrunner config show` and the JSON schema read the
fields and the paragraphs under them. A setting enters this page in the change that makes it work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from flowrunner.config.access_settings import AuthSettings
from flowrunner.config.accounts import AccountSettings
from flowrunner.config.git_settings import GitSettings
from flowrunner.config.kinds import (
    Kind,
    choice,
    count,
    duration,
    file_path,
    folders,
    size,
    user_names,
)
from flowrunner.config.kinds import about as _about
from flowrunner.config.notify_settings import NotifySettings
from flowrunner.config.server_settings import ServerSettings
from flowrunner.dataclass import dataclass

SourceRead = Literal["auto", "head", "worktree"]
StorageBackend = Literal["local", "memory"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

PLANNED = frozenset(
    {
        "defaults",
        "metrics",
        "secrets",
    }
)
"""Sections and settings of the design that do not work yet: refused, with a hint that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known about one setting besides its paragraph.

    Attributes:
        section: Its section in the settings file; with a dot for a section within a section.
        name: Its key within the section.
        kind: How its value is read and written.
        default: The value without any source; a path is relative to the current folder.
        example: A value as one would write it.
        flag: The option of `serve` that sets it; None without one.
    """

    section: str
    name: str
    kind: Kind
    default: Any
    example: Any
    flag: str | None

    @property
    def key(self) -> str:
        """Section and name, as messages write it."""
        return f"{self.section}.{self.name}"

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to it in the settings file."""
        return tuple(self.key.split("."))

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "FLOWRUNNER_" + "__".join(self.path).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where the flows come from and how soon a change is seen."""

    path: Path = field(
        default=Path("flows"), metadata=_about(file_path(), example="/srv/flows", flag="--flows")
    )
    """Folder with the flows, a git checkout or a plain folder. Default `flows` below the
    current folder, so that a daemon started in a checkout finds them. A folder that is missing
    changes nothing that already runs."""

    read: SourceRead = field(
        default="auto", metadata=_about(choice(get_args(SourceRead)), example="head")
    )
    """What is read of a git checkout: `head` (the commit of HEAD, whatever git is doing meanwhile),
    `worktree` (the files as they are, while no other git works on them) or `auto`. Default `auto`:
    HEAD, but the worktree when git lists the same changes at two looks a second apart, so that a
    person can try an edit in place. A folder without git is read as it is, except by `head`."""

    resync: float = field(default=60.0, metadata=_about(duration(1, 86_400), example="5m"))
    """Longest time between two passes that look at every file, a duration. Default `60s`, from
    `1s` to `1d`. The watcher is only a hint: network file systems and overflowing queues lose
    events, and this bounds how long such a loss can last."""

    stale_after: float = field(default=0.0, metadata=_about(duration(0, 7 * 86_400), example="15m"))
    """How long no pass may have read the whole source before `/readyz` answers 503, a duration up
    to `1w`. Default `0s`, which means five times `resync`, at least `5m`. A file with findings, or
    a deletion that is held, makes no pass stale."""

    debounce: float = field(default=0.3, metadata=_about(duration(0, 60), example="1s"))
    """How long the folder must be quiet before a pass begins, a duration. Default `300ms`, at most
    `1m`. Long enough for an editor or `git pull` to finish writing, too short to be noticed."""

    debounce_limit: float = field(default=5.0, metadata=_about(duration(0, 600), example="10s"))
    """Longest that steady changes can put off a pass, a duration not below `debounce`. Default
    `5s`, at most `10m`. Without it a file that is written all the time would hide all others."""

    git: GitSettings = field(default_factory=GitSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where executions, logs and the last good flows are kept."""

    backend: StorageBackend = field(
        default="local", metadata=_about(choice(get_args(StorageBackend)), example="memory")
    )
    """`local` (files and SQLite) or `memory` (forgotten at the end). Default `local`, because an
    accepted delivery must survive a crash; `memory` is for trying things out."""

    path: Path = field(
        default=Path(".flowrunner"),
        metadata=_about(file_path(), example="/var/lib/flowrunner", flag="--state"),
    )
    """Folder of the state; one daemon at a time uses it. Default: `$STATE_DIRECTORY` when systemd
    sets that, else `./.flowrunner`, so that a trial needs no rights and stays in one place. Not
    among the flows, or its files would be read as flows, unless below a name that begins with a
    dot."""

    min_free: int = field(default=100 * 1024**2, metadata=_about(size(0, 1024**4), example="1GiB"))
    """Room on the disk of the state below which no execution is taken, a size. Default `100MiB`,
    `0B` for no floor. What already runs needs room to journal its end and to log, and a person
    needs some to clean up. Starts are refused with the reason `disk` until there is room again."""

    backup_every: float = field(
        default=86_400.0, metadata=_about(duration(0, 30 * 86_400), example="6h")
    )
    """How often the daemon copies its database into `backup/`, a duration up to `30d`. Default
    `1d`, `0s` for never. A copy is verified, and is what a daemon goes on from when it finds its
    database damaged; it takes as much room as the database."""

    backups_kept: int = field(default=3, metadata=_about(count(1, 100), example=7))
    """How many backups stay in `backup/`, a number. Default 3: damage that was copied unseen is
    unlikely, since copies are verified, and each takes room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How executions are carried."""

    max_running_nodes: int = field(default=0, metadata=_about(count(0, 10_000), example=16))
    """Most nodes running at once on this host, a number; the others wait their turn, those of
    executions started by hand first in line. Default 0,
    which means four times the number of cores: most nodes wait for something else."""

    max_running_executions: int = field(
        default=1_000, metadata=_about(count(1, 100_000), example=50)
    )
    """Most executions running at once on this host, whatever the flows say; the others stay queued,
    those started by hand first in line. Default 1000, from 1 to 100000: an execution costs some
    kilobytes, its nodes are bounded apart, and a flood of deliveries must not fill the memory."""

    timeout: float = field(default=86_400.0, metadata=_about(duration(1, 31_536_000), example="6h"))
    """How long an execution may take that is not told by its flow's own `timeout`, a duration.
    Default `1d`, from `1s` to `365d`. It counts from the start on the wall clock, so waits, delays
    of retries and restarts are part of it. A bound at all, so that nothing holds its place for
    ever."""

    users: tuple[str, ...] = field(
        default=(), metadata=_about(user_names(), example=["deploy", "backup"])
    )
    """Users that nodes may run as besides the daemon's own, a list of names (in the environment
    with commas between). Default `[]`: who may commit to the flows does not choose whose rights
    they have. It takes effect where the daemon is root: see `privileged.conf.example`."""

    roots: tuple[Path, ...] = field(
        default=(), metadata=_about(folders(), example=["/srv/inbox", "/var/spool/orders"])
    )
    """Folders into which triggers of type `file` of the account `default` may look, a list of paths
    (in the environment with commas between). Default `[]`: none, so that a flow with such a trigger
    is not Ready. Other accounts have their own: `accounts.NAME.roots`."""

    drain_timeout: float = field(default=300.0, metadata=_about(duration(0, 86_400), example="30s"))
    """How long running attempts may go on after the daemon was told to stop, a duration; then they
    are terminated. Default `5m`, at most `1d`. Keep `TimeoutStopSec` of the unit above it, or
    systemd kills what was still allowed to run."""

    retention_executions: int = field(
        default=100, metadata=_about(count(1, 10_000_000), example=1000)
    )
    """Most executions kept of each flow, a number; older ones are removed with their logs. Default
    100. Queued and running ones, and the newest that has ended, are kept whatever it says."""

    retention_age: float = field(
        default=30 * 86_400.0, metadata=_about(duration(3_600, 3_650 * 86_400), example="90d")
    )
    """Age at which executions and logs are removed, a duration. Default `30d`, from `1h` to
    `3650d`. Long enough to look into last month, short enough to bound what secrets may stand in
    old logs."""

    retention_log_bytes: int = field(
        default=10 * 1024**3, metadata=_about(size(0, 1024**5), example="50GiB")
    )
    """Most bytes that the logs of all executions take together, a size; beyond it the logs of the
    executions that began first are removed, never those of running ones. Default `10GiB`, `0B` for
    no bound. The executions themselves stay, and their logs say that they are gone."""

    attempt_log_bytes: int = field(
        default=20 * 1024**2, metadata=_about(size(1024, 1024**4), example="5MiB")
    )
    """Most bytes of the log of one attempt where the flow says nothing (`retention.log_bytes`), a
    size; the rest of the output is dropped, and the last line of the log says so. Default `20MiB`,
    from `1KiB` to `1TiB`: more than anybody reads, and no loop that prints can fill the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """What the daemon says about itself on standard error."""

    level: LogLevel = field(
        default="info", metadata=_about(choice(get_args(LogLevel)), example="debug")
    )
    """Least severity that is written: `debug`, `info`, `warning` or `error`. Default `info`: one
    line for each change of state, each command, each delivery and each request that is refused;
    `debug` adds requests that only read."""

    format: LogFormat = field(
        default="text", metadata=_about(choice(get_args(LogFormat)), example="json")
    )
    """`text` for people or `json` (one object per line) for log collectors. Default `text`, since
    a person looks first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one daemon.

    Attributes:
        accounts: By name; empty: every flow belongs to the account `default`.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    accounts: Mapping[str, AccountSettings] = field(default_factory=dict)


def _sections(prefix: str, whole: Any) -> Iterator[tuple[str, type[Any]]]:
    """Yields the sections of settings, those within a section after it."""
    for part in fields(whole):
        value = getattr(whole, part.name)
        if is_dataclass(value):
            yield prefix + part.name, type(value)
            yield from _sections(f"{prefix}{part.name}.", value)


SECTIONS: Mapping[str, type[Any]] = MappingProxyType(dict(_sections("", Settings())))
"""Name of a section in the settings file → its class; `source.git` is within `source`.

`accounts` has none, it is a map of them.
"""

SETTINGS: Mapping[tuple[str, ...], Setting] = MappingProxyType(
    {
        (*section.split("."), part.name): Setting(
            section=section, name=part.name, default=part.default, **part.metadata
        )
        for section, cls in SECTIONS.items()
        for part in fields(cls)
        if part.metadata
    }
)
"""The keys that lead to it → the setting, in the order of this page."""


def section_of(settings: Settings, section: str) -> Any:
    """Returns a section by its name, as in `SECTIONS`."""
    return reduce(getattr, section.split("."), settings)
