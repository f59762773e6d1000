"""Facts of a host as findings: what `flowrunner validate --settings` says beside the files.

For the daemon the same facts are conditions of a flow, which is why the compiler knows nothing of
them. A secret is only looked for; its value goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from flowrunner.definitions import codes_host
from flowrunner.definitions.build import NODE_LISTS, types_in
from flowrunner.definitions.channel_uses import PlacedUse, channel_uses
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.folder_defaults import DEFAULTS_FILE, FolderDefaults, Layers
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.accounts import NO_ACCOUNTS, AccountMap
from flowrunner.model.channels import NO_CHANNELS, ChannelMap, ChannelUse
from flowrunner.model.finding import Finding
from flowrunner.model.host import lacking_labels
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json
from flowrunner.reconcile.missing_secrets import missing_secrets
from flowrunner.secrets.lookup import ENVIRONMENT_PREFIX, Secrets
from flowrunner.system.users import Users


class HostCheckingReader:
    """Compiles files and adds what this host lacks for them; such a flow keeps its spec."""

    def __init__(
        self,
        reader: Reader,
        secrets: Secrets,
        users: Users,
        accounts: AccountMap = NO_ACCOUNTS,
        *,
        channels: ChannelMap = NO_CHANNELS,
        labels: AbstractSet[str] = frozenset(),
    ) -> None:
        self._reader = reader
        self._secrets = secrets
        self._users = users
        self._accounts = accounts
        self._channels = channels
        self._labels = labels

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says; a user in it counts where it reaches."""
        return self._reader.read_defaults(data, file=file)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether the file would compile to the same now."""
        return self._reader.is_current(candidate)

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate, with findings where this host lacks or forbids something."""
        candidate = self._reader.read(data, file=file, account=account, layers=layers)
        if candidate.spec is None:
            return candidate
        key, spec = FlowKey(account, candidate.spec.key.name), candidate.spec
        names = missing_secrets({key: spec}, self._secrets).get(key, ())
        problems = {
            name: text for name in spec.users if (text := self._users.problem(name, account))
        }
        outside = {
            trigger.path
            for trigger in spec.inboxes
            if not self._accounts.is_allowed(account, trigger.glob.base)
        }
        channels = self._channels.problems(account, spec.notify, spec.channels)
        if lacking_labels(spec.runs_on, self._labels):
            names, problems = (), {}  # another host has to have them
            outside, channels = set(), {}
        refused = self._accounts.refused_types(account, spec.node_types)
        if not (names or problems or refused or outside or channels):
            return candidate
        document = read_yaml(data, file=file)
        added = {
            *_of_secrets(document, names, account),
            *_of_users(document, problems),
            *_of_types(document, refused, account),
            *_of_paths(document, outside, account),
            *_of_channels(document, channels, account),
        }
        return replace(candidate, findings=tuple(sorted({*candidate.findings, *added})))


def _of_secrets(document: Document, names: Sequence[str], account: str) -> Iterator[Finding]:
    is_default = account == DEFAULT_ACCOUNT
    whose = "this host" if is_default else f"account {account} of this host"
    for path, name in _places(document.data):
        if name in names:
            yield document.finding(
                codes_host.SECRET_MISSING,
                f"{whose} has no secret {name!r}",
                path=path,
                hint=f"a file {name} in the credentials directory, or {ENVIRONMENT_PREFIX}{name}"
                if is_default
                else f"put it into a source of accounts.{account}.secrets of the settings",
            )


def _of_users(document: Document, problems: Mapping[str, str]) -> Iterator[Finding]:
    """Yields findings at the keys `user`; at the name of the flow, for defaults of a folder."""
    data, told = document.data, set[str]()
    holders: list[tuple[Path, Json]] = [(("defaults",), data.get("defaults", {}))]
    for part in NODE_LISTS:
        holders.extend(((part, index), node) for index, node in enumerate(data.get(part, ())))
    for path, holder in holders:
        name = holder.get("user")
        if name in problems:
            told.add(name)
            text = problems[name]
            yield document.finding(codes_host.USER_NOT_PERMITTED, text, path=(*path, "user"))
    for name in problems.keys() - told:
        yield document.finding(codes_host.USER_NOT_PERMITTED, problems[name], path=("name",))


def _of_types(document: Document, refused: Sequence[str], account: str) -> Iterator[Finding]:
    for part in NODE_LISTS:
        for index, node in enumerate(document.data.get(part, ())):
            for name in sorted(types_in(node).intersection(refused)):
                yield document.finding(
                    codes_host.NODE_TYPE_NOT_PERMITTED,
                    f"account {account} may not use the node type {name}",
                    path=(part, index, "type" if "type" in node else "run"),
                    hint=f"accounts.{account}.node_types of the settings lists those that it may",
                )


def _of_paths(document: Document, outside: AbstractSet[str], account: str) -> Iterator[Finding]:
    setting = f"accounts.{account}.roots"
    if account == DEFAULT_ACCOUNT:
        setting = f"engine.roots or {setting}"
    for index, trigger in enumerate(document.data.get("triggers", ())):
        if trigger["type"] == "file" and trigger["path"] in outside:
            yield document.finding(
                codes_host.PATH_NOT_PERMITTED,
                f"account {account} may not look into this folder",
                path=("triggers", index, "path"),
                hint=f"{setting} of the settings lists the folders into which it may",
            )


def _of_channels(
    document: Document, problems: Mapping[ChannelUse, str], account: str
) -> Iterator[Finding]:
    """Yields findings at the names; at that of the flow, for rules of a `_defaults.yaml`."""
    hint = f"notify.channels or accounts.{account}.channels of the settings describes channels"
    places = [
        PlacedUse(ChannelUse(name), ("notify", number, "channels", index))
        for number, rule in enumerate(document.data.get("notify", ()))
        for index, name in enumerate(rule["channels"])
    ]
    places += channel_uses(document.data)
    for use, path in places:
        if use in problems:
            text = f"this host has {problems[use]}"
            yield document.finding(codes_host.CHANNEL_MISSING, text, path=path, hint=hint)
    told = {use for use, _ in places}
    for use, problem in problems.items():
        if use not in told:
            text = f"this host has {problem}, which a {DEFAULTS_FILE} names"
            yield document.finding(codes_host.CHANNEL_MISSING, text, path=("name",), hint=hint)


def _places(definition: Json) -> Iterator[tuple[Path, str]]:
    """Yields every place where a valid definition says which secrets it needs."""
    for index, name in enumerate(definition.get("secrets", ())):
        yield ("secrets", index), name
    for number, trigger in enumerate(definition.get("triggers", ())):
        path: Path = ("triggers", number, "auth")
        auth = trigger.get("auth", {})
        if "secret" in auth:
            yield (*path, "secret"), auth["secret"]
        for index, name in enumerate(auth.get("secrets", ())):
            yield (*path, "secrets", index), name
