"""What keys about a process cannot be: a `shell` that is none, texts that no system call takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.build import facts_of
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.folder_defaults import merged_defaults
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json
from flowrunner.model.process import SCRIPT, SHELLS

_LONGEST_QUOTE = 80
_ROOT = "root"
"""May do anything in the folder of another, so it shares it."""

_HINT = f'write sh, bash, or a list such as [python3, "{SCRIPT}"]'


def check_processes(subject: Subject) -> Iterator[Finding]:
    """Yields findings about `shell`, `working_dir` and `user`, of nodes and of `defaults`."""
    own = subject.data.get("defaults", {})
    default = merged_defaults(subject.inherited or {}, own).get("user")
    yield from _check(subject, ("defaults",), own)
    for path, node in subject.all_nodes:
        if "shell" in node or "working_dir" in node:
            yield from _check(subject, path, node)
    if default is not None or any("user" in node for _, node in subject.all_nodes):
        yield from _users(subject, default)


def _check(subject: Subject, path: Path, holder: Mapping[str, Json]) -> Iterator[Finding]:
    if "shell" in holder and not subject.is_doubtful(*path, "shell"):
        yield from _shell(subject, (*path, "shell"), holder["shell"])
    if "\0" in str(holder.get("working_dir", "")):
        message = "'working_dir' contains a NUL character"
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED, message, path=(*path, "working_dir")
        )


def _users(subject: Subject, default: Json) -> Iterator[Finding]:
    """Yields each node that cannot share `$WORK_DIR`, which belongs to one user, with another."""
    owner, by = None, ""
    for path, node in subject.all_nodes:
        facts = facts_of(node, subject.catalog)
        user = node.get("user", default) if facts is not None and facts.is_shell_like else None
        if user in (None, _ROOT):
            continue
        if owner is None:
            owner, by = user, str(node.get("id"))
        elif user != owner:
            at = (*path, "user") if "user" in node else path
            yield subject.document.finding(
                codes.EXCLUSIVE_KEYS,
                f"$WORK_DIR belongs to one user: {by!r} runs as {owner}, this node as {user}",
                path=at,
                hint="give the nodes one user (root may be another), or make two flows of them",
            )


def _shell(subject: Subject, path: Path, shell: Json) -> Iterator[Finding]:
    words = [shell] if isinstance(shell, str) else shell
    if any(map(holds_expression, words)):
        return  # told already: it is not evaluated there
    hint, message = _HINT, ""
    if isinstance(shell, str):
        if shell not in SHELLS:
            message = f"{shell[:_LONGEST_QUOTE]!r} is no shell that goes by one word"
            words = ", ".join([*shell.split(), f'"{SCRIPT}"'])
            hint = f"write bash, sh, or a list of words: [{words[:_LONGEST_QUOTE]}]"
    elif shell.count(SCRIPT) != 1:
        message = f"'shell' needs the word {SCRIPT} exactly once: there goes the script"
    elif shell[0] == SCRIPT or any("\0" in word for word in shell):
        message = "'shell' names no program"
    if message:
        yield subject.document.finding(codes.VALUE_NOT_ALLOWED, message, path=path, hint=hint)
