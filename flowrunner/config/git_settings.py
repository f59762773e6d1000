"""The settings of a repository that the daemon pulls by itself: the section `source.git`."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Literal, get_args

from flowrunner.config.git_kinds import git_ref, git_url, subfolder
from flowrunner.config.kinds import about as _about
from flowrunner.config.kinds import choice, count, duration, file_path, flag
from flowrunner.dataclass import dataclass

VerifyMode = Literal["off", "head", "tag"]
SourceWebhookType = Literal["off", "github", "gitea", "forgejo", "bitbucket", "gitlab"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings:
    """Whose signature a revision needs before it is read."""

    mode: VerifyMode = field(
        default="off", metadata=_about(choice(get_args(VerifyMode)), example="head")
    )
    """What must be signed: `off` (nothing), `head` (the commit that is to be read) or `tag` (the
    annotated tag that `source.git.ref` names). Default `off`. A revision without a good signature
    is not read; the one in force stays, and `SourceVerified` is False."""

    keys: Path | None = field(
        default=None,
        metadata=_about(file_path(nullable=True), example="/etc/flowrunner/allowed_signers"),
    )
    """File with the keys that may sign: an `allowed_signers` file of ssh-keygen, or exported public
    keys of GnuPG, told apart by its content. Default (null): none, so it must be written when
    `mode` is not `off`. It belongs to the host: a key in the repository would vouch for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWebhookSettings:
    """A push that is heard of at once, as a hint to ask the repository."""

    type: SourceWebhookType = field(
        default="off", metadata=_about(choice(get_args(SourceWebhookType)), example="github")
    )
    """How the server of the repository proves that it calls `/hooks/_source`: `github`, `gitea`,
    `forgejo`, `bitbucket` (all sign the body) or `gitlab` (shows a token); `off` for no such
    address. Default `off`. Nothing of what it sends is used: the repository is asked, which says
    what is new."""

    secret: Path | None = field(
        default=None,
        metadata=_about(file_path(nullable=True), example="/etc/flowrunner/source-webhook"),
    )
    """File with the secret, read at each call; with several lines each is a secret, so that it can
    be changed without a gap. Default (null): `source-webhook` in `$CREDENTIALS_DIRECTORY` when
    systemd sets that. Without a secret every call is answered 401."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """A repository that the daemon pulls by itself; in force once it has a `url`."""

    url: str | None = field(
        default=None,
        metadata=_about(git_url(), example="ssh://git@git.example.com/ops/flows.git"),
    )
    """Address of the repository: `https://`, `ssh://`, `user@host:path`, or a repository on this
    host (`file:///srv/flows.git` or `/srv/flows.git`). Default (null): none, so that `source.path`
    is read. Passwords and tokens have no place in it, because it is shown; what is not encrypted
    (`http://`, `git://`) is refused."""

    ref: str | None = field(default=None, metadata=_about(git_ref(), example="main"))
    """What is read: a branch, a tag, or a commit in full. Default (null): the default branch of the
    repository. A name that is a branch and a tag is refused; write `refs/heads/…` or
    `refs/tags/…` then."""

    path: str | None = field(default=None, metadata=_about(subfolder(), example="hosts/web"))
    """Folder of the flows within the repository. Default (null): its top. The whole commit is
    checked out, so that flows reach the files above their folder."""

    interval: float = field(default=60.0, metadata=_about(duration(5, 86_400), example="5m"))
    """How often the repository is asked for something new, a duration, give or take a tenth.
    Default `1m`, from `5s` to `1d`. While it fails it is asked ever more rarely, down to every 10
    minutes, so that many hosts do not press a server that is ill."""

    timeout: float = field(default=300.0, metadata=_about(duration(1, 86_400), example="30m"))
    """Longest that one command of git may take, a duration. Default `5m`, from `1s` to `1d`: the
    first clone fetches all of the history."""

    require_fast_forward: bool = field(default=False, metadata=_about(flag(), example=True))
    """Whether a revision that does not descend from the one in force is held, such as after a
    forced push or when a tag was moved. Default false: it is read, and a warning is logged."""

    kept: int = field(default=3, metadata=_about(count(1, 100), example=10))
    """How many earlier revisions stay checked out, a number. Default 3. Besides, the one in force
    and those of executions that have not ended always stay."""

    key: Path | None = field(
        default=None, metadata=_about(file_path(nullable=True), example="/etc/flowrunner/key")
    )
    """Private key for `ssh://`. Default (null): `deploy-key` in `$CREDENTIALS_DIRECTORY` when
    systemd sets that, else none: a key in `~/.ssh` is not used. Read rights on this one repository
    are enough."""

    known_hosts: Path | None = field(
        default=None, metadata=_about(file_path(nullable=True), example="/etc/flowrunner/hosts")
    )
    """The keys of hosts for `ssh://`, as ssh knows them. Default (null): `known_hosts` in
    `$CREDENTIALS_DIRECTORY`, else `/etc/ssh/ssh_known_hosts`. A host that is not in there is
    refused."""

    verify: VerifySettings = field(default_factory=VerifySettings)
    webhook: SourceWebhookSettings = field(default_factory=SourceWebhookSettings)
