"""What may be written where git is told what to fetch: addresses, names of refs, folders.

All of it ends on a command line of git, so what begins with a dash or names a helper program is
refused here. Only the settings of the host say such things, never a flow.
"""

from __future__ import annotations

import re

from flowrunner.config.kinds import Kind, line_of_text

_URL_HINT = (
    "write https://host/path, ssh://git@host/path, git@host:path, or the path of a repository "
    "on this host"
)
_LONGEST, _LONGEST_REF = 2_000, 255
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f]")
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
_HTTPS = re.compile(rf"https://{_HOST}(?::[0-9]{{1,5}})?/.*")
_SSH = re.compile(rf"ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?{_HOST}(?::[0-9]{{1,5}})?/.*")
_SCP = re.compile(rf"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@){_HOST}:[^-:].*")
_LOCAL = re.compile(r"(?:file://)?/[^/].*")
_WITH_USER = re.compile(r"(?:https?://[^/]*@|ssh://[^/@]*:[^/]*@)")
_BAD_IN_REF = re.compile(r"^\+|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")


def git_url() -> Kind:
    """The address of a repository.

    One on this host is allowed: only who writes the settings can name it, and git serves a
    repository of another owner to nobody.
    """
    return line_of_text(_wrong_url, _URL_HINT)


def git_ref() -> Kind:
    """A branch, a tag or a commit. Source: git-check-ref-format(1)."""
    return line_of_text(_wrong_ref, "write a branch, a tag, or all 40 or 64 digits of a commit")


def subfolder() -> Kind:
    """A folder within a repository."""
    return line_of_text(_wrong_folder, "write the path from the top, such as hosts/web")


def transport_of(url: str) -> str:
    """Returns git's word for how a valid address is reached: `https`, `ssh` or `file`."""
    if url.startswith("https://"):
        return "https"
    return "file" if _LOCAL.fullmatch(url) else "ssh"


def _wrong_url(url: str) -> str | None:
    if len(url) > _LONGEST or _UNPRINTABLE.search(url) or not url.isprintable():
        return "is too long, or holds spaces or control characters"
    if _WITH_USER.match(url):
        return "holds a password or token, which would be shown"
    if any(form.fullmatch(url) for form in (_HTTPS, _SSH, _SCP, _LOCAL)):
        return None
    if url.startswith(("http://", "git://")):
        return "is not encrypted"
    return "is no address that can be used"


def _wrong_ref(ref: str) -> str | None:
    is_bad = ref.startswith(("-", "/", ".")) or ref.endswith(("/", ".")) or ref == "@"
    if is_bad or not ref or len(ref) > _LONGEST_REF or _BAD_IN_REF.search(ref):
        return "is no name of a branch or tag"
    return None


def _wrong_folder(path: str) -> str | None:
    parts = path.split("/")
    if not path or "\0" in path or path.startswith("/") or {"", ".", ".."} & set(parts[:-1]):
        return "is no folder within a repository"
    return "is no folder within a repository" if parts[-1] in (".", "..") else None
