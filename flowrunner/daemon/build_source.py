"""The constructor calls of where flows come from: a folder, or a repository that is pulled."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from flowrunner.config.git_settings import GitSettings
from flowrunner.daemon.build_ground import Ground
from flowrunner.daemon.host import flow_folder
from flowrunner.dataclass import dataclass
from flowrunner.definitions.warm_reader import WarmReader
from flowrunner.model.execution import Execution
from flowrunner.model.ids import Revision
from flowrunner.reconcile.commit_words import CommitWords
from flowrunner.reconcile.git_commands import GitCommands
from flowrunner.reconcile.git_trees import GitTrees
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import Trees
from flowrunner.reconcile.upstream.checkouts import Checkouts
from flowrunner.reconcile.upstream.git_client import GitClient, Remote
from flowrunner.reconcile.upstream.ledger import Ledger
from flowrunner.reconcile.upstream.places import FlowPlaces
from flowrunner.reconcile.upstream.repository import Repository
from flowrunner.reconcile.upstream.signatures import Signatures
from flowrunner.reconcile.upstream.source import GitSource, SourceLinks, UpstreamRules
from flowrunner.reconcile.upstream.syncer import Syncer, SyncRules
from flowrunner.reconcile.upstream.trees import CheckoutTrees
from flowrunner.reconcile.upstream.values import Commit
from flowrunner.service.source_desk import SourceDesk
from flowrunner.system.tools import StoppableTools, run_tool
from flowrunner.telemetry.metrics_git import GitMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where flows come from.

    Attributes:
        root: The folder that a pass reads.
        flow_folder: Returns `$FLOW_DIR`.
        has_pinned_files: Whether that folder is covered by the pin of an execution.
        places: Where flows are in which revision; None when there is one live folder.
        source: What pulls; None when nothing is pulled.
        words: Returns the commit of a revision of a checkout that somebody else pulls.
    """

    root: Path
    trees: Trees
    flow_folder: Callable[[Execution], Path]
    has_pinned_files: Callable[[Execution], bool]
    places: FlowPlaces | None = None
    source: GitSource | None = None
    words: Callable[[Revision], Commit | None] = lambda _: None

    @property
    def desk(self) -> SourceDesk:
        """The door to what pulls."""
        return SourceDesk(self.source, self.words)


def make_origin(ground: Ground, reconcile: Callable[[str], Awaitable[object]]) -> Origin:
    """Wires the source that the settings name; `reconcile` runs a pass."""
    source, registry = ground.settings.source, ground.registry
    if source.git.url is not None:
        return _pulled(ground, source.git, source.git.url, reconcile)
    git = GitCommands(run_tool, ground.files)
    return Origin(
        root=source.path,
        trees=GitTrees(git, ground.files, ground.clock, source.read),
        flow_folder=lambda execution: flow_folder(registry, source.path, execution.flow),
        has_pinned_files=lambda _: False,
        words=CommitWords(GitCommands(run_tool, ground.files), ground.files, source.path).of,
    )


def _pulled(
    ground: Ground, git: GitSettings, url: str, reconcile: Callable[[str], Awaitable[object]]
) -> Origin:
    folder, files, registry = ground.settings.storage.path / "source", ground.files, ground.registry
    tools = StoppableTools()
    checkouts = Checkouts(files, folder, git.path)
    places = FlowPlaces(files, folder, checkouts, git.path, registry)
    registry.revision_of = places.revision_of
    syncer = _syncer(ground, git, url, folder, tools, checkouts)
    metrics = GitMetrics(lambda: syncer.memory.pin is not None)
    ground.metrics.show_more(metrics.families)

    async def needed() -> set[Revision]:
        unfinished = await ground.storage.executions.unfinished()
        return places.held() | {execution.revision for execution in unfinished}

    source = GitSource(
        syncer=syncer,
        rules=UpstreamRules(
            url=url,
            ref=git.ref,
            path=git.path,
            interval_s=git.interval,
            is_verifying=git.verify.mode != "off",
        ),
        registry=registry,
        clock=ground.clock,
        chance=random.SystemRandom().random,
        links=SourceLinks(
            reconcile=reconcile,
            needed=needed,
            tidied=places.tidy,
            coming=places.revision_coming,
        ),
        observer=metrics,
        tools=tools,
    )
    return Origin(
        root=places.root,
        trees=CheckoutTrees(files),
        flow_folder=places.folder_of,
        has_pinned_files=places.covers,
        places=places,
        source=source,
    )


def _syncer(
    ground: Ground,
    git: GitSettings,
    url: str,
    folder: Path,
    tools: StoppableTools,
    checkouts: Checkouts,
) -> Syncer:
    files, verify = ground.files, git.verify
    remote = Remote(
        url=url,
        key=git.key or credential("deploy-key"),
        known_hosts=git.known_hosts or credential("known_hosts"),
        timeout_s=git.timeout,
    )
    client = GitClient(tools.run, remote, folder / "repo.git", folder)
    return Syncer(
        rules=SyncRules(url=url, require_fast_forward=git.require_fast_forward, kept=git.kept),
        repository=Repository(client, files, git.ref),
        checkouts=checkouts,
        ledger=Ledger(files, folder / "memory.json"),
        signatures=Signatures(tools.run, files, verify.mode, verify.keys, folder / "gnupg"),
        files=files,
        folder=folder,
        clock=ground.clock,
    )


def make_scanner(ground: Ground, warm: WarmReader, origin: Origin) -> Scanner:
    """Wires the scan, which asks for what an earlier life has seen before it reads."""
    return Scanner(
        ground.files,
        warm,
        origin.trees,
        ground.clock,
        ground.accounts.account_of,
        recalls=warm,
        ahead=warm,
    )


def credential(name: str) -> Path | None:
    """Returns a file of the unit's credentials directory. Source: systemd.exec(5)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, name) if folder else None
    return path if path is not None and path.is_file() else None
